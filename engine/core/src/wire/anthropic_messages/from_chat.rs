//! A canonical conversation as a Messages body.

use serde_json::{Map, Value, json};

use crate::domain::chat::{
    Capabilities, Chat, Content, Format, MediaKind, Part, Reasoning, Source, Speaker, Tool, ToolChoice,
};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, budget_of, put, refused, words_of};

/// The dialect requires a limit; this is sent where neither the caller nor the feature set one.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The fields for `model`, but for its name and whether to stream.
fn fields(mut chat: Chat, place: Place<'_>) -> Result<(Map<String, Value>, Vec<String>), UpstreamError> {
    let mut gate = Gate::new(Dialect::AnthropicMessages, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(&mut chat, &["seed", "presence_penalty", "frequency_penalty", "logprobs"]);
    gate.cap_temperature(&mut chat, 1.0);
    if chat.settings.format == Some(Format::Json) {
        gate.lacks(&mut chat, &["response_format"]);
    }
    drop_unsigned(&mut chat, &mut gate);
    let mut body = Map::new();
    let settings = &chat.settings;
    let mut said = messages(&chat)?;
    if settings.citations {
        said.iter_mut().for_each(cite_documents);
    }
    put(&mut body, "messages", Some(said));
    if !chat.system.is_empty() {
        put(&mut body, "system", Some(blocks(&chat.system)?));
    }
    let limit = settings.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    let limit = thinking(settings.reasoning.as_ref(), place.takes, limit, &mut body);
    put(&mut body, "max_tokens", Some(limit));
    // A thinking model takes no other temperature.
    if !body.contains_key("thinking") {
        put(&mut body, "temperature", settings.temperature);
        put(&mut body, "top_p", settings.top_p);
        put(&mut body, "top_k", settings.top_k);
    } else if settings.temperature.is_some() || settings.top_p.is_some() || settings.top_k.is_some() {
        gate.left_out("sampling beside thinking");
    }
    put(&mut body, "stop_sequences", Some(&settings.stop).filter(|stop| !stop.is_empty()));
    put(&mut body, "metadata", settings.user.as_ref().map(|user| json!({"user_id": user})));
    if let Some(Format::Schema { schema, .. }) = &settings.format {
        let format = json!({"type": "json_schema", "schema": schema});
        match body.get_mut("output_config").and_then(Value::as_object_mut) {
            Some(config) => put(config, "format", Some(format)),
            None => put(&mut body, "output_config", Some(json!({"format": format}))),
        }
    }
    if !chat.tools.is_empty() {
        put(&mut body, "tools", Some(chat.tools.iter().map(tool).collect::<Vec<_>>()));
        put(&mut body, "tool_choice", choice(&chat));
    }
    Ok((body, gate.warnings))
}

/// The body as it is sent to the dialect's own API.
///
/// # Errors
/// `Unsupported` for content without a form here.
pub fn encode_chat(chat: Chat, place: Place<'_>, stream: bool) -> Result<Encoded, UpstreamError> {
    let (mut body, warnings) = fields(chat, place)?;
    put(&mut body, "model", Some(place.model));
    put(&mut body, "stream", Some(true).filter(|_| stream));
    Ok(Encoded { body: Value::Object(body).to_string().into_bytes(), warnings })
}

/// A body for a host whose address names the model: without it, with the version it wants, and
/// without `stream` where the address says that too.
#[must_use]
pub fn as_hosted(body: &[u8], version: &str, keeps_stream: bool, opt_ins: &[String]) -> Vec<u8> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    fields.remove("model");
    if !keeps_stream {
        fields.remove("stream");
    }
    fields.entry("anthropic_version").or_insert_with(|| json!(version));
    if !opt_ins.is_empty() {
        fields.entry("anthropic_beta").or_insert_with(|| json!(opt_ins));
    }
    Value::Object(fields).to_string().into_bytes()
}

/// A thinking model refuses results of calls that its own signed thoughts do not precede.
pub(crate) fn drop_unsigned(chat: &mut Chat, gate: &mut Gate<'_>) {
    let calls = chat.turns.iter().rfind(|turn| turn.speaker == Speaker::Assistant);
    let unsigned = calls.is_some_and(|turn| {
        let called = turn.parts.iter().any(|part| matches!(part.content, Content::Call { .. }));
        let signed = |part: &Part| {
            matches!(part.content, Content::Reasoning { signature: Some(_), .. } | Content::Sealed { .. })
        };
        called && !turn.parts.iter().any(signed)
    });
    if unsigned && chat.settings.reasoning.take().is_some() {
        gate.left_out("reasoning after calls without their signed thoughts");
    }
}

