//! Events collected to one plain answer.

use serde_json::{Value, json};

use crate::domain::request::Usage;
use crate::domain::stream::{StopReason, StreamEvent};

use super::encode::usage_json;
use super::finish_reason;

#[derive(Debug, Default)]
struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

/// Collects one answer.
#[derive(Debug, Default)]
pub struct AnswerBuilder {
    text: String,
    refusal: String,
    reasoning: String,
    calls: Vec<Call>,
    stop: Option<(StopReason, String)>,
    usage: Option<Usage>,
}

impl AnswerBuilder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one event.
    pub fn add(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Text(text) => self.text.push_str(text),
            StreamEvent::Refusal(text) => self.refusal.push_str(text),
            StreamEvent::Reasoning(text) => self.reasoning.push_str(text),
            StreamEvent::ToolStart { index, id, name } => {
                self.calls.push(Call {
                    index: *index,
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                });
            }
            StreamEvent::ToolArguments { index, fragment } => {
                if let Some(call) = self.calls.iter_mut().rev().find(|call| call.index == *index) {
                    call.arguments.push_str(fragment);
                }
            }
            StreamEvent::Stop { reason, raw } => self.stop = Some((*reason, raw.clone())),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    /// The answer's text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The provider's own word for why it stopped.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop.as_ref().map(|(_, raw)| raw.as_str())
    }

    /// Whether nothing at all was said, not even why it stopped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.refusal.is_empty() && self.calls.is_empty() && self.stop.is_none()
    }

    /// The answer as a `chat.completion` document.
    #[must_use]
    pub fn encode(&self, id: &str, created: u64, model: &str) -> Vec<u8> {
        let or_null = |text: &str| {
            if text.is_empty() { Value::Null } else { json!(text) }
        };
        let mut message =
            json!({"role": "assistant", "content": self.text, "refusal": or_null(&self.refusal)});
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = json!(self.reasoning);
        }
        if !self.calls.is_empty() {
            message["content"] = or_null(&self.text);
            let call = |call: &Call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}});
            message["tool_calls"] = self.calls.iter().map(call).collect();
        }
        let reason = self.stop.as_ref().map_or("stop", |(reason, _)| finish_reason(*reason));
        let mut answer = json!({
            "id": id,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": null}],
        });
        if let Some(usage) = &self.usage {
            answer["usage"] = usage_json(usage);
        }
        answer.to_string().into_bytes()
    }
}
