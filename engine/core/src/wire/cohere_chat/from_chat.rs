//! A canonical conversation as a Cohere v2 body.

use serde_json::{Map, Value, json};

use crate::domain::chat::{Chat, Content, Format, MediaKind, Part, Reasoning, Settings, Speaker, ToolChoice};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, as_url, put, refused};

/// The body for `model`.
///
/// # Errors
/// `Unsupported` for content without a form here.
pub fn encode_chat(mut chat: Chat, place: Place<'_>, stream: bool) -> Result<Encoded, UpstreamError> {
    let mut gate = Gate::new(Dialect::CohereChat, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(&mut chat, &["parallel_tool_calls", "logprobs"]);
    gate.loosen(&mut chat.tools);
    let settings = &chat.settings;
    let mut body = Map::new();
    put(&mut body, "model", Some(place.model));
    put(&mut body, "stream", Some(true).filter(|_| stream));
    put(&mut body, "messages", Some(messages(&chat)?));
    put_sampling(&mut body, settings);
    put(
        &mut body,
        "response_format",
        settings.format.as_ref().map(|format| match format {
            Format::Json => json!({"type": "json_object"}),
            Format::Schema { schema, .. } => json!({"type": "json_object", "json_schema": schema}),
        }),
    );
    put(
        &mut body,
        "thinking",
        settings.reasoning.as_ref().map(|reasoning| match reasoning {
            Reasoning::Budget(0) => json!({"type": "disabled"}),
            Reasoning::Budget(budget) => json!({"type": "enabled", "token_budget": budget}),
            Reasoning::Effort(effort) if effort == "none" => json!({"type": "disabled"}),
            Reasoning::Effort(_) => json!({"type": "enabled"}),
        }),
    );
    if !chat.tools.is_empty() {
        let tools: Vec<Value> = chat
            .tools
            .iter()
            .map(|tool| {
                let function =
                    json!({"name": tool.name, "description": tool.description, "parameters": tool.schema});
                json!({"type": "function", "function": function})
            })
            .collect();
        put(&mut body, "tools", Some(tools));
        match &chat.tool_choice {
            Some(ToolChoice::Any) => put(&mut body, "tool_choice", Some("REQUIRED")),
            Some(ToolChoice::None) => put(&mut body, "tool_choice", Some("NONE")),
            Some(ToolChoice::Named(_)) => gate.left_out("tool_choice of one tool"),
            Some(ToolChoice::Auto) | None => {}
        }
    }
    Ok(Encoded { body: Value::Object(body).to_string().into_bytes(), warnings: gate.warnings })
}

/// How much the model may write and how it chooses, in Cohere's names: the same in all its bodies.
pub fn put_sampling(body: &mut Map<String, Value>, settings: &Settings) {
    put(body, "max_tokens", settings.max_output_tokens);
    put(body, "temperature", settings.temperature);
    put(body, "p", settings.top_p);
    put(body, "k", settings.top_k);
    put(body, "seed", settings.seed);
    put(body, "presence_penalty", settings.presence_penalty);
    put(body, "frequency_penalty", settings.frequency_penalty);
    put(body, "stop_sequences", Some(&settings.stop).filter(|stop| !stop.is_empty()));
}

fn messages(chat: &Chat) -> Result<Vec<Value>, UpstreamError> {
    let mut all = Vec::new();
    if !chat.system.is_empty() {
        all.push(json!({"role": "system", "content": words(&chat.system)}));
    }
    for turn in &chat.turns {
        if turn.speaker == Speaker::Assistant {
            all.push(assistant(&turn.parts));
            continue;
        }
        let mut said = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::Result { id, parts, .. } => {
                    all.push(json!({"role": "tool", "tool_call_id": id, "content": words(parts)}));
                }
                content => said.push(block(content)?),
            }
        }
        if !said.is_empty() {
            all.push(json!({"role": "user", "content": said}));
        }
    }
    Ok(all)
}

fn words(parts: &[Part]) -> String {
    let text = |part: &Part| if let Content::Text(text) = &part.content { Some(text.clone()) } else { None };
    parts.iter().filter_map(text).collect()
}

fn assistant(parts: &[Part]) -> Value {
    let mut message = Map::new();
    put(&mut message, "role", Some("assistant"));
    put(&mut message, "content", Some(words(parts)).filter(|text| !text.is_empty()));
    let call = |part: &Part| match &part.content {
        Content::Call { id, name, arguments, .. } => {
            let function = json!({"name": name, "arguments": arguments.to_string()});
            Some(json!({"id": id, "type": "function", "function": function}))
        }
        _ => None,
    };
    let calls: Vec<Value> = parts.iter().filter_map(call).collect();
    put(&mut message, "tool_calls", Some(calls).filter(|calls| !calls.is_empty()));
    Value::Object(message)
}

fn block(content: &Content) -> Result<Value, UpstreamError> {
    match content {
        Content::Text(text) => Ok(json!({"type": "text", "text": text})),
        Content::Media { kind: MediaKind::Image, source, .. } => {
            Ok(json!({"type": "image_url", "image_url": {"url": as_url(source)}}))
        }
        _ => Err(refused("messages: only text and images have a form at this endpoint")),
    }
}
