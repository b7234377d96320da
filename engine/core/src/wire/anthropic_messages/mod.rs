//! Anthropic Messages.

mod check;
mod citations;
mod decode;
mod encode;
mod errors;
mod from_chat;
mod read;

pub(crate) use check::{check, check_limit};
pub use citations::cited;
pub use decode::decode_chat;
pub use encode::{StreamEncoder, encode_answer};
pub use errors::{error_body, error_in};
pub use from_chat::{as_hosted, encode_chat};
pub(crate) use from_chat::{drop_unsigned, safe_id, thinking};
pub(crate) use read::MessagesReader;

use crate::domain::stream::StopReason;

/// Where a caller names the betas it wants.
pub const OPT_IN_HEADER: &str = "anthropic-beta";

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
