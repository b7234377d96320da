//! A collected answer as a `chat.completion` document.

use serde_json::{Value, json};

use crate::domain::answer::{Answer, Block};

use super::citations::annotation;
use super::encode::{call_extra, usage_json};
use super::finish_reason;

/// The answer in this dialect.
#[must_use]
pub fn encode_answer(answer: &Answer, id: &str, created: u64, model: &str) -> Vec<u8> {
    let or_null = |text: &str| {
        if text.is_empty() { Value::Null } else { json!(text) }
    };
    let (text, reasoning) = (answer.text(), answer.reasoning());
    let mut message = json!({"role": "assistant", "content": text, "refusal": or_null(&answer.refusal())});
    if !reasoning.is_empty() {
        message["reasoning_content"] = json!(reasoning);
    }
    let cited: Vec<Value> = answer.citations.iter().filter_map(annotation).collect();
    if !cited.is_empty() {
        message["annotations"] = Value::Array(cited);
    }
    let calls: Vec<Value> = answer.blocks.iter().filter_map(call).collect();
    if !calls.is_empty() {
        message["content"] = or_null(&text);
        message["tool_calls"] = Value::Array(calls);
    }
    let reason = answer.stop.as_ref().map_or("stop", |(reason, _)| finish_reason(*reason));
    let mut document = json!({
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": null}],
    });
    if !answer.logprobs.is_empty() {
        document["choices"][0]["logprobs"] = json!({"content": answer.logprobs, "refusal": null});
    }
    if let Some(usage) = &answer.usage {
        document["usage"] = usage_json(usage);
    }
    document.to_string().into_bytes()
}

fn call(block: &Block) -> Option<Value> {
    let Block::Call { id, name, arguments, signature, .. } = block else {
        return None;
    };
    let mut call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    if let Some(signature) = signature {
        call["extra_content"] = call_extra(signature);
    }
    Some(call)
}
