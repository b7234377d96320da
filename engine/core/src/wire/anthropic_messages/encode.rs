//! Events as a Messages stream, and a collected answer as a Messages document, for callers whose
//! upstream speaks another dialect.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::domain::answer::{Answer, Block};
use crate::domain::request::Usage;
use crate::domain::snapshot::Dialect;
use crate::domain::stream::{StopReason, StreamEvent};
use crate::wire::translate::seal;

use super::citations::{cited, text_blocks};

/// What the open block of a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Tool(u32),
}

/// A call that waits for its block.
#[derive(Debug)]
struct Waiting {
    call: u32,
    block: Value,
    arguments: String,
}

/// Writes one stream. `origin`: the upstream's dialect, to which its reasoning is sealed.
#[derive(Debug)]
pub struct StreamEncoder {
    id: String,
    model: String,
    origin: Dialect,
    started: bool,
    index: u32,
    open: Option<Open>,
    /// Whether the open block's text is cited: what follows is a block of its own.
    is_cited: bool,
    /// Arguments of the open call so far.
    heard: String,
    /// Calls that began before the open one was whole: blocks cannot be reopened here.
    waiting: VecDeque<Waiting>,
    stop: Option<StopReason>,
    usage: Option<Usage>,
}

impl StreamEncoder {
    #[must_use]
    pub fn new(id: &str, model: &str, origin: Dialect) -> Self {
        Self {
            id: id.to_owned(),
            model: model.to_owned(),
            origin,
            started: false,
            index: 0,
            open: None,
            is_cited: false,
            heard: String::new(),
            waiting: VecDeque::new(),
            stop: None,
            usage: None,
        }
    }

    /// Appends the event's bytes to `out`. An error writes nothing: it is the relay's to report.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Text(text) | StreamEvent::Refusal(text) => {
                if self.is_cited {
                    self.close(out);
                }
                self.enter(Open::Text, || json!({"type": "text", "text": ""}), out);
                self.delta(json!({"type": "text_delta", "text": text}), out);
            }
            StreamEvent::Citation(citation) => {
                if let Some(cited) = cited(citation) {
                    self.enter(Open::Text, || json!({"type": "text", "text": ""}), out);
                    self.delta(json!({"type": "citations_delta", "citation": cited}), out);
                    self.is_cited = true;
                }
            }
            StreamEvent::Reasoning(text) => {
                self.think(out);
                self.delta(json!({"type": "thinking_delta", "thinking": text}), out);
            }
            StreamEvent::ReasoningSignature(signature) => {
                self.think(out);
                let signature = seal(self.origin, signature);
                self.delta(json!({"type": "signature_delta", "signature": signature}), out);
            }
            StreamEvent::RedactedReasoning(data) => {
                self.flush(out);
                self.close(out);
                let block = json!({"type": "redacted_thinking", "data": seal(self.origin, data)});
                self.start_block(&block, out);
                self.open = Some(Open::Thinking);
                self.close(out);
            }
            StreamEvent::ToolStart { index, id, name } => {
                let block = json!({"type": "tool_use", "id": super::safe_id(id), "name": name, "input": {}});
                self.waiting.push_back(Waiting { call: *index, block, arguments: String::new() });
                self.admit(out);
            }
            StreamEvent::ToolArguments { index, fragment } => {
                if self.open == Some(Open::Tool(*index)) {
                    self.arguments(fragment, out);
                    self.admit(out);
                } else if let Some(held) = self.waiting.iter_mut().find(|held| held.call == *index) {
                    held.arguments.push_str(fragment);
                }
            }
            StreamEvent::Stop { reason, .. } => self.stop = Some(*reason),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Terminal => self.end(out),
            StreamEvent::Ping if self.started => event_bytes("ping", &json!({"type": "ping"}), out),
            StreamEvent::Start { .. }
            | StreamEvent::Vectors(_)
            | StreamEvent::Logprobs(_)
            | StreamEvent::ToolSignature { .. }
            | StreamEvent::ServedTier(_)
            | StreamEvent::Ping
            | StreamEvent::Malformed(_)
            | StreamEvent::Error(_)
            | StreamEvent::Extra(_) => {}
        }
    }

    fn think(&mut self, out: &mut Vec<u8>) {
        self.enter(Open::Thinking, || json!({"type": "thinking", "thinking": "", "signature": ""}), out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let usage = usage_json(self.usage.as_ref());
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage,
        });
        event_bytes("message_start", &json!({"type": "message_start", "message": message}), out);
    }

    fn arguments(&mut self, fragment: &str, out: &mut Vec<u8>) {
        if !fragment.is_empty() {
            self.heard.push_str(fragment);
            self.delta(json!({"type": "input_json_delta", "partial_json": fragment}), out);
        }
    }

    /// Opens waiting calls as far as the ones before them are whole.
    fn admit(&mut self, out: &mut Vec<u8>) {
        while !self.waiting.is_empty() {
            let calls = matches!(self.open, Some(Open::Tool(_)));
            if calls && serde_json::from_str::<serde::de::IgnoredAny>(&self.heard).is_err() {
                return;
            }
            self.open_next(out);
        }
    }

    fn open_next(&mut self, out: &mut Vec<u8>) {
        if let Some(Waiting { call, block, arguments }) = self.waiting.pop_front() {
            self.close(out);
            self.start_block(&block, out);
            self.open = Some(Open::Tool(call));
            self.heard.clear();
            self.arguments(&arguments, out);
        }
    }

    /// Nothing more comes for the calls: what waits goes out as it is.
    fn flush(&mut self, out: &mut Vec<u8>) {
        while !self.waiting.is_empty() {
            self.open_next(out);
        }
    }

    fn enter(&mut self, wanted: Open, block: impl FnOnce() -> Value, out: &mut Vec<u8>) {
        if self.open != Some(wanted) {
            self.flush(out);
            self.close(out);
            self.start_block(&block(), out);
            self.open = Some(wanted);
        }
    }

    fn start_block(&mut self, block: &Value, out: &mut Vec<u8>) {
        self.begin(out);
        let event = json!({"type": "content_block_start", "index": self.index, "content_block": block});
        event_bytes("content_block_start", &event, out);
    }

    fn delta(&self, delta: Value, out: &mut Vec<u8>) {
        let event = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
        event_bytes("content_block_delta", &event, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.is_cited = false;
        if self.open.take().is_some() {
            event_bytes(
                "content_block_stop",
                &json!({"type": "content_block_stop", "index": self.index}),
                out,
            );
            self.index += 1;
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        self.close(out);
        self.begin(out);
        let delta = json!({"stop_reason": stop_word(self.stop), "stop_sequence": null});
        let usage = usage_json(self.usage.as_ref());
        event_bytes("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage}), out);
        event_bytes("message_stop", &json!({"type": "message_stop"}), out);
    }
}

fn event_bytes(name: &str, event: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
}

/// Usage in this dialect's terms.
fn usage_json(usage: Option<&Usage>) -> Value {
    let zero = json!({"input_tokens": 0, "output_tokens": 0});
    usage.map_or(zero, |usage| {
        json!({
            "input_tokens": usage.input_uncached,
            "cache_creation_input_tokens": usage.cache_write,
            "cache_read_input_tokens": usage.cache_read,
            "output_tokens": usage.output,
            "output_tokens_details": {"thinking_tokens": usage.reasoning},
        })
    })
}

/// The dialect's word for a stop reason.
fn stop_word(reason: Option<StopReason>) -> &'static str {
    match reason {
        Some(StopReason::StopSequence) => "stop_sequence",
        Some(StopReason::ToolCalls) => "tool_use",
        Some(StopReason::Length) => "max_tokens",
        Some(StopReason::ContextFull) => "model_context_window_exceeded",
        Some(StopReason::ContentFilter | StopReason::Malformed) => "refusal",
        Some(StopReason::Paused) => "pause_turn",
        Some(StopReason::End | StopReason::Unknown) | None => "end_turn",
    }
}

/// A collected answer as a document.
#[must_use]
pub fn encode_answer(answer: &Answer, id: &str, model: &str, origin: Dialect) -> Vec<u8> {
    let last = answer.blocks.iter().rposition(|block| matches!(block, Block::Text(_)));
    let mut start = 0;
    let mut content: Vec<Value> = Vec::new();
    for (at, block) in answer.blocks.iter().enumerate() {
        if let Block::Text(text) = block {
            content.extend(text_blocks(text, start, &answer.citations, last == Some(at)));
            start += text.chars().count() as u64;
        } else {
            content.push(other_block(block, origin));
        }
    }
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_word(answer.stop.as_ref().map(|(reason, _)| *reason)), "stop_sequence": null,
        "usage": usage_json(answer.usage.as_ref()),
    })
    .to_string()
    .into_bytes()
}

