//! A chat body as a canonical conversation.

use serde_json::{Map, Value, json};

use crate::domain::chat::{
    Chat, Content, Format, MediaKind, Part, Reasoning, Settings, Source, Speaker, Tool, ToolChoice,
};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::loose::{items, text, text_in};
use crate::wire::translate::{EARLIER_CITATIONS, arguments, data_url, malformed, refused};

/// Fields that are carried, that routing has used up, or that change nothing about an answer.
const KNOWN: [&str; 33] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "response_format",
    "reasoning_effort",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "n",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "functions",
    "function_call",
    "modalities",
    "audio",
    "thinking",
];

/// The conversation of a chat body.
///
/// # Errors
/// `Unsupported` for what no other dialect can say.
pub fn decode_chat(body: &Map<String, Value>) -> Result<Chat, UpstreamError> {
    for (name, problem) in [
        ("functions", "functions: the API before tools has no form at this endpoint (hint: send tools)"),
        ("audio", "audio: this endpoint answers with text only"),
    ] {
        if body.get(name).is_some_and(|value| !value.is_null()) {
            return Err(refused(problem));
        }
    }
    if body.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1) {
        return Err(refused("n: this endpoint gives one answer a request"));
    }
    let mut chat = Chat { settings: settings(body), ..Chat::default() };
    for message in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
        let content = message.get("content");
        match text_in(message, "role").unwrap_or("") {
            "system" | "developer" => chat.system.extend(parts(content)?),
            "user" => chat.speak(Speaker::User, parts(content)?),
            "assistant" => {
                if items(message, "annotations").next().is_some() {
                    chat.settings.uncarried.push(EARLIER_CITATIONS.to_owned());
                }
                chat.speak(Speaker::Assistant, assistant(message)?);
            }
            "tool" => {
                let result = Content::Result {
                    id: text(message, "tool_call_id"),
                    parts: parts(content)?,
                    is_error: false,
                };
                chat.speak(Speaker::User, vec![Part::plain(result)]);
            }
            other => {
                return Err(refused(&format!("messages: the role {other:?} has no form at this endpoint")));
            }
        }
    }
    chat.tools = tools(body.get("tools"))?;
    chat.tool_choice = body.get("tool_choice").and_then(choice);
    chat.parallel_calls = body.get("parallel_tool_calls").and_then(Value::as_bool);
    Ok(chat)
}

/// The settings among a chat body's fields; also the form of a target's overrides.
#[must_use]
pub fn settings(body: &Map<String, Value>) -> Settings {
    let field = |name: &str| body.get(name).filter(|value| !value.is_null());
    let number = |name: &str| field(name).and_then(Value::as_f64);
    let format = field("response_format").and_then(|format| match text_in(format, "type") {
        Some("json_object") => Some(Format::Json),
        Some("json_schema") => {
            let schema = format.get("json_schema")?;
            Some(Format::Schema {
                name: text_in(schema, "name").unwrap_or("answer").to_owned(),
                schema: schema.get("schema").cloned().unwrap_or_else(|| json!({"type": "object"})),
                strict: schema.get("strict").and_then(Value::as_bool),
            })
        }
        _ => None,
    });
    let limit = field("max_completion_tokens").or_else(|| field("max_tokens")).and_then(Value::as_u64);
    let wants_logprobs = field("logprobs").and_then(Value::as_bool) == Some(true);
    let uncarried = body.iter().filter(|(name, value)| !KNOWN.contains(&name.as_str()) && !value.is_null());
    Settings {
        max_output_tokens: limit,
        temperature: number("temperature"),
        top_p: number("top_p"),
        top_k: field("top_k").and_then(Value::as_u64),
        stop: match field("stop") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        },
        seed: field("seed").and_then(Value::as_i64),
        presence_penalty: number("presence_penalty").filter(|penalty| *penalty != 0.0),
        frequency_penalty: number("frequency_penalty").filter(|penalty| *penalty != 0.0),
        logprobs: wants_logprobs.then(|| field("top_logprobs").and_then(Value::as_u64).unwrap_or(0)),
        user: field("user").or_else(|| field("safety_identifier")).and_then(Value::as_str).map(str::to_owned),
        format,
        reasoning: field("reasoning_effort").and_then(Value::as_str).map(|e| Reasoning::Effort(e.to_owned())),
        uncarried: uncarried.map(|(name, _)| name.clone()).collect(),
        citations: false,
    }
}

