//! Anthropic Messages.

mod errors;
mod read;

pub use errors::error_in;
pub(crate) use read::MessagesReader;

use crate::domain::stream::StopReason;

/// What a stop reason means.
#[must_use]
pub fn stop_reason(word: &str) -> StopReason {
    match word {
        "end_turn" => StopReason::End,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolCalls,
        "max_tokens" => StopReason::Length,
        "model_context_window_exceeded" => StopReason::ContextFull,
        "refusal" => StopReason::ContentFilter,
        "pause_turn" | "compaction" => StopReason::Paused,
        _ => StopReason::Unknown,
    }
}
