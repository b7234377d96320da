//! Converse answers and ConverseStream events.
//!
//! `metadata` with the usage comes after `messageStop`, so the answer is over at `metadata`; an
//! upstream that closes after `messageStop` without it has still finished its answer.

use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::{Usage, UsageSource};
use crate::domain::stream::{StopReason, StreamEvent};
use crate::wire::aws_errors::error_kind;
use crate::wire::closing::Sink;
use crate::wire::loose::{as_count, items, json_or_empty, text, text_in};
use crate::wire::reader::{Reader, Shown};

use super::citations::citation;

/// Reads one answer. `calls`: their blocks, and whether arguments have come. `start`: where in the
/// answer's text the open block begins; `cited`: its citations, whose end is known with its own.
#[derive(Debug, Default)]
pub(crate) struct ConverseReader {
    calls: Vec<(u32, bool)>,
    start: u64,
    cited: Vec<Value>,
}

impl Reader for ConverseReader {
    fn padding(&self) -> Option<&'static [&'static str]> {
        Some(&["p"])
    }

    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        if let Some(answer) = sink.answer_json(body) {
            Self::document(&answer, sink);
        }
    }

    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        let Some(payload) = sink.event_json(data) else {
            return Shown::Unreadable;
        };
        self.payload(std::str::from_utf8(name).unwrap_or(""), &payload, sink);
        Shown::Yes
    }

    fn finish(&mut self, sink: &mut Sink<'_>) {
        sink.end_if_stopped();
    }
}

impl ConverseReader {
    /// A plain answer.
    pub(crate) fn document(answer: &Value, sink: &mut Sink<'_>) {
        let message = answer.pointer("/output/message").unwrap_or(&Value::Null);
        if message.get("content").is_none() {
            if answer.get("stopReason").is_some() {
                return Self::closing_fields(answer, sink); // a model that said nothing at all
            }
            let (name, message) = (text(answer, "__type"), text(answer, "message"));
            let kind = error_kind(&name, &message).unwrap_or(ErrorKind::MalformedOutput);
            return sink.fail(kind, &format!("no answer inside a 200: {name} {message}"));
        }
        for (index, block) in (0u32..).zip(sink.list(message, "content")) {
            let reasoning = sink.object(block, "reasoningContent");
            let within = sink.object(reasoning, "reasoningText");
            Self::reasoning(if within.is_null() { reasoning } else { within }, sink);
            sink.words(StreamEvent::Text, block, "text");
            if let Some(cited) = block.get("citationsContent") {
                let start = sink.position();
                sink.list(cited, "content")
                    .iter()
                    .for_each(|part| sink.words(StreamEvent::Text, part, "text"));
                for one in items(cited, "citations") {
                    let citation = citation(one, start..sink.position());
                    sink.say(StreamEvent::Citation(Box::new(citation)));
                }
            }
            let tool = sink.object(block, "toolUse");
            if !tool.is_null() {
                if is_servers_own(tool) {
                    sink.say(StreamEvent::Extra(block.clone()));
                    continue;
                }
                sink.call(index, tool, "toolUseId");
                let fragment = json_or_empty(tool.get("input"));
                sink.say(StreamEvent::ToolArguments { index, fragment });
            }
        }
        Self::closing_fields(answer, sink);
    }

    fn closing_fields(answer: &Value, sink: &mut Sink<'_>) {
        stop(answer, sink);
        metadata(answer, sink);
        sink.say(StreamEvent::Terminal);
    }

