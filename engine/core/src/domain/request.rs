//! A caller's request in canonical form, and what routing needs to know of it.

use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::chat::Capabilities;
use super::prompt::{Counting, PromptSize};
use super::snapshot::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    Provider,
    Estimated,
}

/// Tokens, each counted once; `output` includes `reasoning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input_uncached: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
    pub source: UsageSource,
}

impl Usage {
    /// From a provider that counts `read` and `written` inside `input`. What exceeds `input` was
    /// counted twice over there, and is cut here.
    #[must_use]
    pub fn inclusive(input: u64, read: u64, written: u64, output: u64, reasoning: u64) -> Self {
        let cache_read = read.min(input);
        let cache_write = written.min(input - cache_read);
        Self {
            input_uncached: input - cache_read - cache_write,
            cache_read,
            cache_write,
            output,
            reasoning,
            source: UsageSource::Provider,
        }
    }

    /// All that went in, wherever it was read from.
    #[must_use]
    pub fn input(&self) -> u64 {
        self.input_uncached + self.cache_read + self.cache_write
    }
}

/// What a request cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    pub tools: bool,
    pub images: bool,
    pub documents: bool,
    pub audio: bool,
    pub schema: bool,
    /// The last turn is the assistant's own, to be continued.
    pub prefill: bool,
}

impl Needs {
    /// The first that a model does not take, in words.
    #[must_use]
    pub fn lacking(&self, takes: &Capabilities) -> Option<&'static str> {
        let each = [
            (self.tools, takes.tools, "calls no tools"),
            (self.images, takes.images, "reads no images"),
            (self.documents, takes.documents, "reads no documents"),
            (self.audio, takes.audio, "hears no audio"),
            (self.schema, takes.schema, "promises no schema"),
            (self.prefill, takes.prefill, "continues no last turn of the assistant's"),
        ];
        each.into_iter().find(|(needed, taken, _)| *needed && !taken).map(|(_, _, words)| words)
    }
}

/// What `choose` looks at. `unit`: the sticky unit (session header, else `user`, else request id).
/// `unix_s`: wall time, only for end dates. `pin`: serve from exactly this endpoint (measuring keys only; the shell has checked the right).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestFacts {
    pub request_id: String,
    pub feature: String,
    pub unit: String,
    pub unix_s: u64,
    pub stream: bool,
    pub input_tokens: u64,
    /// What each endpoint's family weighs; without it `input_tokens` stands for all of them.
    #[serde(default)]
    pub prompt: Option<PromptSize>,
    pub max_output_tokens: Option<u64>,
    pub tools: bool,
    /// A hash of what comes first in the prompt and stays the same (instructions and tools), where a
    /// pool of the feature chooses by it.
    #[serde(default)]
    pub prefix: Option<u64>,
    #[serde(default)]
    pub needs: Needs,
    pub deadline_ms: Option<u64>,
    pub pin: Option<String>,
}

impl RequestFacts {
    /// Its prompt as a model family counts it; where only a number is known, that.
    #[must_use]
    pub fn tokens_by(&self, counting: &Counting) -> u64 {
        self.prompt.map_or(self.input_tokens, |prompt| counting.tokens(&prompt))
    }

    /// A hash of what its prompt shares with others: its stable part, else what its user said before.
    #[must_use]
    pub fn affinity_key(&self) -> u64 {
        self.prefix.unwrap_or_else(|| xxh3_64(self.unit.as_bytes()))
    }
}

/// A request as the caller sent it, in its dialect: the whole body as a map, so that a same-dialect
/// upstream gets every field, known to us or not, and other dialects translate from it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    pub dialect: Dialect,
    pub body: Map<String, Value>,
    /// The bytes it was read from, where its fields can be copied from them one by one.
    pub sent: Option<Sent>,
    /// What the caller opts into beside the body, in its dialect's own header.
    pub opt_ins: Vec<String>,
}

/// A body's own bytes and where its fields are, each name once and without escapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub bytes: Bytes,
    pub members: Vec<Member>,
}

/// One field of an object in its text: the name between its quotes, and the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

impl ChatRequest {
    /// A request that nobody sent: one of our own making.
    #[must_use]
    pub fn made(dialect: Dialect, body: Map<String, Value>) -> Self {
        Self { dialect, body, sent: None, opt_ins: Vec::new() }
    }
}

impl Sent {
    /// The fields in their order, as they were written.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.members.iter().filter_map(|member| {
            let name = self.bytes.get(member.name.clone())?;
            Some((std::str::from_utf8(name).ok()?, self.bytes.get(member.value.clone())?))
        })
    }
}
