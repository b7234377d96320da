//! What comes down from control: snapshots and credentials by long poll. Control may be away for
//! ever; the last snapshot, verified and kept on disk, serves on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_core::domain::attempt::Ack;
use crossfade_core::domain::snapshot::Snapshot;
use crossfade_core::providers::{Field, split_base};
use ring::hmac;

use crate::hex::decode_hex;
use crate::shared::{Shared, unix_ms};
use crate::upstream::connect::{Answer, Outgoing};
use crate::upstream::sign::Credentials;
use crate::upstream::warm;

/// Longer than control holds a poll open (20 s).
const POLL: Duration = Duration::from_secs(30);
const POST: Duration = Duration::from_secs(5);
const CONNECT_MS: u64 = 2000;
const NO_CONTENT: u16 = 204;
/// The largest document of control: a snapshot.
const DOCUMENT_BYTES: usize = 256 << 20;
/// The pause after a failed poll doubles from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Serves from the snapshot of the last run, if there is a valid one.
pub fn restore(shared: &Shared) {
    let folder = &shared.options.state_dir;
    let (Ok(body), Ok(signature)) =
        (std::fs::read(folder.join("snapshot.json")), std::fs::read_to_string(folder.join("snapshot.sig")))
    else {
        return;
    };
    match verified(shared, &body, signature.trim()) {
        Ok(snapshot) => {
            tracing::info!(version = snapshot.version, "serving from the last snapshot");
            shared.apply(snapshot);
        }
        Err(error) => tracing::error!(%error, "the kept snapshot was refused"),
    }
}

/// Follows snapshots for ever.
pub async fn snapshots(shared: Arc<Shared>) {
    if shared.options.control_url.is_none() {
        return;
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let version = shared.snapshot.load().as_ref().map_or(0, |snapshot| snapshot.version);
        match next_snapshot(&shared, version).await {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error) => {
                tracing::debug!(%error, "no snapshot from control");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn next_snapshot(shared: &Arc<Shared>, version: u64) -> Result<(), String> {
    let (name, admin) = (&shared.options.name, &shared.options.admin);
    let path = format!("/internal/v1/snapshot?after={version}&gateway={name}&admin={admin}");
    let answer = get(shared, &path).await?;
    if answer.head.status == NO_CONTENT {
        answer.body.let_go(Instant::now());
        return Ok(());
    }
    let signature = answer.head.get("x-crossfade-signature").unwrap_or_default().to_owned();
    let body = collect(answer).await?;
    let snapshot = verified(shared, &body, &signature)?;
    warm::meet(shared, &snapshot).await;
    // Served first, kept second: a full disk must not stop a rollback.
    shared.apply(snapshot);
    acknowledge(shared).await?;
    if let Err(error) = keep(&shared.options.state_dir, &body, &signature) {
        tracing::warn!(%error, "the snapshot serves but could not be kept on disk");
    }
    Ok(())
}

/// Says what took effect, read back from the engine.
async fn acknowledge(shared: &Shared) -> Result<(), String> {
    let Some((version, effects)) =
        shared.with_engine(|engine, _| (engine.snapshot().version, engine.effects()))
    else {
        return Ok(());
    };
    let ack =
        Ack { gateway: shared.options.name.clone(), snapshot_version: version, unix_ms: unix_ms(), effects };
    let body = serde_json::to_vec(&ack).map_err(|error| error.to_string())?;
    post(shared, "/internal/v1/acks", body, "application/json").await
}

fn verified(shared: &Shared, body: &[u8], signature: &str) -> Result<Snapshot, String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, shared.options.token.as_bytes());
    let expected = decode_hex(signature).ok_or("the snapshot's signature is not hex")?;
    hmac::verify(&key, body, &expected).map_err(|_| "the snapshot's signature is wrong")?;
    Snapshot::parse(body).map_err(|error| error.to_string())
}

/// Replaces the kept files so that a crash leaves the old pair or the new one: the signature goes
/// last, and a pair that does not fit is refused on start.
fn keep(folder: &Path, body: &[u8], signature: &str) -> std::io::Result<()> {
    for (name, bytes) in [("snapshot.json", body), ("snapshot.sig", signature.as_bytes())] {
        let fresh = folder.join(format!("{name}.new"));
        std::fs::write(&fresh, bytes)?;
        std::fs::File::open(&fresh)?.sync_all()?;
        std::fs::rename(&fresh, folder.join(name))?;
    }
    Ok(())
}

/// Follows credentials for ever. They stay in memory.
pub async fn credentials(shared: Arc<Shared>) {
    if shared.options.control_url.is_none() {
        return;
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let revision = shared.credentials.load().revision;
        let path = format!("/internal/v1/credentials?after={revision}&gateway={}", shared.options.name);
        let followed = async {
            let answer = get(&shared, &path).await?;
            if answer.head.status == NO_CONTENT {
                answer.body.let_go(Instant::now());
                return Ok(());
            }
            let body = collect(answer).await?;
            // The parser's message could quote the document: it is not repeated.
            let fresh: Credentials =
                serde_json::from_slice(&body).map_err(|_| "the credentials do not parse".to_owned())?;
            shared.renew(fresh);
            Ok::<(), String>(())
        };
        match followed.await {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error) => {
                tracing::debug!(%error, "no credentials from control");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn get(shared: &Shared, path: &str) -> Result<Answer, String> {
    send(shared, ("GET", path), &[], &[], POLL).await
}

/// Sends a document up to control.
///
/// # Errors
/// Control is away or refuses it.
pub async fn post(shared: &Shared, path: &str, body: Vec<u8>, kind: &'static str) -> Result<(), String> {
    let headers = [("content-type".into(), kind.into())];
    let answer = send(shared, ("POST", path), &headers, &body, POST).await?;
    collect(answer).await.map(|_| ())
}

async fn send(
    shared: &Shared,
    (method, path): (&'static str, &str),
    headers: &[Field],
    body: &[u8],
    within: Duration,
) -> Result<Answer, String> {
    let (origin, prefix) = split_base(shared.options.control_url.as_deref().unwrap_or_default());
    let path = format!("{prefix}{path}");
    let bearer = [("authorization".into(), bearer(shared).into())];
    let request = Outgoing { method, origin, path: &path, headers: &[&bearer, headers], body };
    let answer = tokio::time::timeout(within, shared.clients.send(&request, CONNECT_MS, Instant::now()))
        .await
        .map_err(|_| "control did not answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    match answer.head.status {
        200..300 => Ok(answer),
        status => Err(format!("control answered {status}")),
    }
}

async fn collect(answer: Answer) -> Result<Vec<u8>, String> {
    let collected = tokio::time::timeout(POST, answer.body.collect(DOCUMENT_BYTES)).await;
    collected.map_err(|_| "control stopped in the middle".to_owned())?.map_err(|error| error.to_string())
}

fn bearer(shared: &Shared) -> String {
    format!("Bearer {}", shared.options.token)
}
