//! A canonical conversation as a Converse request.

use serde_json::{Map, Value, json};

use crate::domain::chat::{
    Chat, Content, Format, MediaKind, Part, Reasoning, Source, Speaker, Tool, ToolChoice,
};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::anthropic_messages;
use crate::wire::translate::{Encoded, Gate, Place, put, refused};

/// The body; the address names the model and whether it streams.
///
/// # Errors
/// `Unsupported` for content without a form here.
pub fn encode_chat(mut chat: Chat, place: Place<'_>) -> Result<Encoded, UpstreamError> {
    let mut gate = Gate::new(Dialect::BedrockConverse, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(
        &mut chat,
        &["seed", "presence_penalty", "frequency_penalty", "logprobs", "parallel_tool_calls"],
    );
    gate.cap_temperature(&mut chat, 1.0);
    if chat.settings.format == Some(Format::Json) {
        gate.lacks(&mut chat, &["response_format"]);
    }
    let model = place.model;
    let claude = model.contains("anthropic") || model.contains("claude");
    let mut body = Map::new();
    let mut said = messages(&chat)?;
    if chat.settings.citations {
        said.iter_mut().for_each(cite_documents);
    }
    put(&mut body, "messages", Some(said));
    put(&mut body, "system", Some(blocks(&chat.system)?).filter(|system| !system.is_empty()));
    extras(&mut chat, claude, place, &mut gate, &mut body);
    let config = inference(&chat);
    put(&mut body, "inferenceConfig", Some(config).filter(|config| !config.is_empty()));
    if let Some(Format::Schema { name, schema, .. }) = &chat.settings.format {
        let structure = json!({"jsonSchema": {"schema": schema.to_string(), "name": name}});
        put(
            &mut body,
            "outputConfig",
            Some(json!({"textFormat": {"type": "json_schema", "structure": structure}})),
        );
    }
    if !chat.tools.is_empty() {
        put(&mut body, "toolConfig", Some(tools(&chat, &mut gate)));
    }
    Ok(Encoded { body: Value::Object(body).to_string().into_bytes(), warnings: gate.warnings })
}

/// Asks for the places in the documents of a message.
fn cite_documents(message: &mut Value) {
    let blocks = message.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten();
    for document in blocks.filter_map(|block| block.get_mut("document")) {
        document["citations"] = json!({"enabled": true});
    }
}

/// What only a model family knows travels beside the common fields.
fn extras(
    chat: &mut Chat,
    claude: bool,
    place: Place<'_>,
    gate: &mut Gate<'_>,
    body: &mut Map<String, Value>,
) {
    if !claude {
        return gate.lacks(chat, &["reasoning_effort", "top_k"]);
    }
    anthropic_messages::drop_unsigned(chat, gate);
    let mut fields = Map::new();
    let off = matches!(&chat.settings.reasoning, None | Some(Reasoning::Budget(0)));
    if !off {
        let limit = chat.settings.max_output_tokens.unwrap_or(4096);
        let reasoning = chat.settings.reasoning.take();
        let limit = anthropic_messages::thinking(reasoning.as_ref(), place.takes, limit, &mut fields);
        if fields.contains_key("thinking") {
            chat.settings.max_output_tokens = Some(limit);
            if chat.settings.temperature.take().is_some() | chat.settings.top_p.take().is_some() {
                gate.left_out("sampling beside thinking");
            }
        }
    }
    put(&mut fields, "top_k", chat.settings.top_k);
    put(body, "additionalModelRequestFields", Some(fields).filter(|fields| !fields.is_empty()));
}

fn inference(chat: &Chat) -> Map<String, Value> {
    let (settings, mut config) = (&chat.settings, Map::new());
    put(&mut config, "maxTokens", settings.max_output_tokens);
    put(&mut config, "temperature", settings.temperature);
    put(&mut config, "topP", settings.top_p);
    put(&mut config, "stopSequences", Some(&settings.stop).filter(|stop| !stop.is_empty()));
    config
}

fn tools(chat: &Chat, gate: &mut Gate<'_>) -> Value {
    let mut specs = Vec::new();
    for tool in &chat.tools {
        specs.push(spec(tool));
        if tool.cached {
            specs.push(json!({"cachePoint": {"type": "default"}}));
        }
    }
    let mut config = json!({"tools": specs});
    match &chat.tool_choice {
        Some(ToolChoice::Any) => config["toolChoice"] = json!({"any": {}}),
        Some(ToolChoice::Named(name)) => config["toolChoice"] = json!({"tool": {"name": safe_name(name)}}),
        Some(ToolChoice::None) => gate
            .warnings
            .push("tool_choice none has no form at this provider; the tools were still offered".to_owned()),
        Some(ToolChoice::Auto) | None => {}
    }
    config
}

fn spec(tool: &Tool) -> Value {
    let mut spec = Map::new();
    put(&mut spec, "name", Some(safe_name(&tool.name)));
    put(&mut spec, "description", tool.description.as_deref().filter(|text| !text.trim().is_empty()));
    put(&mut spec, "inputSchema", Some(json!({"json": tool.schema})));
    put(&mut spec, "strict", tool.strict);
    json!({"toolSpec": spec})
}

/// A name in the letters the service takes.
fn safe_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' })
        .take(64)
        .collect()
}

