//! What the dialect says about a body's fields.

use serde_json::{Map, Value};

use crate::wire::shape::rules::{
    LARGEST_COUNT, Mistake, Rule, each_of, follow, has_text, if_set, texts_if_set,
};

const LARGEST_SEED: f64 = 9.3e18;

const RULES: &[(&str, Rule)] = &[
    ("stream", Rule::Flag),
    ("logprobs", Rule::Flag),
    ("parallel_tool_calls", Rule::Flag),
    ("store", Rule::Flag),
    ("user", Rule::Text),
    ("reasoning_effort", Rule::Text),
    ("verbosity", Rule::Text),
    ("service_tier", Rule::Text),
    ("prompt_cache_key", Rule::Text),
    ("safety_identifier", Rule::Text),
    ("modalities", Rule::Texts),
    ("temperature", Rule::Number(0.0, 2.0)),
    ("top_p", Rule::Number(0.0, 1.0)),
    ("presence_penalty", Rule::Number(-2.0, 2.0)),
    ("frequency_penalty", Rule::Number(-2.0, 2.0)),
    ("max_tokens", Rule::Whole(1.0, LARGEST_COUNT)),
    ("max_completion_tokens", Rule::Whole(1.0, LARGEST_COUNT)),
    ("n", Rule::Whole(1.0, 128.0)),
    ("seed", Rule::Whole(-LARGEST_SEED, LARGEST_SEED)),
    ("top_logprobs", Rule::Whole(0.0, 20.0)),
    ("metadata", Rule::Fields),
    ("audio", Rule::Fields),
    ("prediction", Rule::Fields),
    ("web_search_options", Rule::Fields),
    ("functions", Rule::List),
    ("function_call", Rule::Special(function_call)),
    ("stream_options", Rule::Special(stream_options)),
    ("stop", Rule::Special(stop)),
    ("logit_bias", Rule::Special(logit_bias)),
    ("tools", Rule::Special(tools)),
    ("tool_choice", Rule::Special(tool_choice)),
    ("response_format", Rule::Special(response_format)),
];

const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool", "function"];

/// Refuses the first field that is not what the dialect says.
pub(crate) fn check(body: &Map<String, Value>) -> Result<(), Mistake> {
    follow(body, RULES)?;
    each_of(body, "messages", message)
}

fn message(value: &Value) -> Option<&'static str> {
    let Some(role) = value.get("role").and_then(Value::as_str) else {
        return Some("must be an object with a role");
    };
    if !ROLES.contains(&role) {
        return Some("has an unknown role (known: system, developer, user, assistant, tool)");
    }
    if !texts_if_set(value, &["name", "refusal"]) {
        return Some("has a name or a refusal that is not a string");
    }
    if role == "tool" && !has_text(value, "tool_call_id") {
        return Some("is a tool's answer without a tool_call_id");
    }
    let calls = match value.get("tool_calls") {
        None | Some(Value::Null) => false,
        Some(Value::Array(calls)) if calls.iter().all(is_call) => true,
        Some(_) => return Some("has tool_calls that are not functions with a name and arguments as text"),
    };
    match value.get("content") {
        Some(Value::String(_)) => None,
        Some(Value::Array(parts)) => {
            if parts.is_empty() {
                Some("has no content parts")
            } else {
                parts.iter().find_map(part)
            }
        }
        None | Some(Value::Null) if role == "assistant" || role == "function" || calls => None,
        None | Some(Value::Null) => Some("has no content"),
        Some(_) => Some("has content that is neither a string nor an array of parts"),
    }
}

/// A call the model made earlier. Calls of kinds unknown here pass.
fn is_call(call: &Value) -> bool {
    let is_whole = |made: &Value| has_text(made, "name") && if_set(made, "arguments", Value::is_string);
    let known = match call.get("type").and_then(Value::as_str) {
        None | Some("function") => call.get("function").is_some_and(is_whole),
        Some(_) => true,
    };
    known && texts_if_set(call, &["id"])
}

