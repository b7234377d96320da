//! A conversation in canonical form: what every chat dialect can say, in one shape. Between the
//! same dialects it is never built (bytes pass); across dialects it is the only way through.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::snapshot::{Dialect, required};

/// A request for the next turn of a conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chat {
    pub system: Vec<Part>,
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// `false`: at most one call an answer.
    pub parallel_calls: Option<bool>,
    pub settings: Settings,
}

/// What a model takes of what its dialect can say. `sampling`: temperature, `top_p` and `top_k`;
/// `prefill`: a last turn of the assistant's, to be continued; `thinking_budget`: a number of thinking
/// tokens, else only an effort; `context`: the most tokens of a prompt, where known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    pub tools: bool,
    pub images: bool,
    pub documents: bool,
    pub audio: bool,
    pub schema: bool,
    pub prefill: bool,
    pub sampling: bool,
    pub thinking_budget: bool,
    #[serde(deserialize_with = "required")]
    pub context: Option<u64>,
}

impl Capabilities {
    /// Those of a model that takes whatever its dialect can say.
    pub const EVERYTHING: Self = Self {
        tools: true,
        images: true,
        documents: true,
        audio: true,
        schema: true,
        prefill: true,
        sampling: true,
        thinking_budget: true,
        context: None,
    };

    /// What two models both take.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self {
            tools: self.tools && other.tools,
            images: self.images && other.images,
            documents: self.documents && other.documents,
            audio: self.audio && other.audio,
            schema: self.schema && other.schema,
            prefill: self.prefill && other.prefill,
            sampling: self.sampling && other.sampling,
            thinking_budget: self.thinking_budget && other.thinking_budget,
            context: [self.context, other.context].into_iter().flatten().min(),
        }
    }
}

/// How the answer is to be made. `uncarried` names fields without a common form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub max_output_tokens: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub stop: Vec<String>,
    pub seed: Option<i64>,
    pub presence_penalty: Option<f64>,
    pub frequency_penalty: Option<f64>,
    /// How many alternatives' log probabilities are wanted beside each token's.
    pub logprobs: Option<u64>,
    pub user: Option<String>,
    pub format: Option<Format>,
    pub reasoning: Option<Reasoning>,
    /// The answer is to say where in the documents its statements come from.
    pub citations: bool,
    pub uncarried: Vec<String>,
}

/// How much the model may think: a word, or a number of tokens (0: not at all).
#[derive(Debug, Clone, PartialEq)]
pub enum Reasoning {
    Effort(String),
    Budget(u64),
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Json,
    Schema { name: String, schema: Value, strict: Option<bool> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    User,
    Assistant,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub speaker: Speaker,
    pub parts: Vec<Part>,
}

/// `cached`: the prompt up to here is worth keeping.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub content: Content,
    pub cached: bool,
}

impl Part {
    /// A part without a cache marker.
    #[must_use]
    pub fn plain(content: Content) -> Self {
        Self { content, cached: false }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Text(String),
    Refusal(String),
    Media {
        kind: MediaKind,
        source: Source,
        name: Option<String>,
    },
    /// `arguments`: an object.
    Call {
        id: String,
        name: String,
        arguments: Value,
        signature: Option<String>,
    },
    Result {
        id: String,
        parts: Vec<Part>,
        is_error: bool,
    },
    /// Bound to its author by `signature`; other dialects leave it out.
    Reasoning {
        text: String,
        signature: Option<String>,
        origin: Dialect,
    },
    /// Unreadable to all but its author.
    Sealed {
        data: String,
        origin: Dialect,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Document,
    Audio,
}

/// `data`: base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Inline { media_type: String, data: String },
    Url(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    pub schema: Value,
    pub strict: Option<bool>,
    pub cached: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    Any,
    None,
    Named(String),
}

impl Chat {
    /// Adds parts to the conversation; parts of one speaker in a row are one turn.
    pub fn speak(&mut self, speaker: Speaker, parts: Vec<Part>) {
        match self.turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.speaker == speaker => last.parts.extend(parts),
            _ => self.turns.push(Turn { speaker, parts }),
        }
    }

    /// The name of the call that `id` answers.
    #[must_use]
    pub fn name_of(&self, id: &str) -> Option<&str> {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        parts.rev().find_map(|part| match &part.content {
            Content::Call { id: known, name, .. } if known == id => Some(name.as_str()),
            _ => None,
        })
    }
}

impl Settings {
    /// What `over` says wins.
    pub fn overlay(&mut self, over: Self) {
        fn take<T>(slot: &mut Option<T>, over: Option<T>) {
            if over.is_some() {
                *slot = over;
            }
        }
        take(&mut self.max_output_tokens, over.max_output_tokens);
        take(&mut self.temperature, over.temperature);
        take(&mut self.top_p, over.top_p);
        take(&mut self.top_k, over.top_k);
        take(&mut self.seed, over.seed);
        take(&mut self.presence_penalty, over.presence_penalty);
        take(&mut self.frequency_penalty, over.frequency_penalty);
        take(&mut self.logprobs, over.logprobs);
        take(&mut self.user, over.user);
        take(&mut self.format, over.format);
        take(&mut self.reasoning, over.reasoning);
        self.citations |= over.citations;
        if !over.stop.is_empty() {
            self.stop = over.stop;
        }
        self.uncarried.extend(over.uncarried);
    }
}
