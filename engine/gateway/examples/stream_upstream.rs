//! The upstream of the stream benchmarks: 200 events of one chat completion, written as the path asks:
//! `/burst` at once, `/each` one write an event, `/paced` one every 5 ms, `/hold` the first only.
//! One thread; `stream_upstream PORT`.
#![expect(clippy::print_stderr, reason = "a tool")]

use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const EVENTS: usize = 200;
const PACE: Duration = Duration::from_millis(5);
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn main() -> ExitCode {
    let Some(port) = std::env::args().nth(1).and_then(|port| port.parse::<u16>().ok()) else {
        eprintln!("usage: stream_upstream PORT");
        return ExitCode::from(2);
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(serve(port)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot serve on {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let chunks = chunks();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let chunks = chunks.clone();
        // A caller that leaves is its own affair.
        tokio::spawn(async move { drop(answer(stream, &chunks).await) });
    }
}

async fn answer(mut stream: TcpStream, chunks: &[Vec<u8>]) -> std::io::Result<()> {
    let mut read = Vec::with_capacity(4096);
    loop {
        let Some(path) = request(&mut stream, &mut read).await? else {
            return Ok(());
        };
        if path.starts_with("/burst") {
            let whole: Vec<u8> = HEAD.iter().copied().chain(chunks.concat()).collect();
            stream.write_all(&whole).await?;
            continue;
        }
        stream.write_all(HEAD).await?;
        for chunk in chunks {
            stream.write_all(chunk).await?;
            if path.starts_with("/hold") {
                std::future::pending::<()>().await;
            }
            if path.starts_with("/paced") {
                tokio::time::sleep(PACE).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Reads one request; its path, or none at the end.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> std::io::Result<Option<String>> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.and_then(|value| value.trim().parse::<usize>().ok()).unwrap_or(0);
            let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
            while read.len() < end + 4 + length {
                if stream.read_buf(read).await? == 0 {
                    return Ok(None);
                }
            }
            read.drain(..end + 4 + length);
            return Ok(Some(path));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// The answer's events, each a chunk of the transfer coding, and its end.
fn chunks() -> Vec<Vec<u8>> {
    let event = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut events: Vec<String> = (0..EVENTS - 2).map(|_| event("{\"content\":\" word\"}", "null")).collect();
    events.push(event("{}", "\"stop\""));
    events.push("data: [DONE]\n\n".to_owned());
    let mut chunks: Vec<Vec<u8>> =
        events.iter().map(|text| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()).collect();
    if let Some(last) = chunks.last_mut() {
        last.extend_from_slice(b"0\r\n\r\n");
    }
    chunks
}