/// Parts of kinds unknown here pass.
fn part(part: &Value) -> Option<&'static str> {
    match part.get("type").and_then(Value::as_str) {
        None => Some("has content parts without a type"),
        Some("text") if !has_text(part, "text") => Some("has a text part without a text"),
        Some("image_url") if !is_link(part) => Some("has an image_url part without a url"),
        Some("input_audio") if !part.get("input_audio").is_some_and(is_sound) => {
            Some("has an input_audio part without data and a format as texts")
        }
        Some("file") if !part.get("file").is_some_and(is_file) => {
            Some("has a file part that is no object of texts")
        }
        Some(_) => None,
    }
}

/// Several servers take the address itself in place of the object that holds it.
fn is_link(part: &Value) -> bool {
    part.get("image_url").is_some_and(|link| link.is_string() || has_text(link, "url"))
}

fn is_sound(sound: &Value) -> bool {
    has_text(sound, "data") && texts_if_set(sound, &["format"])
}

fn is_file(file: &Value) -> bool {
    file.is_object() && texts_if_set(file, &["file_data", "file_id", "filename"])
}

fn function_call(value: &Value) -> Option<&'static str> {
    (!value.is_string() && !has_text(value, "name")).then_some("must be a word or an object with a name")
}

fn stream_options(value: &Value) -> Option<&'static str> {
    let flag = if_set(value, "include_usage", Value::is_boolean);
    (!value.is_object() || !flag).then_some("must be an object whose include_usage is true or false")
}

fn stop(value: &Value) -> Option<&'static str> {
    let good = match value {
        Value::String(_) => true,
        Value::Array(words) => words.len() <= 16 && words.iter().all(Value::is_string),
        _ => false,
    };
    (!good).then_some("must be a string or an array of a few strings")
}

fn logit_bias(value: &Value) -> Option<&'static str> {
    let small = |bias: &Value| bias.as_f64().is_some_and(|bias| (-100.0..=100.0).contains(&bias));
    let good = value.as_object().is_some_and(|biases| biases.values().all(small));
    (!good).then_some("must be an object of numbers from -100 to 100")
}

fn tools(value: &Value) -> Option<&'static str> {
    let Some(tools) = value.as_array() else {
        return Some("must be an array");
    };
    let whole = |tool: &Value| match tool.get("type").and_then(Value::as_str) {
        Some("function") => tool.get("function").is_some_and(is_function),
        Some(_) => true,
        None => false,
    };
    (!tools.iter().all(whole))
        .then_some("must hold objects with a type, functions with a name and parameters that are an object")
}

fn is_function(function: &Value) -> bool {
    let named = function.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let described = texts_if_set(function, &["description"]) && if_set(function, "strict", Value::is_boolean);
    named && described && if_set(function, "parameters", Value::is_object)
}

fn tool_choice(value: &Value) -> Option<&'static str> {
    let good = match value {
        Value::String(word) => matches!(word.as_str(), "none" | "auto" | "required"),
        Value::Object(choice) => match choice.get("type").and_then(Value::as_str) {
            Some("function") => choice.get("function").is_some_and(|function| has_text(function, "name")),
            kind => kind.is_some(),
        },
        _ => false,
    };
    (!good).then_some("must be none, auto, required or an object with a type, a function with its name")
}

fn response_format(value: &Value) -> Option<&'static str> {
    let known = matches!(
        value.get("type").and_then(Value::as_str),
        Some("text" | "json_object" | "json_schema" | "grammar" | "structural_tag")
    );
    if !known {
        return Some("must be an object whose type is text, json_object or json_schema");
    }
    let is_schema = |schema: &Value| {
        schema.is_object() && texts_if_set(schema, &["name"]) && if_set(schema, "schema", Value::is_object)
    };
    // Several servers take the schema itself beside the type.
    let needed = value["type"] == "json_schema" && !value["schema"].is_object();
    let good = if_set(value, "json_schema", is_schema) && !(needed && value["json_schema"].is_null());
    (!good).then_some("must have an object as json_schema, with a name and a schema")
}
