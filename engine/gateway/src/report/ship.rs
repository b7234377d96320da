//! Closed segments up to control: sent until it answers 200, then deleted.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::follow::post;
use crate::shared::Shared;

const BETWEEN: Duration = Duration::from_millis(100);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Ships for ever.
pub async fn ship_segments(shared: Arc<Shared>) {
    if shared.options.control_url.is_none() {
        return;
    }
    loop {
        let pause = if ship_ready(&shared).await { BETWEEN } else { AFTER_FAILURE };
        tokio::time::sleep(pause).await;
    }
}

/// Ships every closed segment; false when control did not take one.
pub async fn ship_ready(shared: &Shared) -> bool {
    if shared.options.control_url.is_none() {
        return true;
    }
    let backlog = shared.reports.spool.backlog();
    while let Some(path) = backlog.oldest() {
        match ship(shared, &path).await {
            Ok(()) => backlog.pop(),
            Err(error) => {
                tracing::debug!(%error, "records wait for control");
                return false;
            }
        }
    }
    true
}

async fn ship(shared: &Shared, path: &Path) -> Result<(), String> {
    let mut body = match tokio::fs::read(path).await {
        Ok(body) => body,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), "a record segment was removed before it was shipped");
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    // A crash can leave half a line at the end; its record was never promised to anybody.
    let whole = body.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    body.truncate(whole);
    if !body.is_empty() {
        post(shared, "/internal/v1/records", body, "application/x-ndjson").await?;
    }
    tokio::fs::remove_file(path).await.map_err(|error| error.to_string())
}