/// Thinking in the form the model takes; the limit, raised so that it covers a budget.
pub(crate) fn thinking(
    reasoning: Option<&Reasoning>,
    takes: &Capabilities,
    limit: u64,
    body: &mut Map<String, Value>,
) -> u64 {
    let budget = match reasoning {
        None => return limit,
        Some(Reasoning::Budget(0)) => return limit,
        Some(Reasoning::Effort(effort)) if effort == "none" => return limit,
        Some(Reasoning::Effort(effort)) if !takes.thinking_budget => {
            put(body, "thinking", Some(json!({"type": "adaptive"})));
            let effort = if effort == "minimal" { "low" } else { effort };
            put(body, "output_config", Some(json!({"effort": effort})));
            return limit;
        }
        Some(Reasoning::Effort(effort)) => budget_of(effort),
        Some(Reasoning::Budget(budget)) => *budget,
    };
    put(body, "thinking", Some(json!({"type": "enabled", "budget_tokens": budget.max(1024)})));
    if limit > budget { limit } else { budget + limit }
}

fn tool(tool: &Tool) -> Value {
    let mut body = Map::new();
    put(&mut body, "name", Some(&tool.name));
    put(&mut body, "description", tool.description.as_deref());
    put(&mut body, "input_schema", Some(&tool.schema));
    put(&mut body, "strict", tool.strict);
    put(&mut body, "cache_control", tool.cached.then(|| json!({"type": "ephemeral"})));
    Value::Object(body)
}

fn choice(chat: &Chat) -> Option<Value> {
    let single = chat.parallel_calls == Some(false);
    let mut choice = match &chat.tool_choice {
        Some(ToolChoice::Any) => json!({"type": "any"}),
        Some(ToolChoice::None) => return Some(json!({"type": "none"})),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        None if single => json!({"type": "auto"}),
        None => return None,
    };
    if single {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    Some(choice)
}

fn messages(chat: &Chat) -> Result<Vec<Value>, UpstreamError> {
    let message = |turn: &crate::domain::chat::Turn| {
        let role = if turn.speaker == Speaker::User { "user" } else { "assistant" };
        Ok(json!({"role": role, "content": blocks(&turn.parts)?}))
    };
    chat.turns.iter().map(message).collect()
}

/// Asks for the places in the documents of a message.
fn cite_documents(message: &mut Value) {
    let blocks = message.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten();
    for block in blocks.filter(|block| block["type"] == "document") {
        block["citations"] = json!({"enabled": true});
    }
}

/// Blank text is refused by the service, so it is left out.
fn blocks(parts: &[Part]) -> Result<Vec<Value>, UpstreamError> {
    let mut all = Vec::new();
    for part in parts {
        if matches!(&part.content, Content::Text(text) if text.trim().is_empty()) {
            continue;
        }
        let Some(mut block) = block(&part.content)? else {
            continue;
        };
        if part.cached {
            block["cache_control"] = json!({"type": "ephemeral"});
        }
        all.push(block);
    }
    Ok(all)
}

fn block(content: &Content) -> Result<Option<Value>, UpstreamError> {
    Ok(Some(match content {
        Content::Text(text) | Content::Refusal(text) => json!({"type": "text", "text": text}),
        Content::Media { kind: MediaKind::Image, source, .. } => {
            json!({"type": "image", "source": from(source)})
        }
        Content::Media { kind: MediaKind::Document, source, name } => {
            let mut block = json!({"type": "document", "source": from(source)});
            if let Some(name) = name {
                block["title"] = json!(name);
            }
            block
        }
        Content::Media { kind: MediaKind::Audio, .. } => {
            return Err(refused("messages: audio has no form at this endpoint"));
        }
        Content::Call { id, name, arguments, .. } => {
            json!({"type": "tool_use", "id": safe_id(id), "name": name, "input": arguments})
        }
        Content::Result { id, parts, is_error } => {
            let mut block =
                json!({"type": "tool_result", "tool_use_id": safe_id(id), "content": blocks(parts)?});
            if *is_error {
                block["is_error"] = json!(true);
            }
            block
        }
        Content::Reasoning { text, signature: Some(signature), .. } => {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        // Unsigned thoughts are nobody's proof; the service refuses them.
        Content::Reasoning { signature: None, .. } => return Ok(None),
        Content::Sealed { data, .. } => json!({"type": "redacted_thinking", "data": data}),
    }))
}

fn from(source: &Source) -> Value {
    if let Some(words) = words_of(source) {
        return json!({"type": "text", "media_type": "text/plain", "data": words});
    }
    match source {
        Source::Inline { media_type, data } => {
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        Source::Url(url) => json!({"type": "url", "url": url}),
    }
}

/// An id in the letters this dialect takes. The same id always becomes the same.
pub(crate) fn safe_id(id: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let mapped: String = id.chars().map(safe).collect();
    match mapped.len() {
        0 => "call".to_owned(),
        1..=64 => mapped,
        _ => format!("call_{:016x}", xxhash_rust::xxh3::xxh3_64(id.as_bytes())),
    }
}
