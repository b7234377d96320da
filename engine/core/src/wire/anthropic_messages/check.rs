//! What the dialect says about a body's fields.

use serde_json::{Map, Value};

use crate::wire::shape::rules::{
    LARGEST_COUNT, Mistake, Rule, each_of, follow, has_text, if_set, texts_if_set,
};

const RULES: &[(&str, Rule)] = &[
    ("stream", Rule::Flag),
    ("service_tier", Rule::Text),
    ("max_tokens", Rule::Whole(1.0, LARGEST_COUNT)),
    ("temperature", Rule::Number(0.0, 2.0)),
    ("top_p", Rule::Number(0.0, 1.0)),
    ("top_k", Rule::Whole(0.0, LARGEST_COUNT)),
    ("stop_sequences", Rule::Texts),
    ("output_config", Rule::Fields),
    ("mcp_servers", Rule::List),
    ("system", Rule::Special(system)),
    ("tools", Rule::Special(tools)),
    ("tool_choice", Rule::Special(tool_choice)),
    ("thinking", Rule::Special(thinking)),
    ("metadata", Rule::Special(metadata)),
    ("container", Rule::Special(container)),
];

const ROLES: &[&str] = &["user", "assistant", "system"];

/// Refuses the first field that is not what the dialect says.
pub(crate) fn check(body: &Map<String, Value>) -> Result<(), Mistake> {
    follow(body, RULES)?;
    each_of(body, "messages", message)
}

/// Refuses a body without the limit that the dialect asks for; one whose tokens are only counted has none.
pub(crate) fn check_limit(body: &Map<String, Value>) -> Result<(), Mistake> {
    match body.get("max_tokens") {
        None | Some(Value::Null) => Err(Mistake::at("max_tokens", "is missing; it limits the answer")),
        Some(_) => Ok(()),
    }
}

fn message(value: &Value) -> Option<&'static str> {
    match value.get("role").and_then(Value::as_str) {
        None => return Some("must be an object with a role"),
        Some(role) if !ROLES.contains(&role) => return Some("has an unknown role (known: user, assistant)"),
        Some(_) => {}
    }
    match value.get("content") {
        Some(content) => said(content, 0),
        None => Some("has no content"),
    }
}

/// A text or blocks; a tool's result holds blocks again, and no further. Blocks of kinds unknown here
/// pass.
fn said(content: &Value, inside: u8) -> Option<&'static str> {
    match content {
        Value::String(_) => None,
        Value::Array(blocks) => blocks.iter().find_map(|one| block(one, inside)),
        _ => Some("has content that is neither a string nor an array of blocks"),
    }
}

fn block(block: &Value, inside: u8) -> Option<&'static str> {
    let problem = match block.get("type").and_then(Value::as_str) {
        None => return Some("has content blocks without a type"),
        Some("text") if !has_text(block, "text") => "has a text block without a text",
        Some("image" | "document") if !block.get("source").is_some_and(is_source) => {
            "has an image or a document without a source that has a type and its texts"
        }
        Some("tool_use") if !is_call(block) => "has a tool_use block without id, name or an input object",
        Some("tool_result") if !has_text(block, "tool_use_id") => {
            "has a tool_result block without a tool_use_id"
        }
        Some("tool_result") if !if_set(block, "is_error", Value::is_boolean) => {
            "has a tool_result block whose is_error is neither true nor false"
        }
        Some("thinking") if !has_text(block, "thinking") || !texts_if_set(block, &["signature"]) => {
            "has a thinking block whose thinking or signature is no text"
        }
        Some("redacted_thinking") if !has_text(block, "data") => "has a redacted_thinking block without data",
        Some("tool_result") if inside == 0 => {
            let result = block.get("content").filter(|content| !content.is_null());
            return result.and_then(|content| said(content, inside + 1));
        }
        Some(_) => return None,
    };
    Some(problem)
}

/// Sources of kinds unknown here pass.
fn is_source(source: &Value) -> bool {
    match source.get("type").and_then(Value::as_str) {
        None => false,
        Some("base64" | "text") => has_text(source, "data") && texts_if_set(source, &["media_type"]),
        Some("url") => has_text(source, "url"),
        Some(_) => true,
    }
}

fn is_call(block: &Value) -> bool {
    has_text(block, "id") && has_text(block, "name") && if_set(block, "input", Value::is_object)
}

fn system(value: &Value) -> Option<&'static str> {
    let text = |block: &Value| has_text(block, "type") && has_text(block, "text");
    let good = value.is_string() || value.as_array().is_some_and(|blocks| blocks.iter().all(text));
    (!good).then_some("must be a string or an array of text blocks")
}

/// The caller's own tools have a name and a schema; those that run at the provider have a type.
fn tools(value: &Value) -> Option<&'static str> {
    let whole = |tool: &Value| match tool.get("type").and_then(Value::as_str) {
        None | Some("custom") => has_text(tool, "name") && if_set(tool, "input_schema", Value::is_object),
        Some(_) => true,
    };
    let whole = |tool: &Value| whole(tool) && texts_if_set(tool, &["type", "description"]);
    let good = value.as_array().is_some_and(|tools| tools.iter().all(whole));
    (!good).then_some("must be an array of tools with a name and an input_schema that is an object")
}

fn tool_choice(value: &Value) -> Option<&'static str> {
    let known = match value.get("type").and_then(Value::as_str) {
        Some("tool") => has_text(value, "name"),
        Some(kind) => matches!(kind, "auto" | "any" | "none"),
        None => false,
    };
    let good = known && if_set(value, "disable_parallel_tool_use", Value::is_boolean);
    (!good).then_some("must be an object whose type is auto, any, none or tool, which needs a name")
}

fn thinking(value: &Value) -> Option<&'static str> {
    let budget = if_set(value, "budget_tokens", Value::is_u64);
    let good = match value.get("type").and_then(Value::as_str) {
        Some("enabled") => budget && !value["budget_tokens"].is_null(),
        kind => budget && kind.is_some(),
    };
    (!good).then_some("must be an object with a type; enabled has a budget_tokens that is a whole number")
}

fn metadata(value: &Value) -> Option<&'static str> {
    let good = value.is_object() && if_set(value, "user_id", Value::is_string);
    (!good).then_some("must be an object whose user_id is a string")
}

fn container(value: &Value) -> Option<&'static str> {
    (!value.is_string() && !value.is_object()).then_some("must be a string or an object")
}