/// A block that is not text.
fn other_block(block: &Block, origin: Dialect) -> Value {
    match block {
        Block::Text(text) | Block::Refusal(text) => json!({"type": "text", "text": text}),
        Block::Reasoning { text, signature } => {
            let signature = signature.as_ref().map(|signature| seal(origin, signature)).unwrap_or_default();
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        Block::RedactedReasoning(data) => json!({"type": "redacted_thinking", "data": seal(origin, data)}),
        Block::Call { id, name, arguments, .. } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({"type": "tool_use", "id": super::safe_id(id), "name": name, "input": input})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_whose_fragments_come_mixed_are_whole_blocks_one_after_another() {
        let call = |index, id: &str| StreamEvent::ToolStart { index, id: id.into(), name: "f".into() };
        let part = |index, text: &str| StreamEvent::ToolArguments { index, fragment: text.into() };
        let mut writer = StreamEncoder::new("msg_1", "m", Dialect::OpenaiChat);
        let mut out = Vec::new();
        for event in [
            call(0, "a"),
            call(1, "b"),
            part(0, "{\"x\":"),
            part(1, "{\"y\":"),
            part(0, "1}"),
            part(1, "2}"),
            StreamEvent::Terminal,
        ] {
            writer.encode(&event, &mut out);
        }
        let said = String::from_utf8(out).unwrap();
        let mut arguments = vec![String::new(), String::new()];
        for line in said.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(line).unwrap();
            if let Some(piece) = event.pointer("/delta/partial_json").and_then(Value::as_str) {
                arguments[usize::try_from(event["index"].as_u64().unwrap()).unwrap()].push_str(piece);
            }
        }

        assert_eq!(arguments, ["{\"x\":1}", "{\"y\":2}"]);
        assert_eq!(said.matches("event: content_block_stop").count(), 2);
    }
}
