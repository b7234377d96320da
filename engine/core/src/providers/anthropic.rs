//! Anthropic's own API.

use crate::domain::outcome::UpstreamError;
use crate::wire::anthropic_messages;

pub(super) fn classify(status: u16, body: &[u8]) -> UpstreamError {
    anthropic_messages::error_in(status, body)
}
