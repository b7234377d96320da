//! One attempt against one endpoint: connect, sign, send, read until it is over.

pub mod attempt;
pub mod connect;
pub mod http1;
pub mod job;
mod pool;
mod record;
pub mod sign;
mod size;
mod timers;
pub mod warm;

use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};

/// An outcome of our own making.
#[must_use]
pub fn failure(kind: ErrorKind, detail: String) -> UpstreamError {
    UpstreamError { kind, detail, http_status: None, pushback_ms: None }
}
