//! Answers and stream chunks of an OpenAI-compatible server, as events.

use serde::Deserialize;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::{Usage, UsageSource};
use crate::domain::stream::StreamEvent;
use crate::wire::closing::{Closing, upstream_error};
use crate::wire::loose;

use super::errors::error_in;
use super::stop_reason;

/// What a chunk is to a caller of the same dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkKind {
    UsageOnly,
    /// Unreadable, or an error: not to be forwarded.
    Unusable,
    Other,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, deserialize_with = "loose::string")]
    id: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    model: Option<String>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(default, deserialize_with = "loose::string")]
    service_tier: Option<String>,
    #[serde(default, borrow)]
    error: Option<&'a serde_json::value::RawValue>,
    #[serde(default, deserialize_with = "loose::string")]
    object: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    #[serde(default, alias = "message")]
    delta: Option<Delta>,
    #[serde(default, deserialize_with = "loose::string")]
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Delta {
    #[serde(default, deserialize_with = "loose::string")]
    content: Option<String>,
    #[serde(default, deserialize_with = "loose::string")]
    refusal: Option<String>,
    #[serde(default, alias = "reasoning", deserialize_with = "loose::string")]
    reasoning_content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default, deserialize_with = "loose::string")]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default, deserialize_with = "loose::string")]
    name: Option<String>,
    #[serde(default, deserialize_with = "loose::text_or_json")]
    arguments: Option<String>,
}

#[derive(Deserialize, Default)]
struct RawUsage {
    #[serde(default, deserialize_with = "loose::count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    #[serde(default, deserialize_with = "loose::count")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "loose::count")]
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "loose::count")]
    reasoning_tokens: Option<u64>,
}

/// Reads a plain answer.
pub(crate) fn read_answer(body: &[u8], closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    if body.iter().all(u8::is_ascii_whitespace) {
        return; // `Closing::finish` says what an empty answer is
    }
    match serde_json::from_slice::<Chunk<'_>>(body) {
        Ok(chunk) => {
            if read(chunk, body, closing, out) != ChunkKind::Unusable {
                closing.push(StreamEvent::Terminal, out);
            }
        }
        Err(error) => {
            let detail = format!("the answer is not JSON: {error}");
            closing.fail(upstream_error(ErrorKind::MalformedOutput, None, &detail), out);
        }
    }
}

/// Reads the data of one server-sent event.
pub(crate) fn read_chunk(data: &[u8], closing: &mut Closing, out: &mut Vec<StreamEvent>) -> ChunkKind {
    if data == b"[DONE]" {
        closing.push(StreamEvent::Terminal, out);
        return ChunkKind::Other;
    }
    match serde_json::from_slice::<Chunk<'_>>(data) {
        Ok(chunk) => {
            closing.readable();
            read(chunk, data, closing, out)
        }
        Err(error) => {
            closing.push(StreamEvent::Malformed(error.to_string()), out);
            ChunkKind::Unusable
        }
    }
}

fn read(chunk: Chunk<'_>, whole: &[u8], closing: &mut Closing, out: &mut Vec<StreamEvent>) -> ChunkKind {
    let failed =
        chunk.error.is_some_and(|raw| raw.get() != "null") || chunk.object.as_deref() == Some("error");
    if failed {
        closing.fail(error_in(200, whole), out);
        return ChunkKind::Unusable;
    }
    if chunk.id.is_some() || chunk.model.is_some() {
        closing.push(StreamEvent::Start { id: chunk.id, model: chunk.model }, out);
    }
    let choices = chunk.choices.unwrap_or_default();
    let only_usage = choices.is_empty() && chunk.usage.is_some();
    for choice in choices {
        read_choice(choice, closing, out);
    }
    if let Some(tier) = chunk.service_tier {
        closing.push(StreamEvent::ServedTier(tier), out);
    }
    if let Some(usage) = chunk.usage.as_ref().and_then(usage) {
        closing.push(StreamEvent::Usage(usage), out);
    }
    if only_usage { ChunkKind::UsageOnly } else { ChunkKind::Other }
}

/// Only the first choice feeds the canonical form; a same-dialect caller gets all of them as bytes.
fn read_choice(choice: Choice, closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    if choice.index != 0 {
        return;
    }
    let delta = choice.delta.unwrap_or_default();
    let mut say = |event| closing.push(event, out);
    if let Some(text) = delta.reasoning_content.filter(|text| !text.is_empty()) {
        say(StreamEvent::Reasoning(text));
    }
    if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
        say(StreamEvent::Text(text));
    }
    if let Some(text) = delta.refusal.filter(|text| !text.is_empty()) {
        say(StreamEvent::Refusal(text));
    }
    for (position, call) in (0u32..).zip(delta.tool_calls.unwrap_or_default()) {
        let index = call.index.unwrap_or(position);
        let (name, arguments) =
            call.function.map_or((None, None), |function| (function.name, function.arguments));
        if call.id.is_some() || name.as_ref().is_some_and(|name| !name.is_empty()) {
            let (id, name) = (call.id.unwrap_or_default(), name.unwrap_or_default());
            say(StreamEvent::ToolStart { index, id, name });
        }
        if let Some(fragment) = arguments.filter(|text| !text.is_empty()) {
            say(StreamEvent::ToolArguments { index, fragment });
        }
    }
    if let Some(raw) = choice.finish_reason {
        say(StreamEvent::Stop { reason: stop_reason(&raw), raw });
    }
}

/// Cached and written tokens are inside `prompt_tokens`, reasoning inside `completion_tokens`.
fn usage(raw: &RawUsage) -> Option<Usage> {
    let (input, output) = (raw.prompt_tokens?, raw.completion_tokens.unwrap_or(0));
    let details = raw.prompt_tokens_details.as_ref();
    let read = details.and_then(|d| d.cached_tokens).unwrap_or(0);
    let written = details.and_then(|d| d.cache_write_tokens).unwrap_or(0);
    Some(Usage {
        input_uncached: input.saturating_sub(read + written),
        cache_read: read,
        cache_write: written,
        output,
        reasoning: raw.completion_tokens_details.as_ref().and_then(|d| d.reasoning_tokens).unwrap_or(0),
        source: UsageSource::Provider,
    })
}
