//! A piece of an answer as the dialect's own clients read it. Compatible servers answer in forms
//! of their own (content in parts, arguments as an object, calls without an index); such a piece,
//! and only such a one, is written anew for a caller of this dialect.

use serde_json::{Map, Value, json};

use crate::wire::loose::words_in;

/// What a call of the first choice is called here; `id`: only where the server gave it none.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) index: u32,
    pub(super) id: Option<String>,
}

/// `data` in the dialect's form; `named`: the first choice's calls.
pub(super) fn standard(data: &[u8], stream: bool, named: &[Named]) -> Option<Vec<u8>> {
    let mut piece: Value = serde_json::from_slice(data).ok()?;
    let choices = piece.get_mut("choices")?.as_array_mut()?;
    for (position, choice) in choices.iter_mut().filter_map(Value::as_object_mut).enumerate() {
        let holder = if stream { "delta" } else { "message" };
        let said = choice.entry(holder).or_insert(Value::Null);
        if said.is_null() {
            *said = if stream { json!({}) } else { json!({"role": "assistant", "content": null}) };
        }
        if let Some(said) = said.as_object_mut() {
            plain_content(said);
            calls(said, stream, if position == 0 { named } else { &[] });
        }
    }
    Some(piece.to_string().into_bytes())
}

fn plain_content(said: &mut Map<String, Value>) {
    let Some(Value::Array(parts)) = said.get("content") else {
        return;
    };
    let words = words_in(parts);
    said.insert("content".to_owned(), json!(words.text));
    if !words.reasoning.is_empty() {
        said.entry("reasoning_content").or_insert_with(|| json!(words.reasoning));
    }
}

fn calls(said: &mut Map<String, Value>, stream: bool, named: &[Named]) {
    let calls = said.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten();
    for (position, call) in calls.filter_map(Value::as_object_mut).enumerate() {
        if let Some(named) = named.get(position) {
            if stream {
                call.insert("index".to_owned(), json!(named.index));
            }
            if let Some(id) = &named.id {
                call.insert("id".to_owned(), json!(id));
            }
        }
        let arguments = call.get_mut("function").and_then(|function| function.get_mut("arguments"));
        if let Some(arguments) = arguments.filter(|held| !held.is_string() && !held.is_null()) {
            *arguments = json!(arguments.to_string());
        }
    }
}
