//! A Responses body as a canonical conversation. A gateway that fails over is stateless: a body
//! that leans on what one provider has stored is refused across dialects.

use serde_json::{Map, Value, json};

use super::LOGPROBS;
use crate::domain::chat::{
    Chat, Content, Format, MediaKind, Part, Reasoning, Settings, Source, Speaker, Tool, ToolChoice,
};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::loose::{items, text, text_in};
use crate::wire::translate::{EARLIER_CITATIONS, arguments, data_url, malformed, refused, unseal};

/// Fields that are carried, that routing has used up, or that change nothing about an answer.
const KNOWN: [&str; 22] = [
    "model",
    "input",
    "instructions",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "text",
    "reasoning",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "include",
    "service_tier",
    "prompt_cache_key",
    "truncation",
];

/// The conversation of a Responses body.
///
/// # Errors
/// `Unsupported` for what no other dialect can say.
pub fn decode_chat(body: &Map<String, Value>) -> Result<Chat, UpstreamError> {
    for name in ["previous_response_id", "conversation", "prompt"] {
        if body.get(name).is_some_and(|value| !value.is_null()) {
            return Err(refused(&format!(
                "{name}: only the provider that stored it knows it (hint: send the whole input)"
            )));
        }
    }
    if body.get("background").and_then(Value::as_bool) == Some(true) {
        return Err(refused("background: this endpoint answers at once or not at all"));
    }
    let mut chat = Chat { settings: settings(body), ..Chat::default() };
    if let Some(instructions) = body.get("instructions").and_then(Value::as_str) {
        chat.system.push(Part::plain(Content::Text(instructions.to_owned())));
    }
    match body.get("input") {
        Some(Value::String(words)) => {
            chat.speak(Speaker::User, vec![Part::plain(Content::Text(words.clone()))]);
        }
        Some(Value::Array(all)) => all.iter().try_for_each(|item| item_of(item, &mut chat))?,
        _ => return Err(malformed("input: must be a string or an array of items")),
    }
    chat.tools = body
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(tool)
        .collect::<Result<_, _>>()?;
    chat.tool_choice = match body.get("tool_choice") {
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "required" => Some(ToolChoice::Any),
            "none" => Some(ToolChoice::None),
            _ => None,
        },
        Some(choice) => text_in(choice, "name").map(|name| ToolChoice::Named(name.to_owned())),
        None => None,
    };
    chat.parallel_calls = body.get("parallel_tool_calls").and_then(Value::as_bool);
    Ok(chat)
}

fn settings(body: &Map<String, Value>) -> Settings {
    let field = |name: &str| body.get(name).filter(|value| !value.is_null());
    let format =
        field("text").and_then(|text| text.get("format")).and_then(|format| match text_in(format, "type") {
            Some("json_object") => Some(Format::Json),
            Some("json_schema") => Some(Format::Schema {
                name: text_in(format, "name").unwrap_or("answer").to_owned(),
                schema: format.get("schema").cloned().unwrap_or_else(|| json!({"type": "object"})),
                strict: format.get("strict").and_then(Value::as_bool),
            }),
            _ => None,
        });
    let effort = field("reasoning").and_then(|reasoning| text_in(reasoning, "effort"));
    let uncarried = body.iter().filter(|(name, value)| !KNOWN.contains(&name.as_str()) && !value.is_null());
    Settings {
        max_output_tokens: field("max_output_tokens").and_then(Value::as_u64),
        temperature: field("temperature").and_then(Value::as_f64),
        top_p: field("top_p").and_then(Value::as_f64),
        user: field("user").or_else(|| field("safety_identifier")).and_then(Value::as_str).map(str::to_owned),
        logprobs: wanted_logprobs(body),
        format,
        reasoning: effort.map(|effort| Reasoning::Effort(effort.to_owned())),
        uncarried: uncarried.map(|(name, _)| name.clone()).collect(),
        ..Settings::default()
    }
}

/// How many alternatives beside each token, where their probabilities are wanted at all.
fn wanted_logprobs(body: &Map<String, Value>) -> Option<u64> {
    let beside = body.get("top_logprobs").and_then(Value::as_u64).filter(|count| *count > 0);
    let included = body.get("include").and_then(Value::as_array).into_iter().flatten();
    let asked = included.filter_map(Value::as_str).any(|name| name == LOGPROBS);
    beside.or(asked.then_some(0))
}

