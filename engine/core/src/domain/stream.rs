//! What a provider says while it answers, in one form over all dialects.

use std::ops::Range;

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

/// Where a statement of an answer comes from. `span`: the part of the answer's whole text that it
/// stands behind, in characters from its start; without one, no part in particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    pub span: Option<Range<u64>>,
    pub source: Cited,
    pub title: Option<String>,
    /// The source's own words.
    pub quote: Option<String>,
}

/// What is cited. `index` counts from zero in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cited {
    /// An address.
    Page(String),
    /// A document of the request, and where in it.
    Document { index: u64, unit: CitedUnit, place: Range<u64> },
    /// A search result of the request, by its own name of its source; `place`: blocks of it.
    SearchResult { index: u64, source: String, place: Range<u64> },
    /// A document or file that the provider knows by this name.
    Named(String),
    /// What a tool answered, by the id of the call.
    Result(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CitedUnit {
    Characters,
    Pages,
    Blocks,
}

impl Cited {
    /// Its address on the web, if it has one.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        let (Self::Page(name) | Self::SearchResult { source: name, .. }) = self else {
            return None;
        };
        is_url(name).then_some(name.as_str())
    }

    /// A source by the only name it has: an address, or what the provider calls it.
    #[must_use]
    pub fn by_name(name: &str) -> Self {
        if is_url(name) { Self::Page(name.to_owned()) } else { Self::Named(name.to_owned()) }
    }
}

fn is_url(name: &str) -> bool {
    name.starts_with("https://") || name.starts_with("http://")
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
    /// Of text said before.
    Citation(Box<Citation>),
    /// Log probabilities of the tokens of text said before, each as OpenAI's callers read it.
    Logprobs(Vec<Value>),
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

    /// Bytes of what the model wrote, thoughts and arguments included.
    #[must_use]
    pub fn written(&self) -> usize {
        match self {
            Self::Text(text) | Self::Refusal(text) | Self::Reasoning(text) => text.len(),
            Self::ToolArguments { fragment, .. } => fragment.len(),
            _ => 0,
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
                    | Self::Citation(_)
                    | Self::Extra(_)
                    | Self::Stop { .. }
                    | Self::Terminal
            )
    }
}