fn assistant(message: &Value) -> Result<Vec<Part>, UpstreamError> {
    let mut all = Vec::new();
    if let Some(words) = text_in(message, "reasoning_content").filter(|words| !words.is_empty()) {
        let (text, origin) = (words.to_owned(), Dialect::OpenaiChat);
        all.push(Part::plain(Content::Reasoning { text, signature: None, origin }));
    }
    all.extend(parts(message.get("content"))?);
    for call in items(message, "tool_calls") {
        let function = call
            .get("function")
            .ok_or_else(|| refused("tool_calls: only function calls have a form at this endpoint"))?;
        let signature = call.pointer("/extra_content/google/thought_signature").and_then(Value::as_str);
        all.push(Part::plain(Content::Call {
            id: text(call, "id"),
            name: text(function, "name"),
            arguments: arguments(text_in(function, "arguments").unwrap_or(""))?,
            signature: signature.map(str::to_owned),
        }));
    }
    Ok(all)
}

fn parts(content: Option<&Value>) -> Result<Vec<Part>, UpstreamError> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(plain)) => Ok(vec![Part::plain(Content::Text(plain.clone()))]),
        Some(Value::Array(all)) => all.iter().map(part).collect(),
        Some(_) => Err(malformed("messages: content must be a string or an array of parts")),
    }
}

fn part(part: &Value) -> Result<Part, UpstreamError> {
    let media =
        |kind, source, name: Option<&str>| Content::Media { kind, source, name: name.map(str::to_owned) };
    let content = match text_in(part, "type").unwrap_or("") {
        "text" => Content::Text(text(part, "text")),
        "refusal" => Content::Refusal(text(part, "refusal")),
        "image_url" => {
            let image = part.get("image_url").unwrap_or(&Value::Null);
            let url = image.as_str().or_else(|| text_in(image, "url")).unwrap_or("");
            media(MediaKind::Image, data_url(url), None)
        }
        "input_audio" => {
            let audio = part.get("input_audio").unwrap_or(&Value::Null);
            let media_type = format!("audio/{}", text_in(audio, "format").unwrap_or("wav"));
            media(MediaKind::Audio, Source::Inline { media_type, data: text(audio, "data") }, None)
        }
        "file" => {
            let file = part.get("file").unwrap_or(&Value::Null);
            let data = text_in(file, "file_data").ok_or_else(|| {
                refused("messages: a file named by its id is only known where it was uploaded (hint: send file_data)")
            })?;
            media(MediaKind::Document, data_url(data), text_in(file, "filename"))
        }
        other => {
            return Err(refused(&format!("messages: a content part {other:?} has no form at this endpoint")));
        }
    };
    Ok(Part { content, cached: part.get("cache_control").is_some_and(|marker| !marker.is_null()) })
}

fn tools(tools: Option<&Value>) -> Result<Vec<Tool>, UpstreamError> {
    let each = |tool: &Value| {
        let function = tool
            .get("function")
            .ok_or_else(|| refused("tools: only function tools have a form at this endpoint"))?;
        Ok(Tool {
            name: text(function, "name"),
            description: text_in(function, "description").map(str::to_owned),
            schema: function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"})),
            strict: function.get("strict").and_then(Value::as_bool),
            cached: tool.get("cache_control").is_some_and(|marker| !marker.is_null()),
        })
    };
    tools.and_then(Value::as_array).into_iter().flatten().map(each).collect()
}

fn choice(choice: &Value) -> Option<ToolChoice> {
    match choice {
        Value::String(word) => match word.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "required" => Some(ToolChoice::Any),
            "none" => Some(ToolChoice::None),
            _ => None,
        },
        Value::Object(_) => {
            choice.pointer("/function/name").and_then(Value::as_str).map(|n| ToolChoice::Named(n.to_owned()))
        }
        _ => None,
    }
}
