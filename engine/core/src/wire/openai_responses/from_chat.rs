//! A canonical conversation as a Responses body, stateless (`store: false`).

use serde_json::{Map, Value, json};

use super::LOGPROBS;
use crate::domain::chat::{Chat, Content, Format, MediaKind, Part, Reasoning, Source, Speaker, ToolChoice};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, as_url, effort_of, put, refused};

/// The body for `model`.
///
/// # Errors
/// `Unsupported` for content without a form here.
pub fn encode_chat(mut chat: Chat, place: Place<'_>, stream: bool) -> Result<Encoded, UpstreamError> {
    let mut gate = Gate::new(Dialect::OpenaiResponses, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(&mut chat, &["top_k", "seed", "stop", "presence_penalty", "frequency_penalty"]);
    let settings = &chat.settings;
    let mut body = Map::new();
    put(&mut body, "model", Some(place.model));
    put(&mut body, "input", Some(input(&chat)?));
    let instructions: Vec<&str> = chat.system.iter().filter_map(words).collect();
    put(&mut body, "instructions", Some(instructions.join("\n\n")).filter(|text| !text.is_empty()));
    put(&mut body, "max_output_tokens", settings.max_output_tokens);
    put(&mut body, "temperature", settings.temperature);
    put(&mut body, "top_p", settings.top_p);
    put(&mut body, "top_logprobs", settings.logprobs.filter(|count| *count > 0));
    put(&mut body, "user", settings.user.as_deref());
    put(&mut body, "store", Some(false));
    put(&mut body, "stream", Some(true).filter(|_| stream));
    if let Some(reasoning) = &settings.reasoning {
        let effort = match reasoning {
            Reasoning::Effort(word) => word.as_str(),
            Reasoning::Budget(budget) => effort_of(*budget),
        };
        put(&mut body, "reasoning", Some(json!({"effort": effort, "summary": "auto"})));
    }
    let mut include = Vec::new();
    include.extend(settings.reasoning.as_ref().map(|_| "reasoning.encrypted_content"));
    include.extend(settings.logprobs.map(|_| LOGPROBS));
    put(&mut body, "include", Some(include).filter(|include| !include.is_empty()));
    put(&mut body, "text", settings.format.as_ref().map(|format| json!({"format": format_of(format)})));
    if !chat.tools.is_empty() {
        let tools: Vec<Value> = chat
            .tools
            .iter()
            .map(|tool| {
                json!({
                    "type": "function", "name": tool.name, "description": tool.description,
                    "parameters": tool.schema, "strict": tool.strict.unwrap_or(false),
                })
            })
            .collect();
        put(&mut body, "tools", Some(tools));
        put(
            &mut body,
            "tool_choice",
            chat.tool_choice.as_ref().map(|choice| match choice {
                ToolChoice::Auto => json!("auto"),
                ToolChoice::Any => json!("required"),
                ToolChoice::None => json!("none"),
                ToolChoice::Named(name) => json!({"type": "function", "name": name}),
            }),
        );
        put(&mut body, "parallel_tool_calls", chat.parallel_calls);
    }
    Ok(Encoded { body: Value::Object(body).to_string().into_bytes(), warnings: gate.warnings })
}

fn words(part: &Part) -> Option<&str> {
    if let Content::Text(text) = &part.content { Some(text) } else { None }
}

fn format_of(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict } => {
            json!({"type": "json_schema", "name": name, "schema": schema, "strict": strict.unwrap_or(false)})
        }
    }
}

fn input(chat: &Chat) -> Result<Vec<Value>, UpstreamError> {
    let mut all = Vec::new();
    for turn in &chat.turns {
        let user = turn.speaker == Speaker::User;
        let mut said: Vec<Value> = Vec::new();
        for part in &turn.parts {
            if let Some(item) = item(&part.content)? {
                flush(&mut said, user, &mut all);
                all.push(item);
            } else if let Some(piece) = piece(&part.content, user)? {
                said.push(piece);
            }
        }
        flush(&mut said, user, &mut all);
    }
    Ok(all)
}

fn flush(said: &mut Vec<Value>, user: bool, all: &mut Vec<Value>) {
    if !said.is_empty() {
        let role = if user { "user" } else { "assistant" };
        all.push(json!({"type": "message", "role": role, "content": std::mem::take(said)}));
    }
}

/// Content that is an item of its own here.
fn item(content: &Content) -> Result<Option<Value>, UpstreamError> {
    Ok(match content {
        Content::Call { id, name, arguments, .. } => Some(
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments.to_string()}),
        ),
        Content::Result { id, parts, .. } => {
            let output = match parts.as_slice() {
                [] => json!(""),
                [Part { content: Content::Text(text), .. }] => json!(text),
                many => {
                    let pieces: Result<Vec<_>, _> =
                        many.iter().map(|part| piece(&part.content, true)).collect();
                    Value::Array(pieces?.into_iter().flatten().collect())
                }
            };
            Some(json!({"type": "function_call_output", "call_id": id, "output": output}))
        }
        Content::Sealed { data, .. } => serde_json::from_str(data).ok(),
        _ => None,
    })
}

fn piece(content: &Content, user: bool) -> Result<Option<Value>, UpstreamError> {
    Ok(Some(match content {
        Content::Text(text) if user => json!({"type": "input_text", "text": text}),
        Content::Text(text) => json!({"type": "output_text", "text": text, "annotations": []}),
        Content::Refusal(text) => json!({"type": "refusal", "refusal": text}),
        Content::Media { kind: MediaKind::Image, source, .. } => {
            json!({"type": "input_image", "image_url": as_url(source), "detail": "auto"})
        }
        Content::Media { kind: MediaKind::Document, source: Source::Url(url), .. } => {
            json!({"type": "input_file", "file_url": url})
        }
        Content::Media { kind: MediaKind::Document, source, name } => {
            let name = name.as_deref().unwrap_or("document");
            json!({"type": "input_file", "file_data": as_url(source), "filename": name})
        }
        Content::Media { kind: MediaKind::Audio, .. } => {
            return Err(refused("messages: audio has no form at this endpoint"));
        }
        Content::Reasoning { .. }
        | Content::Sealed { .. }
        | Content::Call { .. }
        | Content::Result { .. } => {
            return Ok(None);
        }
    }))
}
