//! OpenAI Responses.

mod check;
mod citations;
mod decode;
mod encode;
mod from_chat;
mod read;

pub(crate) use check::check;
pub use citations::annotation;
pub use decode::decode_chat;
pub use encode::{Identity, StreamEncoder, encode_answer};
pub use from_chat::encode_chat;
pub(crate) use read::ResponsesReader;

use crate::domain::stream::StopReason;

/// What callers list under `include` to be told log probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";

/// What a status with its `incomplete_details.reason` means; `calls`: the caller must answer one.
#[must_use]
pub fn stop_reason(status: &str, incomplete: &str, calls: bool) -> StopReason {
    match (status, incomplete) {
        ("completed", _) if calls => StopReason::ToolCalls,
        ("completed", _) => StopReason::End,
        ("incomplete", "max_output_tokens") => StopReason::Length,
        ("incomplete", "content_filter") => StopReason::ContentFilter,
        ("incomplete" | "queued" | "in_progress", _) => StopReason::Paused,
        _ => StopReason::Unknown,
    }
}
