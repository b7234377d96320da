//! An OpenAI chat request as a Converse request. What cannot be carried is named in the warnings,
//! or refused where leaving it out would change the meaning.

use serde_json::{Map, Value, json};

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::wire::closing::upstream_error;

/// Fields that are carried, or that mean nothing to this dialect.
const KNOWN: [&str; 16] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "user",
    "metadata",
    "store",
    "n",
    "response_format",
];

/// The body and the warnings.
///
/// # Errors
/// `InvalidRequest` for content that has no form here.
pub fn encode_request(
    body: &Map<String, Value>,
    set: &Map<String, Value>,
) -> Result<(Vec<u8>, Vec<String>), UpstreamError> {
    let field = |name: &str| set.get(name).or_else(|| body.get(name)).filter(|value| !value.is_null());
    let mut warnings: Vec<String> = body
        .keys()
        .chain(set.keys())
        .filter(|name| !KNOWN.contains(&name.as_str()))
        .map(|name| format!("{name} has no form at this provider and was left out"))
        .collect();
    if field("n").and_then(Value::as_u64).is_some_and(|n| n > 1) {
        return Err(refused("n: this provider gives one answer a request"));
    }
    let (system, messages) = conversation(field("messages"))?;
    let mut request = json!({"messages": messages});
    if !system.is_empty() {
        request["system"] = Value::Array(system);
    }
    let inference = inference(&field, &mut warnings);
    if !inference.is_empty() {
        request["inferenceConfig"] = Value::Object(inference);
    }
    if let Some(tools) = tools(field("tools"), field("tool_choice"), &mut warnings)? {
        request["toolConfig"] = tools;
    }
    if let Some(format) = field("response_format").and_then(|format| output_config(format, &mut warnings)) {
        request["outputConfig"] = format;
    }
    Ok((request.to_string().into_bytes(), warnings))
}

fn inference<'a>(
    field: &impl Fn(&str) -> Option<&'a Value>,
    warnings: &mut Vec<String>,
) -> Map<String, Value> {
    let mut config = Map::new();
    if let Some(limit) = field("max_completion_tokens").or_else(|| field("max_tokens")) {
        config.insert("maxTokens".to_owned(), limit.clone());
    }
    if let Some(temperature) = field("temperature").and_then(Value::as_f64) {
        if temperature > 1.0 {
            warnings
                .push(format!("temperature {temperature} was lowered to 1, the most this provider takes"));
        }
        config.insert("temperature".to_owned(), json!(temperature.min(1.0)));
    }
    if let Some(top_p) = field("top_p") {
        config.insert("topP".to_owned(), top_p.clone());
    }
    match field("stop") {
        Some(Value::String(stop)) => {
            config.insert("stopSequences".to_owned(), json!([stop]));
        }
        Some(stops) => {
            config.insert("stopSequences".to_owned(), stops.clone());
        }
        None => {}
    }
    config
}

/// System blocks and messages. Results of one turn's tools belong in one user message.
fn conversation(messages: Option<&Value>) -> Result<(Vec<Value>, Vec<Value>), UpstreamError> {
    let (mut system, mut turns): (Vec<Value>, Vec<(String, Vec<Value>)>) = (Vec::new(), Vec::new());
    for message in messages.and_then(Value::as_array).into_iter().flatten() {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("");
        let (turn, blocks) = match role {
            "system" | "developer" => {
                system.extend(blocks_of(message.get("content"))?);
                continue;
            }
            "user" => ("user", blocks_of(message.get("content"))?),
            "assistant" => ("assistant", assistant(message)?),
            "tool" => ("user", vec![tool_result(message)?]),
            other => {
                return Err(refused(&format!("messages: the role {other:?} has no form at this provider")));
            }
        };
        if blocks.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some((last, held)) if last == turn => held.extend(blocks),
            _ => turns.push((turn.to_owned(), blocks)),
        }
    }
    let messages =
        turns.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    Ok((system, messages))
}

