//! The fields of an answer or a stream's chunk that are read. What has another form than the dialect
//! says reads as absent where nothing of the answer is lost with it; elsewhere the answer is broken.

use std::borrow::Cow;

use serde::Deserialize;

use crate::wire::loose::{self, List, Object, Plain, Words};

#[derive(Deserialize, Default)]
pub(super) struct Chunk<'a> {
    #[serde(default, deserialize_with = "loose::string")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) choices: Option<List<Choice>>,
    #[serde(default)]
    pub(super) usage: Option<Object<RawUsage>>,
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) x_groq: Option<Box<Vendor>>,
    #[serde(default, deserialize_with = "loose::string")]
    pub(super) service_tier: Option<String>,
    #[serde(default, borrow)]
    pub(super) error: Option<&'a serde_json::value::RawValue>,
    #[serde(default, borrow, deserialize_with = "loose::word")]
    pub(super) object: Option<Cow<'a, str>>,
    /// Addresses only, where a server that searches puts them.
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) citations: Option<Vec<String>>,
}

/// A place where a server puts its usage although the standard one is free.
#[derive(Deserialize, Default)]
pub(super) struct Vendor {
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) usage: Option<RawUsage>,
}

#[derive(Deserialize, Default)]
pub(super) struct Choice {
    #[serde(default, deserialize_with = "loose::place")]
    pub(super) index: Option<u64>,
    /// Boxed, because a choice is moved more often than it is read.
    #[serde(default)]
    pub(super) delta: Option<Box<Object<Delta>>>,
    #[serde(default)]
    pub(super) message: Option<Box<Object<Delta>>>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) logprobs: Option<Logprobs>,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    pub(super) stop_reason: Option<String>,
    /// Where some servers put what the whole answer used, or what went wrong with it.
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) usage: Option<Box<RawUsage>>,
    #[serde(default)]
    pub(super) error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
pub(super) struct Logprobs {
    #[serde(default)]
    pub(super) content: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize, Default)]
pub(super) struct Delta {
    #[serde(default, deserialize_with = "loose::words")]
    pub(super) content: Option<Words>,
    #[serde(default)]
    pub(super) refusal: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    pub(super) reasoning_content: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    pub(super) reasoning: Option<String>,
    #[serde(default)]
    pub(super) tool_calls: Option<List<ToolCall>>,
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) annotations: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    pub(super) audio: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) function_call: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
pub(super) struct ToolCall {
    #[serde(default, deserialize_with = "loose::place")]
    pub(super) index: Option<u64>,
    #[serde(default, deserialize_with = "loose::string")]
    pub(super) id: Option<String>,
    #[serde(default, alias = "custom")]
    pub(super) function: Option<Object<Function>>,
    #[serde(default)]
    pub(super) extra_content: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
pub(super) struct Function {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default, alias = "input", deserialize_with = "loose::text_or_json")]
    pub(super) arguments: Option<Plain>,
}

#[derive(Deserialize, Default)]
pub(super) struct RawUsage {
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) total_tokens: Option<u64>,
    /// The same two under the names of a later API.
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) output_tokens: Option<u64>,
    /// Cached tokens under the names of three servers.
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) prompt_cache_hit_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) num_cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) prompt_tokens_details: Option<PromptDetails>,
    #[serde(default, deserialize_with = "loose::fitting")]
    pub(super) completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize, Default)]
pub(super) struct PromptDetails {
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
pub(super) struct CompletionDetails {
    #[serde(default, deserialize_with = "loose::count")]
    pub(super) reasoning_tokens: Option<u64>,
}