fn item_of(item: &Value, chat: &mut Chat) -> Result<(), UpstreamError> {
    match text_in(item, "type").unwrap_or("message") {
        "message" => {
            let said = parts(item.get("content"))?;
            if items(item, "content").any(|part| items(part, "annotations").next().is_some()) {
                chat.settings.uncarried.push(EARLIER_CITATIONS.to_owned());
            }
            match text_in(item, "role").unwrap_or("user") {
                "system" | "developer" => chat.system.extend(said),
                "assistant" => chat.speak(Speaker::Assistant, said),
                _ => chat.speak(Speaker::User, said),
            }
        }
        "function_call" => {
            let call = Content::Call {
                id: text(item, "call_id"),
                name: text(item, "name"),
                arguments: arguments(text_in(item, "arguments").unwrap_or(""))?,
                signature: None,
            };
            chat.speak(Speaker::Assistant, vec![Part::plain(call)]);
        }
        "function_call_output" => {
            let result = Content::Result {
                id: text(item, "call_id"),
                parts: parts(item.get("output"))?,
                is_error: false,
            };
            chat.speak(Speaker::User, vec![Part::plain(result)]);
        }
        "reasoning" => {
            let sealed = text_in(item, "encrypted_content").unwrap_or("");
            let summary: String = items(item, "summary").filter_map(|part| text_in(part, "text")).collect();
            let content = match unseal(sealed) {
                _ if sealed.is_empty() => return Ok(()),
                // Ours: reasoning of another dialect's author, with its signature.
                (origin, inner) if inner != sealed => {
                    if summary.is_empty() {
                        Content::Sealed { data: inner, origin }
                    } else {
                        Content::Reasoning { text: summary, signature: Some(inner), origin }
                    }
                }
                _ => Content::Sealed { data: item.to_string(), origin: Dialect::OpenaiResponses },
            };
            chat.speak(Speaker::Assistant, vec![Part::plain(content)]);
        }
        other => {
            return Err(refused(&format!(
                "input: an item {other:?} is only known at its own provider and has no form at this endpoint"
            )));
        }
    }
    Ok(())
}

fn parts(content: Option<&Value>) -> Result<Vec<Part>, UpstreamError> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(words)) => Ok(vec![Part::plain(Content::Text(words.clone()))]),
        Some(Value::Array(all)) => all.iter().map(|part| content_of(part).map(Part::plain)).collect(),
        Some(_) => Err(malformed("input: content must be a string or an array of parts")),
    }
}

fn content_of(part: &Value) -> Result<Content, UpstreamError> {
    let stored = || {
        refused("input: a file named by its id is only known where it was uploaded (hint: send it inline)")
    };
    Ok(match text_in(part, "type").unwrap_or("") {
        "input_text" | "output_text" | "text" | "summary_text" => Content::Text(text(part, "text")),
        "refusal" => Content::Refusal(text(part, "refusal")),
        "input_image" => {
            let source = data_url(text_in(part, "image_url").ok_or_else(stored)?);
            Content::Media { kind: MediaKind::Image, source, name: None }
        }
        "input_file" => {
            let inline = text_in(part, "file_data").map(data_url);
            let linked = text_in(part, "file_url").map(|url| Source::Url(url.to_owned()));
            let source = inline.or(linked).ok_or_else(stored)?;
            Content::Media {
                kind: MediaKind::Document,
                source,
                name: text_in(part, "filename").map(str::to_owned),
            }
        }
        other => {
            return Err(refused(&format!("input: a part {other:?} has no form at this endpoint")));
        }
    })
}

fn tool(tool: &Value) -> Result<Tool, UpstreamError> {
    if text_in(tool, "type") != Some("function") {
        let kind = text_in(tool, "type").unwrap_or("without a type");
        return Err(refused(&format!(
            "tools: {kind} runs at its own provider and has no form at this endpoint"
        )));
    }
    Ok(Tool {
        name: text(tool, "name"),
        description: text_in(tool, "description").map(str::to_owned),
        schema: tool
            .get("parameters")
            .filter(|p| p.is_object())
            .cloned()
            .unwrap_or_else(|| json!({"type": "object"})),
        strict: tool.get("strict").and_then(Value::as_bool),
        cached: false,
    })
}
