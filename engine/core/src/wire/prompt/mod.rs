//! The size of a caller's prompt, of any dialect of callers: one pass over its texts.

mod ascii;
mod images;
mod needs;
mod pieces;
pub mod prefix;

use serde_json::{Map, Value};

use crate::domain::prompt::PromptSize;
use crate::wire::loose::text_in;

pub use needs::needs_of;
use pieces::pieces;

const CONVERSATION: [&str; 5] = ["system", "instructions", "messages", "input", "prompt"];
/// Where tools and the schema of the answer are declared.
const DECLARED: [&str; 5] = ["tools", "functions", "response_format", "output_config", "text"];
/// Fields whose text no model reads.
const UNREAD: [&str; 15] = [
    "type",
    "role",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "toolUseId",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "media_type",
    "mimeType",
    "detail",
    "status",
];
/// Fields that hold a sound or a file, or say where it is.
const MEDIA: [&str; 7] = ["url", "file_url", "file_data", "data", "bytes", "fileUri", "file_id"];
/// A text this long without a space is an encoding.
const UNBROKEN: usize = 256;

/// How large the prompt of a body is.
#[must_use]
pub fn size_of(body: &Map<String, Value>) -> PromptSize {
    let mut size = PromptSize::default();
    let mut texts = 0;
    // By the fields that are there: looking for each that might be costs more than small bodies hold.
    for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            name if CONVERSATION.contains(&name) => {
                size.turns += u32::try_from(turns(value)).unwrap_or(u32::MAX);
                said("", value, &mut size, &mut texts);
            }
            name if DECLARED.contains(&name) => {
                declared(value, &mut size);
                size.schema |= declares_schema(name, value);
                if let (true, Value::Array(tools)) = (name == "tools" || name == "functions", value) {
                    size.tools += u32::try_from(tools.len()).unwrap_or(u32::MAX);
                }
            }
            "thinking" => {
                size.thinking = matches!(text_in(value, "type"), Some("enabled" | "adaptive"));
            }
            _ => {}
        }
    }
    size.parts = u32::saturating_sub(texts, size.turns);
    size
}

fn turns(conversation: &Value) -> usize {
    let is_message = |first: &Value| first.get("role").is_some() || first.get("type").is_some();
    match conversation {
        Value::Array(messages) if messages.first().is_some_and(is_message) => messages.len(),
        _ => 1,
    }
}

fn declares_schema(name: &str, value: &Value) -> bool {
    let schema = match name {
        "response_format" => value.get("json_schema"),
        "output_config" => value.get("format"),
        "text" => value.get("format").and_then(|format| format.get("schema")),
        _ => None,
    };
    schema.is_some()
}

fn said(name: &str, value: &Value, size: &mut PromptSize, texts: &mut u32) {
    match value {
        Value::String(text) if is_media(name, text) => size.media = size.media.saturating_add(1),
        Value::String(text) => {
            *texts = texts.saturating_add(1);
            size.pieces = size.pieces.saturating_add(pieces(text));
        }
        Value::Array(items) => items.iter().for_each(|item| said(name, item, size, texts)),
        Value::Object(fields) if images::add(fields, &mut size.images, &mut size.low_images) => {}
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !UNREAD.contains(&name.as_str())) {
                said(name, value, size, texts);
            }
        }
        Value::Number(_) | Value::Bool(_) => size.pieces = size.pieces.saturating_add(1),
        Value::Null => {}
    }
}

fn declared(value: &Value, size: &mut PromptSize) {
    match value {
        Value::String(text) => size.tool_pieces = size.tool_pieces.saturating_add(pieces(text)),
        Value::Array(items) => items.iter().for_each(|item| declared(item, size)),
        Value::Object(fields) => {
            for (name, value) in fields {
                size.tool_pieces = size.tool_pieces.saturating_add(pieces(name));
                if !(name == "type" && value.is_string()) {
                    declared(value, size);
                }
            }
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn is_media(name: &str, text: &str) -> bool {
    let unbroken = || text.len() >= UNBROKEN && !text.as_bytes()[..UNBROKEN].contains(&b' ');
    text.starts_with("data:")
        || (MEDIA.contains(&name) && (text.starts_with("http") || name == "file_id" || unbroken()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::prompt::images::Images;

    fn size(body: Value) -> PromptSize {
        size_of(body.as_object().unwrap())
    }

    #[test]
    fn a_prompt_is_as_large_in_every_dialect() {
        let chat = size(json!({"model": "m", "messages": [
            {"role": "system", "content": "Be short."}, {"role": "user", "content": "What is it?"}]}));
        let parts = size(json!({"messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be short."}]},
            {"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]}));
        let messages =
            size(json!({"system": "Be short.", "messages": [{"role": "user", "content": "What is it?"}]}));
        let responses = size(json!({"instructions": "Be short.", "input": "What is it?"}));

        assert_eq!((chat.pieces, chat.turns, chat.parts), (7, 2, 0));
        assert_eq!(parts, chat);
        assert_eq!(messages, chat);
        assert_eq!(responses, chat);
    }

    #[test]
    fn an_image_is_one_thing_however_many_bytes_it_has() {
        let picture = format!("data:image/png;base64,{}", "A".repeat(100_000));
        let seen = size(json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "B".repeat(5000)}},
            {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"}]}]}));
        let mut unknown = Images::default();
        unknown.add(1024, 1024);

        assert_eq!((seen.media, seen.images.count, seen.pieces), (0, 3, 1));
        assert_eq!(seen.low_images, unknown, "an address is taken for a picture of 1024 by 1024");
    }

    #[test]
    fn tools_and_schemas_are_counted_apart() {
        let seen = size(json!({"messages": [{"role": "user", "content": "Hi"}],
            "thinking": {"type": "enabled", "budget_tokens": 9},
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "tools": [{"name": "look", "description": "Looks up a city", "input_schema": {"type": "object"}}]}));

        assert_eq!((seen.tools, seen.thinking, seen.schema), (1, true, true));
        assert!(seen.tool_pieces > 8, "{seen:?}");
    }
}
