//! OpenAI Chat Completions: the callers' dialect, and that of every compatible upstream.

mod answer;
mod check;
mod citations;
mod decode;
mod encode;
mod errors;
mod extent;
mod form;
mod from_chat;
mod read;
mod request;
mod standard;

pub use answer::encode_answer;
pub(crate) use check::check;
pub use citations::annotation;
pub use decode::{decode_chat, settings};
pub use encode::StreamEncoder;
pub use errors::{by_status, encode_error, encode_error_event, error_body, error_in, is_vaguer};
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

/// What a finish reason means; compatible servers also use the words of other dialects.
#[must_use]
pub fn stop_reason(word: &str) -> StopReason {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "complete" => StopReason::End,
        "stop_sequence" => StopReason::StopSequence,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => StopReason::ToolCalls,
        "length" | "max_tokens" | "max_output_tokens" => StopReason::Length,
        "model_length" | "model_context_window_exceeded" => StopReason::ContextFull,
        "content_filter" | "content_filtered" | "safety" | "recitation" | "sensitive" | "refusal" => {
            StopReason::ContentFilter
        }
        _ => StopReason::Unknown,
    }
}