fn assistant(message: &Value) -> Result<Vec<Value>, UpstreamError> {
    let mut blocks = blocks_of(message.get("content"))?;
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let arguments = function.get("arguments").and_then(Value::as_str).unwrap_or("{}");
        let input: Value = if arguments.trim().is_empty() {
            json!({})
        } else {
            serde_json::from_str(arguments)
                .map_err(|error| refused(&format!("tool_calls: the arguments are not JSON: {error}")))?
        };
        blocks.push(
            json!({"toolUse": {"toolUseId": call.get("id"), "name": function.get("name"), "input": input}}),
        );
    }
    Ok(blocks)
}

fn tool_result(message: &Value) -> Result<Value, UpstreamError> {
    let content = blocks_of(message.get("content"))?;
    Ok(json!({"toolResult": {"toolUseId": message.get("tool_call_id"), "content": content}}))
}

/// Text and image parts; blank text is refused by the service, so it is left out.
fn blocks_of(content: Option<&Value>) -> Result<Vec<Value>, UpstreamError> {
    let text = |text: &str| {
        if text.trim().is_empty() { None } else { Some(json!({"text": text})) }
    };
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(plain)) => Ok(text(plain).into_iter().collect()),
        Some(Value::Array(parts)) => {
            let mut blocks = Vec::new();
            for part in parts {
                match part.get("type").and_then(Value::as_str) {
                    Some("text") => blocks.extend(part.get("text").and_then(Value::as_str).and_then(text)),
                    Some("image_url") => blocks.push(image(part)?),
                    Some("refusal") => {
                        blocks.extend(part.get("refusal").and_then(Value::as_str).and_then(text))
                    }
                    other => {
                        let kind = other.unwrap_or("without a type");
                        return Err(refused(&format!(
                            "messages: a content part {kind} has no form at this provider"
                        )));
                    }
                }
            }
            Ok(blocks)
        }
        Some(_) => Err(refused("messages: content must be a string or an array of parts")),
    }
}

fn image(part: &Value) -> Result<Value, UpstreamError> {
    let url = part.pointer("/image_url/url").and_then(Value::as_str).unwrap_or("");
    let parsed = url.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
    match parsed {
        Some((format @ ("png" | "jpeg" | "gif" | "webp"), bytes)) => {
            Ok(json!({"image": {"format": format, "source": {"bytes": bytes}}}))
        }
        _ => Err(refused("messages: images must be data URLs of png, jpeg, gif or webp here")),
    }
}

fn tools(
    tools: Option<&Value>,
    choice: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<Option<Value>, UpstreamError> {
    let Some(Value::Array(tools)) = tools else {
        return Ok(None);
    };
    let mut specs = Vec::new();
    for tool in tools {
        let Some(function) = tool.get("function") else {
            return Err(refused("tools: only function tools have a form at this provider"));
        };
        let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
        let mut spec = json!({"name": function.get("name"), "inputSchema": {"json": schema}});
        if let Some(text) = function.get("description") {
            spec["description"] = text.clone();
        }
        specs.push(json!({"toolSpec": spec}));
    }
    if specs.is_empty() {
        return Ok(None);
    }
    let mut config = json!({"tools": specs});
    match choice {
        Some(Value::String(word)) if word == "required" => config["toolChoice"] = json!({"any": {}}),
        Some(Value::String(word)) if word == "none" => {
            warnings.push(
                "tool_choice none has no form at this provider; the tools were still offered".to_owned(),
            );
        }
        Some(Value::Object(_)) => {
            let name = choice.and_then(|choice| choice.pointer("/function/name"));
            config["toolChoice"] = json!({"tool": {"name": name}});
        }
        _ => {}
    }
    Ok(Some(config))
}

fn output_config(format: &Value, warnings: &mut Vec<String>) -> Option<Value> {
    match format.get("type").and_then(Value::as_str) {
        Some("json_schema") => {
            let schema = format.pointer("/json_schema/schema")?.to_string();
            let name = format.pointer("/json_schema/name").cloned().unwrap_or_else(|| json!("answer"));
            let structure = json!({"jsonSchema": {"schema": schema, "name": name}});
            Some(json!({"textFormat": {"type": "json_schema", "structure": structure}}))
        }
        Some("text") | None => None,
        Some(other) => {
            warnings.push(format!("response_format {other} has no form at this provider and was left out"));
            None
        }
    }
}

fn refused(detail: &str) -> UpstreamError {
    upstream_error(ErrorKind::InvalidRequest, None, detail)
}
