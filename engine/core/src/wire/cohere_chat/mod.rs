//! Cohere chat, version 2.

mod citations;
mod from_chat;
mod read;

pub use from_chat::{encode_chat, put_sampling};
pub(crate) use read::CohereReader;

use crate::domain::stream::StopReason;

/// What a finish reason means.
#[must_use]
pub fn stop_reason(word: &str) -> StopReason {
    match word {
        "COMPLETE" => StopReason::End,
        "STOP_SEQUENCE" => StopReason::StopSequence,
        "TOOL_CALL" => StopReason::ToolCalls,
        "MAX_TOKENS" => StopReason::Length,
        "ERROR_TOXIC" => StopReason::ContentFilter,
        _ => StopReason::Unknown,
    }
}
