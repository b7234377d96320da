use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::edge::outbox::Outbox;
use crate::edge::wire::Plain;

/// A connection and its other side, with room for `bytes` on the way.
fn pair(bytes: usize) -> (Connection<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(bytes);
    (Connection::new(ours), theirs)
}

async fn all_of(connection: &mut Connection<DuplexStream>) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = connection.content().await? {
        all.extend_from_slice(piece);
    }
    Ok(all)
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let (mut connection, mut upstream) = pair(64);
    let answers = tokio::spawn(async move {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2710\r\n{}\r\n0\r\n\r\n",
                "x".repeat(10_000)
            ),
            "HTTP/1.1 204 No\r\n\r\n".to_owned(),
        ] {
            let mut request = vec![0; 9];
            upstream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, b"head body");
            upstream.write_all(answer.as_bytes()).await.unwrap();
        }
        upstream
    });

    for wanted in [5, 10_000, 0] {
        let head = connection.ask(b"head ", b"body").await.unwrap();
        assert!(head.status < 300);
        assert_eq!(all_of(&mut connection).await.unwrap().len(), wanted);
        assert!(connection.is_reusable() && connection.is_silent());
    }
    drop(answers.await.unwrap());
    assert!(!connection.is_silent());
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_read_and_ends_the_connection() {
    let (mut connection, mut upstream) = pair(64);
    let refusal = b"HTTP/1.1 413 Too large\r\ncontent-length: 2\r\n\r\nno";
    let server = tokio::spawn(async move {
        upstream.write_all(refusal).await.unwrap();
        upstream
    });

    let head = connection.ask(b"head", &vec![b'x'; 1 << 20]).await.unwrap();

    assert_eq!((head.status, all_of(&mut connection).await.unwrap()), (413, b"no".to_vec()));
    assert!(!connection.is_reusable());
    drop(server);
}

#[tokio::test]
async fn an_answer_whose_reader_closed_first_is_read_still() {
    let (mut connection, mut upstream) = pair(256);
    upstream.write_all(b"HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    drop(upstream);

    assert_eq!(connection.ask(b"head", &vec![b'x'; 4096]).await.unwrap().status, 400);
    assert!(!connection.is_reusable());
}

#[tokio::test]
async fn whether_an_answer_began_tells_a_stale_connection_from_a_broken_answer() {
    let (mut stale, upstream) = pair(256);
    drop(upstream);
    assert!(stale.ask(b"head", b"").await.is_err());
    assert!(!stale.has_answered());

    let (mut broken, mut upstream) = pair(256);
    upstream.write_all(b"HTTP/1.1 2").await.unwrap();
    drop(upstream);
    assert!(broken.ask(b"", b"").await.is_err());
    assert!(broken.has_answered());
}

#[tokio::test]
async fn a_cut_body_is_an_error_and_one_without_a_length_is_not() {
    for (head, whole) in [("content-length: 9", false), ("transfer-encoding: chunked", false), ("x: y", true)]
    {
        let (mut connection, mut upstream) = pair(256);
        let body = if head.starts_with('t') { "5\r\nhello" } else { "hello" };
        upstream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        drop(upstream);
        connection.ask(b"", b"").await.unwrap();

        assert_eq!(all_of(&mut connection).await.is_ok(), whole, "{head}");
        assert!(!connection.is_reusable(), "{head}");
    }
}

#[tokio::test]
async fn the_rest_of_the_framing_is_read_without_waiting() {
    let (mut connection, mut upstream) = pair(256);
    let text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n";
    upstream.write_all(text).await.unwrap();
    connection.ask(b"", b"").await.unwrap();
    assert_eq!(connection.content().await.unwrap(), Some(b"done".as_slice()));

    assert!(!connection.finish_now());
    upstream.write_all(b"\r\n").await.unwrap();
    assert!(connection.finish_now() && connection.is_reusable());
}

#[tokio::test]
async fn what_comes_behind_an_answer_ends_the_connection() {
    let (mut connection, mut upstream) = pair(256);
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200").await.unwrap();
    connection.ask(b"", b"").await.unwrap();

    assert_eq!(all_of(&mut connection).await.unwrap(), b"a");
    assert!(!connection.is_reusable());
}

#[tokio::test]
async fn chunks_that_came_together_are_one_piece_and_a_broken_one_is_told_after_them() {
    let (mut connection, mut upstream) = pair(4096);
    let answer =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n4\r\n two\r\n6\r\n three\r\nzz\r\n";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    connection.ask(b"head ", b"body").await.unwrap();

    assert_eq!(connection.content().await.unwrap(), Some(&b"one two three"[..]));
    assert!(connection.content().await.is_err());
    assert!(!connection.is_reusable());
}

#[tokio::test]
async fn an_answer_is_read_whole_however_much_of_it_comes_at_once() {
    for size in [1, READ_BYTES - 64, READ_BYTES, 5 * READ_BYTES, MOST_READ_BYTES * 2] {
        let (mut connection, mut upstream) = pair(MOST_READ_BYTES * 4);
        let body: Vec<u8> = (0u8..=250).cycle().take(size).collect();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
        let written = body.clone();
        let answer = tokio::spawn(async move {
            upstream.read_exact(&mut [0; 4]).await.unwrap();
            upstream.write_all(&[head.as_bytes(), &written].concat()).await.unwrap();
            upstream
        });

        connection.ask(b"head", b"").await.unwrap();
        assert!(all_of(&mut connection).await.unwrap() == body, "{size} bytes");
        answer.await.unwrap();
    }
}

#[tokio::test]
async fn one_that_did_not_take_all_of_its_request_serves_no_other() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, theirs) =
        tokio::join!(tokio::net::TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (ours, (mut upstream, _)) = (ours.unwrap(), theirs.unwrap());
    ours.writable().await.unwrap();
    while ours.try_write(&[b'.'; 1 << 16]).is_ok() {}
    let outbox = Outbox::new(1, Arc::new(AtomicU64::new(2)));
    let mut connection = Connection::new(Plain::new(ours, &outbox));
    upstream.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n").await.unwrap();

    assert_eq!(connection.ask(b"head", b"").await.unwrap().status, 413);
    assert!(connection.finish_now() && connection.is_reusable() && connection.is_silent());
    outbox.keep();
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }

    assert!(!connection.is_silent());
}