    /// One event of a stream.
    pub(crate) fn payload(&mut self, name: &str, payload: &Value, sink: &mut Sink<'_>) {
        match name {
            "messageStart" => sink.say(StreamEvent::Start { id: None, model: None }),
            "contentBlockStart" => {
                let block = sink.index(payload, "contentBlockIndex");
                let start = sink.object(payload, "start");
                let tool = sink.object(start, "toolUse");
                if !tool.is_null() && !is_servers_own(tool) {
                    sink.call(block, tool, "toolUseId");
                    self.calls.push((block, false));
                }
            }
            "contentBlockDelta" => {
                let block = sink.index(payload, "contentBlockIndex");
                self.delta(block, sink.object(payload, "delta"), sink);
            }
            "contentBlockStop" => {
                let block = sink.index(payload, "contentBlockIndex");
                // A call without arguments may come without a fragment.
                if let Some((_, begun @ false)) = self.call(block) {
                    *begun = true;
                    sink.say(StreamEvent::ToolArguments { index: block, fragment: "{}".to_owned() });
                }
                self.cite(sink);
            }
            "messageStop" => {
                self.cite(sink);
                stop(payload, sink);
            }
            "metadata" => {
                metadata(payload, sink);
                sink.end_if_stopped();
            }
            _ => sink.unknown(),
        }
    }

    fn call(&mut self, block: u32) -> Option<&mut (u32, bool)> {
        self.calls.iter_mut().find(|(known, _)| *known == block)
    }

    fn delta(&mut self, block: u32, delta: &Value, sink: &mut Sink<'_>) {
        let tool = sink.object(delta, "toolUse");
        if !tool.is_null() {
            let fragment = sink.text(tool, "input");
            match self.call(block) {
                Some((_, begun)) if !fragment.is_empty() => {
                    *begun = true;
                    sink.say(StreamEvent::ToolArguments { index: block, fragment: fragment.to_owned() });
                }
                _ => sink.say(StreamEvent::Ping), // nothing, or of a tool the provider runs itself
            }
        }
        sink.words(StreamEvent::Text, delta, "text");
        Self::reasoning(sink.object(delta, "reasoningContent"), sink);
        if let Some(cited) = delta.get("citation") {
            self.cited.push(cited.clone());
            sink.say(StreamEvent::Ping);
        }
    }

    /// A block has ended: its citations stand behind all of its text.
    fn cite(&mut self, sink: &mut Sink<'_>) {
        let span = std::mem::replace(&mut self.start, sink.position())..sink.position();
        for one in self.cited.drain(..) {
            sink.say(StreamEvent::Citation(Box::new(citation(&one, span.clone()))));
        }
    }

    fn reasoning(reasoning: &Value, sink: &mut Sink<'_>) {
        sink.words(StreamEvent::Reasoning, reasoning, "text");
        if let Some(signature) = text_in(reasoning, "signature") {
            sink.say(StreamEvent::ReasoningSignature(signature.to_owned()));
        }
        if let Some(data) = text_in(reasoning, "redactedContent") {
            sink.say(StreamEvent::RedactedReasoning(data.to_owned()));
        }
    }
}

fn stop(answer: &Value, sink: &mut Sink<'_>) {
    let raw = sink.text(answer, "stopReason");
    let reason = match raw {
        "end_turn" => StopReason::End,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolCalls,
        "max_tokens" => StopReason::Length,
        "model_context_window_exceeded" => StopReason::ContextFull,
        "guardrail_intervened" | "content_filtered" => StopReason::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => StopReason::Malformed,
        _ => StopReason::Unknown,
    };
    sink.say(StreamEvent::Stop { reason, raw: raw.to_owned() });
}

fn metadata(answer: &Value, sink: &mut Sink<'_>) {
    if let Some(tier) = answer.pointer("/serviceTier/type").and_then(Value::as_str) {
        sink.say(StreamEvent::ServedTier(tier.to_owned()));
    }
    let said = sink.object(answer, "usage");
    let count = |name: &str| said.get(name).and_then(as_count);
    if let Some(input) = count("inputTokens") {
        sink.say(StreamEvent::Usage(Usage {
            input_uncached: input,
            cache_read: count("cacheReadInputTokens").unwrap_or(0),
            cache_write: count("cacheWriteInputTokens").unwrap_or(0),
            output: count("outputTokens").unwrap_or(0),
            reasoning: 0,
            source: UsageSource::Provider,
        }));
    }
}

/// A tool the provider runs itself is not a call the caller must answer.
fn is_servers_own(tool: &Value) -> bool {
    text_in(tool, "type") == Some("server_tool_use")
}
