//! What the dialect says about a body's fields: wrong types and values are the caller's mistake and
//! are told at once, by name, instead of costing an upstream call. Unknown fields pass.

use serde_json::{Map, Value};

use super::request::RequestError;

/// What a field must be. Bounds are those of the dialect's reference; null means "not set".
enum Rule {
    Flag,
    Text,
    Number(f64, f64),
    Whole(f64, f64),
    Fields,
    Special(fn(&Value) -> Option<&'static str>),
}

const LARGEST_COUNT: f64 = 1e9;
const LARGEST_SEED: f64 = 9.3e18;

const RULES: &[(&str, Rule)] = &[
    ("stream", Rule::Flag),
    ("logprobs", Rule::Flag),
    ("parallel_tool_calls", Rule::Flag),
    ("store", Rule::Flag),
    ("user", Rule::Text),
    ("reasoning_effort", Rule::Text),
    ("service_tier", Rule::Text),
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
    ("stream_options", Rule::Special(stream_options)),
    ("stop", Rule::Special(stop)),
    ("logit_bias", Rule::Special(logit_bias)),
    ("tools", Rule::Special(tools)),
    ("tool_choice", Rule::Special(tool_choice)),
    ("response_format", Rule::Special(response_format)),
];

const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool", "function"];

/// Refuses the first field that is not what the dialect says.
pub(super) fn check(body: &Map<String, Value>) -> Result<(), RequestError> {
    let wrong = |place: &str, problem: &str| Err(RequestError::wrong(place, problem));
    for (name, value) in body {
        let rule = RULES.iter().find(|(known, _)| known == name).map(|(_, rule)| rule);
        if let (Some(rule), false) = (rule, value.is_null())
            && let Some(problem) = rule.problem(value)
        {
            return wrong(name, &problem);
        }
    }
    match body.get("messages") {
        Some(Value::Array(messages)) if messages.is_empty() => wrong("messages", "must not be empty"),
        Some(Value::Array(messages)) => {
            let found = messages.iter().enumerate().find_map(|(at, one)| message(one).map(|what| (at, what)));
            match found {
                Some((at, problem)) => wrong(&format!("messages[{at}]"), problem),
                None => Ok(()),
            }
        }
        Some(_) => wrong("messages", "must be an array"),
        None => wrong("messages", "is missing"),
    }
}

impl Rule {
    fn problem(&self, value: &Value) -> Option<String> {
        let said = |good: bool, problem: String| (!good).then_some(problem);
        match self {
            Self::Flag => said(value.is_boolean(), "must be true or false".to_owned()),
            Self::Text => said(value.is_string(), "must be a string".to_owned()),
            Self::Fields => said(value.is_object(), "must be an object".to_owned()),
            Self::Number(low, high) => {
                let good = value.as_f64().is_some_and(|number| (*low..=*high).contains(&number));
                said(good, format!("must be a number from {low} to {high}"))
            }
            Self::Whole(low, high) => {
                let whole = value.as_f64().filter(|number| number.fract() == 0.0);
                let good = whole.is_some_and(|number| (*low..=*high).contains(&number));
                said(good, format!("must be a whole number from {low} to {high}"))
            }
            Self::Special(problem) => problem(value).map(str::to_owned),
        }
    }
}

fn message(value: &Value) -> Option<&'static str> {
    let Some(role) = value.get("role").and_then(Value::as_str) else {
        return Some("must be an object with a role");
    };
    if !ROLES.contains(&role) {
        return Some("has an unknown role (known: system, developer, user, assistant, tool)");
    }
    if value.get("name").is_some_and(|name| !name.is_string() && !name.is_null()) {
        return Some("has a name that is not a string");
    }
    if role == "tool" && !value.get("tool_call_id").is_some_and(Value::is_string) {
        return Some("is a tool's answer without a tool_call_id");
    }
    let calls = match value.get("tool_calls") {
        None | Some(Value::Null) => false,
        Some(Value::Array(calls)) if calls.iter().all(Value::is_object) => true,
        Some(_) => return Some("has tool_calls that are not an array of objects"),
    };
    match value.get("content") {
        Some(Value::String(_)) => None,
        Some(Value::Array(parts)) => {
            let whole = |part: &Value| part.get("type").is_some_and(Value::is_string);
            (parts.is_empty() || !parts.iter().all(whole)).then_some("has content parts without a type")
        }
        None | Some(Value::Null) if role == "assistant" || role == "function" || calls => None,
        None | Some(Value::Null) => Some("has no content"),
        Some(_) => Some("has content that is neither a string nor an array of parts"),
    }
}

fn stream_options(value: &Value) -> Option<&'static str> {
    let flag = value.get("include_usage").is_none_or(|flag| flag.is_boolean() || flag.is_null());
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
        Some("function") => tool
            .get("function")
            .and_then(|function| function.get("name"))
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty()),
        Some(_) => true,
        None => false,
    };
    (!tools.iter().all(whole)).then_some("must hold objects with a type, functions with a name")
}

fn tool_choice(value: &Value) -> Option<&'static str> {
    let good = match value {
        Value::String(word) => matches!(word.as_str(), "none" | "auto" | "required"),
        Value::Object(choice) => choice.get("type").is_some_and(Value::is_string),
        _ => false,
    };
    (!good).then_some("must be none, auto, required or an object with a type")
}

fn response_format(value: &Value) -> Option<&'static str> {
    let known = matches!(
        value.get("type").and_then(Value::as_str),
        Some("text" | "json_object" | "json_schema" | "grammar" | "structural_tag")
    );
    (!known).then_some("must be an object whose type is text, json_object or json_schema")
}
