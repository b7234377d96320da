//! `crossfade-gateway`: the gateway without Python.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crossfade_gateway::edge::tls::TlsFiles;
use crossfade_gateway::{GatewayOptions, Stop, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: crossfade-gateway --listen ADDRESS --admin ADDRESS --state-dir DIR \
[--name NAME] [--control-url URL] [--tls-cert PEM --tls-key PEM]
Secrets come from CROSSFADE_GATEWAY_TOKEN and CROSSFADE_PEPPER.
";

fn main() -> ExitCode {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    keep_small();
    let options = match read_options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => return fail(&format!("{problem}\n{USAGE}"), 2),
    };
    let stop = Stop::default();
    stop_on_signal(stop.clone());
    let announce = |ready: crossfade_gateway::Ready| {
        // Nobody may be reading; the gateway serves all the same.
        let _ = writeln!(
            std::io::stdout(),
            "gateway ready on {}://{}, admin http://{} (pid {})",
            ready.scheme,
            ready.listen,
            ready.admin,
            std::process::id()
        );
    };
    match run(options, &stop, announce) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error}\n"), 1),
    }
}

/// Huge pages would make the untouched rest of every buffer resident: an open stream weighs a third more.
fn keep_small() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay");
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    let _ = std::io::stderr().write_all(message.as_bytes());
    ExitCode::from(code)
}

fn read_options(mut arguments: impl Iterator<Item = String>) -> Result<GatewayOptions, String> {
    let mut options = GatewayOptions {
        name: "gateway-1".to_owned(),
        listen: String::new(),
        admin: String::new(),
        state_dir: PathBuf::new(),
        control_url: None,
        tls: None,
        token: std::env::var("CROSSFADE_GATEWAY_TOKEN").map_err(|_| "CROSSFADE_GATEWAY_TOKEN is not set")?,
        pepper: std::env::var("CROSSFADE_PEPPER").map_err(|_| "CROSSFADE_PEPPER is not set")?,
    };
    let (mut cert, mut key) = (None, None);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--name" => options.name = value,
            "--listen" => options.listen = value,
            "--admin" => options.admin = value,
            "--state-dir" => options.state_dir = PathBuf::from(value),
            "--tls-cert" => cert = Some(PathBuf::from(value)),
            "--tls-key" => key = Some(PathBuf::from(value)),
            "--control-url" => options.control_url = Some(value),
            _ => return Err(format!("unknown option {flag}")),
        }
    }
    options.tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        _ => return Err("--tls-cert and --tls-key go together".to_owned()),
    };
    if options.listen.is_empty() || options.admin.is_empty() || options.state_dir.as_os_str().is_empty() {
        return Err("--listen, --admin and --state-dir are needed".to_owned());
    }
    Ok(options)
}

/// A thread of its own, so that signals work before and after the server's runtime.
fn stop_on_signal(stop: Stop) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut term), Ok(mut int)) =
                (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
            else {
                return;
            };
            tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
            stop.stop();
        });
    });
}
