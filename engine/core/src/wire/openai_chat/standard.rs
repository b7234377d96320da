//! A piece of an answer as the dialect's own clients read it. Compatible servers answer in forms
//! of their own (content in parts, arguments as an object, calls without an index); such a piece,
//! and only such a one, is written anew for a caller of this dialect.

use serde_json::{Map, Value, json};

use crate::wire::loose::words_in;

/// `data` in the dialect's form; `indices`: of the first choice's calls, in a stream.
pub(super) fn standard(data: &[u8], indices: Option<&[u32]>) -> Option<Vec<u8>> {
    let mut piece: Value = serde_json::from_slice(data).ok()?;
    let choices = piece.get_mut("choices")?.as_array_mut()?;
    for (position, choice) in choices.iter_mut().filter_map(Value::as_object_mut).enumerate() {
        let holder = if indices.is_some() { "delta" } else { "message" };
        let said = choice.entry(holder).or_insert(Value::Null);
        if said.is_null() {
            *said = if indices.is_some() { json!({}) } else { json!({"role": "assistant", "content": null}) };
        }
        if let Some(said) = said.as_object_mut() {
            plain_content(said);
            calls(said, indices.filter(|_| position == 0));
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

fn calls(said: &mut Map<String, Value>, indices: Option<&[u32]>) {
    let calls = said.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten();
    for (position, call) in calls.filter_map(Value::as_object_mut).enumerate() {
        if let Some(index) = indices.and_then(|indices| indices.get(position)) {
            call.insert("index".to_owned(), json!(index));
        }
        let arguments = call.get_mut("function").and_then(|function| function.get_mut("arguments"));
        if let Some(arguments) = arguments.filter(|held| !held.is_string() && !held.is_null()) {
            *arguments = json!(arguments.to_string());
        }
    }
}
