//! What the dialect says about a body's fields.

use serde_json::{Map, Value};

use crate::wire::shape::rules::{LARGEST_COUNT, Mistake, Rule, each, follow, has_text, if_set, texts_if_set};

const RULES: &[(&str, Rule)] = &[
    ("stream", Rule::Flag),
    ("store", Rule::Flag),
    ("background", Rule::Flag),
    ("parallel_tool_calls", Rule::Flag),
    ("instructions", Rule::Text),
    ("previous_response_id", Rule::Text),
    ("truncation", Rule::Text),
    ("user", Rule::Text),
    ("service_tier", Rule::Text),
    ("prompt_cache_key", Rule::Text),
    ("safety_identifier", Rule::Text),
    ("include", Rule::Texts),
    ("max_output_tokens", Rule::Whole(1.0, LARGEST_COUNT)),
    ("max_tool_calls", Rule::Whole(0.0, LARGEST_COUNT)),
    ("top_logprobs", Rule::Whole(0.0, 20.0)),
    ("temperature", Rule::Number(0.0, 2.0)),
    ("top_p", Rule::Number(0.0, 1.0)),
    ("metadata", Rule::Fields),
    ("prompt", Rule::Special(prompt)),
    ("stream_options", Rule::Fields),
    ("reasoning", Rule::Special(reasoning)),
    ("text", Rule::Special(text)),
    ("tools", Rule::Special(tools)),
    ("tool_choice", Rule::Special(tool_choice)),
    ("conversation", Rule::Special(conversation)),
];

const ROLES: &[&str] = &["user", "assistant", "system", "developer"];

const PART_TEXTS: &[&str] = &["text", "refusal", "image_url", "file_data", "file_url", "file_id", "filename"];

/// Refuses the first field that is not what the dialect says.
pub(crate) fn check(body: &Map<String, Value>) -> Result<(), Mistake> {
    follow(body, RULES)?;
    match body.get("input") {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(items)) if items.is_empty() => Err(Mistake::at("input", "must not be empty")),
        Some(Value::Array(items)) => each("input", items, item),
        Some(_) => Err(Mistake::at("input", "must be a string or an array of items")),
        None => Err(Mistake::at("input", "is missing")),
    }
}

/// Items and parts of kinds unknown here pass.
fn item(item: &Value) -> Option<&'static str> {
    if !if_set(item, "type", Value::is_string) || !if_set(item, "role", Value::is_string) {
        return Some("has a type or a role that is not a string");
    }
    let said = |name: &str| item.get(name).filter(|value| !value.is_null());
    match item.get("type").and_then(Value::as_str) {
        None if !has_text(item, "role") => Some("must be an object with a role or a type"),
        None | Some("message") if !item["role"].as_str().is_some_and(|role| ROLES.contains(&role)) => {
            Some("has an unknown role (known: user, assistant, system, developer)")
        }
        None | Some("message") => said("content").map_or(Some("has no content"), content),
        Some("function_call") if !is_call(item) => Some("must have call_id, name and arguments as texts"),
        Some("function_call_output") if !has_text(item, "call_id") => Some("must have a call_id"),
        Some("function_call_output") => said("output").and_then(content),
        Some("reasoning") if !if_set(item, "summary", Value::is_array) => {
            Some("has a summary that is not an array")
        }
        Some(_) => None,
    }
}

fn is_call(item: &Value) -> bool {
    ["call_id", "name", "arguments"].iter().all(|name| has_text(item, name))
}

fn content(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) => None,
        Value::Array(parts) => parts.iter().find_map(part),
        _ => Some("has content that is neither a string nor an array of parts"),
    }
}

fn part(part: &Value) -> Option<&'static str> {
    match part.get("type").and_then(Value::as_str) {
        None => Some("has content parts without a type"),
        Some("input_text" | "output_text") if !has_text(part, "text") => Some("has a text without a text"),
        Some(_) if !texts_if_set(part, PART_TEXTS) => Some("has a part that is not made of strings"),
        Some(_) => None,
    }
}

fn reasoning(value: &Value) -> Option<&'static str> {
    let good = value.is_object() && texts_if_set(value, &["effort", "summary"]);
    (!good).then_some("must be an object whose effort and summary are words")
}

fn prompt(value: &Value) -> Option<&'static str> {
    (!has_text(value, "id")).then_some("must be an object with an id")
}

fn text(value: &Value) -> Option<&'static str> {
    let is_format = |format: &Value| has_text(format, "type") && if_set(format, "schema", Value::is_object);
    let good = value.is_object() && if_set(value, "format", is_format) && texts_if_set(value, &["verbosity"]);
    (!good).then_some("must be an object whose format has a type")
}

fn tools(value: &Value) -> Option<&'static str> {
    let whole = |tool: &Value| match tool.get("type").and_then(Value::as_str) {
        Some("function") => {
            let named = tool["name"].as_str().is_some_and(|name| !name.is_empty());
            named && texts_if_set(tool, &["description"]) && if_set(tool, "parameters", Value::is_object)
        }
        Some(_) => true,
        None => false,
    };
    let good = value.as_array().is_some_and(|tools| tools.iter().all(whole));
    (!good)
        .then_some("must hold objects with a type, functions with a name and parameters that are an object")
}

fn tool_choice(value: &Value) -> Option<&'static str> {
    let good = value.is_string() || has_text(value, "type");
    (!good).then_some("must be a word or an object with a type")
}

fn conversation(value: &Value) -> Option<&'static str> {
    (!value.is_string() && !has_text(value, "id")).then_some("must be a string or an object with an id")
}
