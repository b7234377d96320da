//! OpenAI Chat Completions: the callers' dialect, and that of every compatible upstream.

mod answer;
mod check;
mod decode;
mod encode;
mod errors;
mod from_chat;
mod read;
mod request;

pub use answer::encode_answer;
pub use decode::{decode_chat, settings};
pub use encode::StreamEncoder;
pub use errors::{by_status, encode_error, encode_error_event, error_in};
pub use from_chat::encode_chat;
pub(crate) use read::ChatReader;
pub use request::{Facts, Fields, RequestError, decode_request, encode_request, facts};

use crate::domain::stream::StopReason;

/// The dialect's word for a stop reason.
#[must_use]
pub fn finish_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::End | StopReason::StopSequence | StopReason::Paused | StopReason::Unknown => "stop",
        StopReason::ToolCalls => "tool_calls",
        StopReason::Length | StopReason::ContextFull => "length",
        StopReason::ContentFilter | StopReason::Malformed => "content_filter",
    }
}

/// What a finish reason means.
#[must_use]
pub fn stop_reason(word: &str) -> StopReason {
    match word {
        "stop" => StopReason::End,
        "tool_calls" | "function_call" => StopReason::ToolCalls,
        "length" => StopReason::Length,
        "content_filter" => StopReason::ContentFilter,
        _ => StopReason::Unknown,
    }
}
