//! A canonical conversation as a chat body, for compatible upstreams of callers who speak
//! another dialect.

use serde_json::{Map, Value, json};

use crate::domain::chat::{
    Chat, Content, Format, MediaKind, Part, Reasoning, Source, Speaker, Tool, ToolChoice,
};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, as_url, effort_of, put, refused};

/// The body.
///
/// # Errors
/// `Unsupported` for content without a form here.
pub fn encode_chat(mut chat: Chat, place: Place<'_>, stream: bool) -> Result<Encoded, UpstreamError> {
    let mut gate = Gate::new(Dialect::OpenaiChat, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(&mut chat, &["top_k"]);
    let mut body = Map::new();
    put(&mut body, "model", Some(place.model).filter(|_| place.named));
    body.insert("messages".to_owned(), Value::Array(messages(&chat)?));
    if !chat.tools.is_empty() {
        body.insert("tools".to_owned(), chat.tools.iter().map(tool).collect());
        put(&mut body, "tool_choice", chat.tool_choice.as_ref().map(choice));
        put(&mut body, "parallel_tool_calls", chat.parallel_calls);
    }
    let settings = &chat.settings;
    put(&mut body, place.limit, settings.max_output_tokens);
    put(&mut body, "temperature", settings.temperature);
    put(&mut body, "top_p", settings.top_p);
    put(&mut body, "stop", Some(&settings.stop).filter(|stop| !stop.is_empty()));
    put(&mut body, "seed", settings.seed);
    put(&mut body, "presence_penalty", settings.presence_penalty);
    put(&mut body, "frequency_penalty", settings.frequency_penalty);
    put(&mut body, "logprobs", settings.logprobs.map(|_| true));
    put(&mut body, "top_logprobs", settings.logprobs.filter(|count| *count > 0));
    put(&mut body, "user", settings.user.as_deref());
    put(&mut body, "response_format", settings.format.as_ref().map(format));
    put(&mut body, "reasoning_effort", settings.reasoning.as_ref().map(effort));
    if stream {
        put(&mut body, "stream", Some(true));
        put(&mut body, "stream_options", Some(json!({"include_usage": true})));
    }
    Ok(Encoded { body: Value::Object(body).to_string().into_bytes(), warnings: gate.warnings })
}

fn effort(reasoning: &Reasoning) -> &str {
    match reasoning {
        Reasoning::Effort(word) => word,
        Reasoning::Budget(budget) => effort_of(*budget),
    }
}

fn format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict } => {
            let mut inner = Map::new();
            put(&mut inner, "name", Some(name));
            put(&mut inner, "schema", Some(schema));
            put(&mut inner, "strict", *strict);
            json!({"type": "json_schema", "json_schema": inner})
        }
    }
}

fn tool(tool: &Tool) -> Value {
    let mut function = Map::new();
    put(&mut function, "name", Some(&tool.name));
    put(&mut function, "description", tool.description.as_deref());
    put(&mut function, "parameters", Some(&tool.schema));
    put(&mut function, "strict", tool.strict);
    json!({"type": "function", "function": function})
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::Any => json!("required"),
        ToolChoice::None => json!("none"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

fn messages(chat: &Chat) -> Result<Vec<Value>, UpstreamError> {
    let mut all = Vec::new();
    if !chat.system.is_empty() {
        all.push(json!({"role": "system", "content": content(&chat.system.iter().collect::<Vec<_>>())?}));
    }
    for turn in &chat.turns {
        match turn.speaker {
            Speaker::Assistant => all.push(assistant(&turn.parts)?),
            Speaker::User => {
                let mut said: Vec<&Part> = Vec::new();
                for part in &turn.parts {
                    let Content::Result { id, parts, is_error } = &part.content else {
                        said.push(part);
                        continue;
                    };
                    // Results answer the turn before; words after them are a message of their own.
                    let words = content(&parts.iter().collect::<Vec<_>>())?;
                    let words = if *is_error { json!(format!("error: {}", plain(&words))) } else { words };
                    all.push(json!({"role": "tool", "tool_call_id": id, "content": words}));
                }
                if !said.is_empty() {
                    all.push(json!({"role": "user", "content": content(&said)?}));
                }
            }
        }
    }
    Ok(all)
}

fn plain(words: &Value) -> String {
    words.as_str().map_or_else(|| words.to_string(), str::to_owned)
}

fn assistant(parts: &[Part]) -> Result<Value, UpstreamError> {
    let mut message = Map::new();
    put(&mut message, "role", Some("assistant"));
    let said: Vec<&Part> = parts
        .iter()
        .filter(|part| matches!(part.content, Content::Text(_) | Content::Refusal(_) | Content::Media { .. }))
        .collect();
    let words = if said.is_empty() { Value::Null } else { content(&said)? };
    message.insert("content".to_owned(), words);
    let calls: Vec<Value> = parts.iter().filter_map(|part| call(&part.content)).collect();
    put(&mut message, "tool_calls", Some(calls).filter(|calls| !calls.is_empty()));
    let thoughts: String = parts
        .iter()
        .filter_map(|part| {
            if let Content::Reasoning { text, .. } = &part.content { Some(text.as_str()) } else { None }
        })
        .collect();
    put(&mut message, "reasoning_content", Some(thoughts).filter(|text| !text.is_empty()));
    Ok(Value::Object(message))
}

fn call(content: &Content) -> Option<Value> {
    let Content::Call { id, name, arguments, signature } = content else {
        return None;
    };
    let mut call =
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
    if let Some(signature) = signature {
        call["extra_content"] = super::encode::call_extra(signature);
    }
    Some(call)
}

/// One text as a string (every server reads that), anything else as parts.
fn content(parts: &[&Part]) -> Result<Value, UpstreamError> {
    match parts {
        [] => Ok(json!("")),
        [Part { content: Content::Text(text), .. }] => Ok(json!(text)),
        many => many.iter().map(|part| block(&part.content)).collect(),
    }
}

fn block(content: &Content) -> Result<Value, UpstreamError> {
    Ok(match content {
        Content::Text(text) => json!({"type": "text", "text": text}),
        Content::Refusal(text) => json!({"type": "refusal", "refusal": text}),
        Content::Media { kind: MediaKind::Image, source, .. } => {
            json!({"type": "image_url", "image_url": {"url": as_url(source)}})
        }
        Content::Media { kind: MediaKind::Document, source: source @ Source::Inline { .. }, name } => {
            let name = name.as_deref().unwrap_or("document");
            json!({"type": "file", "file": {"file_data": as_url(source), "filename": name}})
        }
        Content::Media { kind: MediaKind::Audio, source: Source::Inline { media_type, data }, .. } => {
            let format = media_type.rsplit('/').next().unwrap_or("wav");
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
        _ => {
            return Err(refused(
                "messages: a part has no form at this endpoint (hint: send documents and audio inline)",
            ));
        }
    })
}
