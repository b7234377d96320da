//! A Messages body as a canonical conversation.

use serde_json::{Map, Value};

use crate::domain::chat::{
    Chat, Content, Format, MediaKind, Part, Reasoning, Settings, Source, Speaker, Tool, ToolChoice,
};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::loose::{items, text, text_in};
use crate::wire::translate::{EARLIER_CITATIONS, inline_text, malformed, refused, unseal};

/// Fields that are carried, that routing has used up, or that change nothing about an answer.
const KNOWN: [&str; 17] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
    "service_tier",
    "cache_control",
    "context_management",
];

/// The conversation of a Messages body.
///
/// # Errors
/// `Unsupported` for what no other dialect can say.
pub fn decode_chat(body: &Map<String, Value>) -> Result<Chat, UpstreamError> {
    let mut chat = Chat { settings: settings(body), ..Chat::default() };
    chat.system = parts(body.get("system"))?;
    for message in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
        for block in items(message, "content") {
            chat.settings.citations |= wants_citations(block);
            if items(block, "citations").next().is_some() {
                chat.settings.uncarried.push(EARLIER_CITATIONS.to_owned());
            }
        }
        let said = parts(message.get("content"))?;
        match text_in(message, "role").unwrap_or("") {
            "user" => chat.speak(Speaker::User, said),
            "assistant" => chat.speak(Speaker::Assistant, said),
            "system" => chat.system.extend(said),
            other => {
                return Err(refused(&format!("messages: the role {other:?} has no form at this endpoint")));
            }
        }
    }
    chat.tools = body
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(tool)
        .collect::<Result<_, _>>()?;
    if let Some(choice) = body.get("tool_choice") {
        chat.tool_choice = match text_in(choice, "type").unwrap_or("") {
            "auto" => Some(ToolChoice::Auto),
            "any" => Some(ToolChoice::Any),
            "none" => Some(ToolChoice::None),
            "tool" => Some(ToolChoice::Named(text(choice, "name"))),
            _ => None,
        };
        let single = choice.get("disable_parallel_tool_use").and_then(Value::as_bool);
        chat.parallel_calls = single.map(|single| !single);
    }
    Ok(chat)
}

fn settings(body: &Map<String, Value>) -> Settings {
    let field = |name: &str| body.get(name).filter(|value| !value.is_null());
    let stop = field("stop_sequences").and_then(Value::as_array).into_iter().flatten();
    let output = field("output_config").unwrap_or(&Value::Null);
    let thinking = field("thinking").unwrap_or(&Value::Null);
    let effort = text_in(output, "effort").map(|effort| Reasoning::Effort(effort.to_owned()));
    let reasoning = match text_in(thinking, "type") {
        Some("enabled") => thinking.get("budget_tokens").and_then(Value::as_u64).map(Reasoning::Budget),
        Some("disabled") => Some(Reasoning::Budget(0)),
        Some("adaptive") => Some(effort.clone().unwrap_or_else(|| Reasoning::Effort("high".to_owned()))),
        _ => effort,
    };
    let uncarried = body.iter().filter(|(name, value)| !KNOWN.contains(&name.as_str()) && !value.is_null());
    Settings {
        max_output_tokens: field("max_tokens").and_then(Value::as_u64),
        temperature: field("temperature").and_then(Value::as_f64),
        top_p: field("top_p").and_then(Value::as_f64),
        top_k: field("top_k").and_then(Value::as_u64),
        stop: stop.filter_map(Value::as_str).map(str::to_owned).collect(),
        user: field("metadata").and_then(|metadata| text_in(metadata, "user_id")).map(str::to_owned),
        format: output.pointer("/format/schema").map(|schema| Format::Schema {
            name: "answer".to_owned(),
            schema: schema.clone(),
            strict: Some(true),
        }),
        reasoning,
        uncarried: uncarried.map(|(name, _)| name.clone()).collect(),
        ..Settings::default()
    }
}

fn tool(tool: &Value) -> Result<Tool, UpstreamError> {
    if !matches!(text_in(tool, "type"), None | Some("custom")) {
        let kind = text_in(tool, "type").unwrap_or("");
        return Err(refused(&format!(
            "tools: {kind} runs at its own provider and has no form at this endpoint"
        )));
    }
    Ok(Tool {
        name: text(tool, "name"),
        description: text_in(tool, "description").map(str::to_owned),
        schema: tool.get("input_schema").cloned().unwrap_or_else(|| serde_json::json!({"type": "object"})),
        strict: tool.get("strict").and_then(Value::as_bool),
        cached: is_cached(tool),
    })
}

/// Whether statements about a document are to name their place in it: said of all or of none.
fn wants_citations(block: &Value) -> bool {
    block.pointer("/citations/enabled").and_then(Value::as_bool) == Some(true)
}

fn is_cached(holder: &Value) -> bool {
    holder.get("cache_control").is_some_and(|marker| !marker.is_null())
}

fn parts(content: Option<&Value>) -> Result<Vec<Part>, UpstreamError> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(plain)) => Ok(vec![Part::plain(Content::Text(plain.clone()))]),
        Some(Value::Array(blocks)) => blocks.iter().map(part).collect(),
        Some(_) => Err(malformed("messages: content must be a string or an array of blocks")),
    }
}

fn part(block: &Value) -> Result<Part, UpstreamError> {
    let content = match text_in(block, "type").unwrap_or("") {
        "text" => Content::Text(text(block, "text")),
        "image" => media(MediaKind::Image, block)?,
        "document" => media(MediaKind::Document, block)?,
        "tool_use" => Content::Call {
            id: text(block, "id"),
            name: text(block, "name"),
            arguments: block.get("input").cloned().unwrap_or_else(|| serde_json::json!({})),
            signature: None,
        },
        "tool_result" => Content::Result {
            id: text(block, "tool_use_id"),
            parts: parts(block.get("content"))?,
            is_error: block.get("is_error").and_then(Value::as_bool).unwrap_or(false),
        },
        "thinking" => {
            let signature = text_in(block, "signature").filter(|text| !text.is_empty());
            let (origin, signature) = match signature.map(unseal) {
                Some((origin, inner)) => (origin, Some(inner)),
                None => (Dialect::AnthropicMessages, None),
            };
            Content::Reasoning { text: text(block, "thinking"), signature, origin }
        }
        "redacted_thinking" => {
            let (origin, data) = unseal(text_in(block, "data").unwrap_or(""));
            Content::Sealed { data, origin }
        }
        other => {
            return Err(refused(&format!("messages: a block {other:?} has no form at this endpoint")));
        }
    };
    Ok(Part { content, cached: is_cached(block) })
}

fn media(kind: MediaKind, block: &Value) -> Result<Content, UpstreamError> {
    let source = block.get("source").unwrap_or(&Value::Null);
    let name = text_in(block, "title").map(str::to_owned);
    let source = match text_in(source, "type").unwrap_or("") {
        "base64" => Source::Inline { media_type: text(source, "media_type"), data: text(source, "data") },
        "url" => Source::Url(text(source, "url")),
        // A document that is to be cited stays one.
        "text" if wants_citations(block) => inline_text(&text(source, "data")),
        "text" => return Ok(Content::Text(text(source, "data"))),
        "content" => {
            let words: String = items(source, "content").filter_map(|piece| text_in(piece, "text")).collect();
            return Ok(Content::Text(words));
        }
        _ => {
            return Err(refused(
                "messages: a file named by its id is only known where it was uploaded (hint: send it inline)",
            ));
        }
    };
    Ok(Content::Media { kind, source, name })
}
