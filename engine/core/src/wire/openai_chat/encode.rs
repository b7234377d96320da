//! Events as an OpenAI chat stream, for callers whose upstream speaks another dialect.

use serde_json::{Value, json};

use crate::domain::request::Usage;
use crate::domain::stream::StreamEvent;

use super::citations::annotation;
use super::finish_reason;

/// Writes one stream.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
    usage: Option<Usage>,
    started: bool,
}

impl StreamEncoder {
    #[must_use]
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> Self {
        Self {
            id: id.to_owned(),
            created,
            model: model.to_owned(),
            include_usage,
            usage: None,
            started: false,
        }
    }

    /// Appends the event's bytes to `out`. An error writes nothing: it is the relay's to report.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Text(text) => self.delta(&json!({"content": text}), out),
            StreamEvent::Refusal(text) => self.delta(&json!({"refusal": text}), out),
            StreamEvent::Reasoning(text) => self.delta(&json!({"reasoning_content": text}), out),
            StreamEvent::ToolStart { index, id, name } => {
                let call = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
                self.delta(&json!({"tool_calls": [call]}), out);
            }
            StreamEvent::ToolArguments { index, fragment } => {
                let call = json!({"index": index, "function": {"arguments": fragment}});
                self.delta(&json!({"tool_calls": [call]}), out);
            }
            StreamEvent::ToolSignature { index, signature } => {
                let call = json!({"index": index, "extra_content": call_extra(signature)});
                self.delta(&json!({"tool_calls": [call]}), out);
            }
            StreamEvent::Logprobs(tokens) => {
                let logprobs = json!({"content": tokens, "refusal": null});
                let choice = json!([{"index": 0, "delta": {}, "logprobs": logprobs, "finish_reason": null}]);
                self.write(choice, None, out);
            }
            StreamEvent::Citation(citation) => {
                if let Some(cited) = annotation(citation) {
                    self.delta(&json!({"annotations": [cited]}), out);
                }
            }
            StreamEvent::Stop { reason, .. } => self.chunk(&json!({}), json!(finish_reason(*reason)), out),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Terminal => self.end(out),
            StreamEvent::Start { .. }
            | StreamEvent::Vectors(_)
            | StreamEvent::ReasoningSignature(_)
            | StreamEvent::RedactedReasoning(_)
            | StreamEvent::ServedTier(_)
            | StreamEvent::Ping
            | StreamEvent::Malformed(_)
            | StreamEvent::Error(_)
            | StreamEvent::Extra(_) => {}
        }
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            self.chunk(&json!({"role": "assistant", "content": ""}), Value::Null, out);
        }
        self.chunk(delta, Value::Null, out);
    }

    fn chunk(&self, delta: &Value, finish_reason: Value, out: &mut Vec<u8>) {
        let choice = json!([{"index": 0, "delta": delta, "finish_reason": finish_reason}]);
        self.write(choice, None, out);
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let (true, Some(usage)) = (self.include_usage, &self.usage) {
            self.write(json!([]), Some(usage_json(usage)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn write(&self, choices: Value, usage: Option<Value>, out: &mut Vec<u8>) {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(chunk.to_string().as_bytes());
        out.extend_from_slice(b"\n\n");
    }
}

/// Where this dialect carries what binds a call to the model that made it.
pub(super) fn call_extra(signature: &str) -> Value {
    json!({"google": {"thought_signature": signature}})
}

/// Usage in this dialect's terms.
#[must_use]
pub(super) fn usage_json(usage: &Usage) -> Value {
    let input = usage.input_uncached + usage.cache_read + usage.cache_write;
    json!({
        "prompt_tokens": input,
        "completion_tokens": usage.output,
        "total_tokens": input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}
