//! Knows when bytes given to the server have been written out. A body that ends in an error makes the
//! server drop what it has not written yet; the error event before the break must get out first.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::Notify;

/// How long a caller may take to accept the last event before its connection is broken anyway.
const PATIENCE: Duration = Duration::from_secs(1);

/// Resolves when the watched bytes are let go, which the server does after writing them.
#[derive(Default)]
pub struct Written(Arc<Notify>);

struct Watched {
    bytes: Vec<u8>,
    gone: Arc<Notify>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}

impl Written {
    #[must_use]
    pub fn watched(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Watched { bytes, gone: Arc::clone(&self.0) })
    }

    /// Returns when the bytes are out, or after a second.
    pub async fn wait(self) {
        let _ = tokio::time::timeout(PATIENCE, self.0.notified()).await;
    }
}
