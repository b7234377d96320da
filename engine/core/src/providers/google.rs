//! What the two Google APIs share: the error envelope. Partner models behind it may answer in
//! their own.

use serde_json::Value;

use crate::domain::outcome::UpstreamError;
use crate::wire::{anthropic_messages, gemini};

pub(super) fn classify(status: u16, body: &[u8]) -> UpstreamError {
    let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let partner = document.get("type").and_then(Value::as_str) == Some("error");
    if partner { anthropic_messages::error_in(status, body) } else { gemini::error_in(status, &document) }
}
