//! A target's own system prompt in place of the caller's, in the caller's dialect: so every upstream gets
//! it by the same way that it would have got the caller's.

use serde_json::{Map, Value, json};

use crate::domain::request::ChatRequest;
use crate::domain::snapshot::Dialect;

/// The override's name.
pub(super) const SYSTEM: &str = "system";

/// The request with `prompt` as its only instructions. A caller's cache marker on its own stays on it.
pub(super) fn with_system(request: &ChatRequest, prompt: &str) -> ChatRequest {
    let mut body = request.body.clone();
    match request.dialect {
        Dialect::OpenaiResponses => {
            without_instructions(&mut body, "input");
            body.insert("instructions".to_owned(), json!(prompt));
        }
        Dialect::AnthropicMessages => {
            without_instructions(&mut body, "messages");
            let before = body.get(SYSTEM).and_then(Value::as_array);
            let marker = before.into_iter().flatten().rev().find_map(|part| part.get("cache_control"));
            let system = match marker {
                Some(marker) => json!([{"type": "text", "text": prompt, "cache_control": marker}]),
                None => json!(prompt),
            };
            body.insert(SYSTEM.to_owned(), system);
        }
        Dialect::OpenaiChat => {
            // Models that know only one of the two names get the one that the caller used.
            let role = without_instructions(&mut body, "messages").unwrap_or_else(|| SYSTEM.to_owned());
            if let Some(Value::Array(messages)) = body.get_mut("messages") {
                messages.insert(0, json!({"role": role, "content": prompt}));
            }
        }
        _ => {} // what takes no conversation has no instructions
    }
    ChatRequest { body, sent: None, ..request.clone() }
}

/// Takes the caller's instructions out of a list of messages; the role of the first.
fn without_instructions(body: &mut Map<String, Value>, list: &str) -> Option<String> {
    let messages = body.get_mut(list)?.as_array_mut()?;
    let role = |message: &Value| message.get("role").and_then(Value::as_str).map(str::to_owned);
    let instructs = |message: &Value| matches!(role(message).as_deref(), Some("system" | "developer"));
    let first = messages.iter().find(|message| instructs(message)).and_then(role);
    messages.retain(|message| !instructs(message));
    first
}
