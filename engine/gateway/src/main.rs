//! `crossfade-gateway`: the gateway's process, which the wheel brings and `crossfade gateway` becomes.
//!
//! Its options (see `GatewayOptions`) are one JSON object on standard input: they hold secrets, which
//! arguments and the environment would show.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::process::ExitCode;

use crossfade_gateway::{GatewayOptions, Ready, Stop, run};
// Takes the place of `malloc`: as Rust's allocator it is asked for an alignment each time, a longer way.
use mimalloc as _;
use serde_json::json;

const USAGE: &str = "usage: crossfade-gateway [--json] < OPTIONS
OPTIONS is a JSON object with name, listen, admin, state_dir, token and pepper, and may have control_url
and tls (hint: `crossfade gateway` writes it from the config).
";

fn main() -> ExitCode {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    keep_small();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_json = match arguments.as_slice() {
        [] => false,
        [only] if only == "--json" => true,
        _ => return fail(USAGE, 2),
    };
    let options = match read_options() {
        Ok(options) => options,
        Err(problem) => return fail(&format!("the options cannot be read: {problem}\n{USAGE}"), 2),
    };
    let stop = Stop::default();
    stop_on_signal(stop.clone());
    match run(options, &stop, move |ready| announce(ready, is_json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("gateway: {error}\n"), 1),
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

fn read_options() -> Result<GatewayOptions, String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// The ready line, the one thing on standard output.
fn announce(ready: Ready, is_json: bool) {
    let Ready { scheme, listen, admin } = ready;
    let pid = std::process::id();
    let line = if is_json {
        json!({"ready": "gateway", "scheme": scheme, "listen": listen, "admin": admin, "pid": pid})
            .to_string()
    } else {
        format!("gateway ready on {scheme}://{listen}, admin http://{admin} (pid {pid})")
    };
    // Nobody may be reading; the gateway serves all the same.
    let _ = writeln!(std::io::stdout(), "{line}");
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
