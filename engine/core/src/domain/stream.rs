//! What a provider says while it answers, in one form over all dialects.

use serde_json::Value;

use super::outcome::UpstreamError;
use super::request::Usage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    End,
    StopSequence,
    ToolCalls,
    Length,
    ContextFull,
    ContentFilter,
    Paused,
    Malformed,
    Unknown,
}

/// One step of an answer. `Terminal` is the provider's own closing event: without it an answer
/// has been cut, whatever else was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    Start {
        id: Option<String>,
        model: Option<String>,
    },
    Text(String),
    Refusal(String),
    Reasoning(String),
    /// What binds the reasoning before it to its author: only that provider can read it.
    ReasoningSignature(String),
    /// Reasoning its author keeps unreadable, to be returned as it is.
    RedactedReasoning(String),
    ToolStart {
        index: u32,
        id: String,
        name: String,
    },
    ToolArguments {
        index: u32,
        fragment: String,
    },
    /// As `ReasoningSignature`, for a provider that binds it to a call.
    ToolSignature {
        index: u32,
        signature: String,
    },
    /// Embeddings: the list as OpenAI's callers read it, as JSON text.
    Vectors(String),
    /// `raw`: the provider's own word.
    Stop {
        reason: StopReason,
        raw: String,
    },
    Usage(Usage),
    ServedTier(String),
    /// A keep-alive: bytes, but no progress.
    Ping,
    /// An event we could not read: skipped once, two in a row break the stream.
    Malformed(String),
    Error(UpstreamError),
    Terminal,
    /// Content without a common form (audio, a provider's own tools at work): it reaches a caller
    /// of the same dialect as bytes, and nobody else.
    Extra(Value),
}

impl StreamEvent {
    /// Whether this event lets the gateway commit: content a caller would act on.
    #[must_use]
    pub fn is_content(&self) -> bool {
        match self {
            Self::Text(text) | Self::Refusal(text) => !text.is_empty(),
            Self::ToolStart { .. } | Self::ToolArguments { .. } | Self::Vectors(_) => true,
            _ => false,
        }
    }

    /// Whether the model moved: content, reasoning or the end; keep-alives are no progress.
    #[must_use]
    pub fn is_progress(&self) -> bool {
        self.is_content()
            || matches!(
                self,
                Self::Reasoning(_)
                    | Self::ReasoningSignature(_)
                    | Self::RedactedReasoning(_)
                    | Self::Extra(_)
                    | Self::Stop { .. }
                    | Self::Terminal
            )
    }
}
