//! Google's generateContent and streamGenerateContent.

mod citations;
mod errors;
mod from_chat;
mod read;

pub use errors::{error_in, retry_delay_ms};
pub use from_chat::encode_chat;
pub(crate) use read::GeminiReader;

use crate::domain::stream::StopReason;

/// What a finish reason means; `calls`: the model called a tool (which it says with `STOP`).
#[must_use]
pub fn stop_reason(word: &str, calls: bool) -> StopReason {
    match word {
        // A call nobody expected that came whole is still a call to answer.
        "STOP" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" if calls => StopReason::ToolCalls,
        "STOP" => StopReason::End,
        "MAX_TOKENS" => StopReason::Length,
        "CONTINUATION" => StopReason::Paused,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "MODEL_ARMOR" | "JAILBREAK" | "ESCALATION" => StopReason::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "MALFORMED_RESPONSE"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE" => StopReason::Malformed,
        _ if word.starts_with("IMAGE_") => StopReason::ContentFilter,
        _ => StopReason::Unknown,
    }
}
