//! Text Generation Inference and the containers that copy it: one text in, one text out.

mod from_chat;
mod read;

pub use from_chat::encode_chat;
pub(crate) use from_chat::{prompt, words};
pub(crate) use read::TgiReader;

use crate::domain::stream::StopReason;

/// What a finish reason means.
#[must_use]
pub fn stop_reason(word: &str) -> StopReason {
    match word {
        "eos_token" | "stop" => StopReason::End,
        "stop_sequence" => StopReason::StopSequence,
        "length" => StopReason::Length,
        _ => StopReason::Unknown,
    }
}