fn messages(chat: &Chat) -> Result<Vec<Value>, UpstreamError> {
    let mut all = Vec::new();
    for turn in &chat.turns {
        let content = blocks(&turn.parts)?;
        if !content.is_empty() {
            let role = if turn.speaker == Speaker::User { "user" } else { "assistant" };
            all.push(json!({"role": role, "content": content}));
        }
    }
    Ok(all)
}

fn blocks(parts: &[Part]) -> Result<Vec<Value>, UpstreamError> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(block(&part.content)?);
        if part.cached {
            all.push(json!({"cachePoint": {"type": "default"}}));
        }
    }
    Ok(all)
}

/// Blank text is refused by the service, so it is left out.
fn block(content: &Content) -> Result<Option<Value>, UpstreamError> {
    Ok(Some(match content {
        Content::Text(text) | Content::Refusal(text) if text.trim().is_empty() => return Ok(None),
        Content::Text(text) | Content::Refusal(text) => json!({"text": text}),
        Content::Media { kind, source, name } => media(*kind, source, name.as_deref())?,
        Content::Call { id, name, arguments, .. } => {
            let id = anthropic_messages::safe_id(id);
            json!({"toolUse": {"toolUseId": id, "name": safe_name(name), "input": arguments}})
        }
        Content::Result { id, parts, is_error } => {
            let mut result = json!({"toolUseId": anthropic_messages::safe_id(id), "content": blocks(parts)?});
            if *is_error {
                result["status"] = json!("error");
            }
            json!({"toolResult": result})
        }
        Content::Reasoning { text, signature: Some(signature), .. } => {
            json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
        }
        Content::Reasoning { signature: None, .. } => return Ok(None),
        Content::Sealed { data, .. } => json!({"reasoningContent": {"redactedContent": data}}),
    }))
}

fn media(kind: MediaKind, source: &Source, name: Option<&str>) -> Result<Value, UpstreamError> {
    let Source::Inline { media_type, data } = source else {
        return Err(refused(
            "messages: this provider fetches nothing (hint: send images and documents as data URLs)",
        ));
    };
    let format = media_type.rsplit('/').next().unwrap_or("");
    match (kind, format) {
        (MediaKind::Image, "png" | "jpeg" | "gif" | "webp") => {
            Ok(json!({"image": {"format": format, "source": {"bytes": data}}}))
        }
        (MediaKind::Image, _) => Err(refused("messages: images must be png, jpeg, gif or webp here")),
        (MediaKind::Document, _) => {
            let format = match format {
                "plain" => "txt",
                "markdown" => "md",
                "msword" => "doc",
                "vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
                "vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
                "vnd.ms-excel" => "xls",
                known @ ("pdf" | "csv" | "html") => known,
                _ => return Err(refused("messages: this kind of document has no form at this endpoint")),
            };
            let name: String = name
                .unwrap_or("document")
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == ' ')
                .collect();
            let name = if name.is_empty() { "document".to_owned() } else { name };
            Ok(json!({"document": {"format": format, "name": name, "source": {"bytes": data}}}))
        }
        (MediaKind::Audio, _) => Ok(json!({"audio": {"format": format, "source": {"bytes": data}}})),
    }
}
