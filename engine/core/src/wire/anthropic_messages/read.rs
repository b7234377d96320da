//! Messages answers and stream events.
//!
//! Usage is cumulative: what a later event says replaces what an earlier one said, field by field.
//! Tools the provider runs itself are told apart by their block type and never become calls.

use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::{Usage, UsageSource};
use crate::domain::stream::{Citation, StreamEvent};
use crate::wire::closing::Sink;
use crate::wire::loose::{as_count, count_at, items, json_or_empty, text_in};
use crate::wire::reader::{Reader, Shown};

use super::citations::citation;
use super::errors::error_in;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// Where in the answer's text it begins.
    Text(u64),
    Thinking,
    /// Whether its arguments have begun.
    Tool(bool),
    ServersOwn,
}

/// Reads one answer.
#[derive(Debug, Default)]
pub(crate) struct MessagesReader {
    blocks: Vec<(u32, Block)>,
    /// Citations of open blocks: what they stand behind is known at the block's end.
    cited: Vec<(u32, Value)>,
    usage: Option<Usage>,
    rewritten: Option<Vec<u8>>,
}

impl Reader for MessagesReader {
    fn padding(&self) -> Option<&'static [&'static str]> {
        Some(&[])
    }

    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        if let Some(answer) = sink.answer_json(body) {
            self.document(&answer, body, sink);
        }
    }

    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        if data == b"[DONE]" {
            return Shown::Unusable; // compatible servers close with the mark of another dialect
        }
        let Some(event) = sink.event_json(data) else {
            return Shown::Unreadable;
        };
        // Clients of this dialect go by the name alone, which compatible servers leave out.
        self.rewritten = name.is_empty().then(|| data.to_vec());
        let kind = text_in(&event, "type").or_else(|| std::str::from_utf8(name).ok()).unwrap_or("");
        match kind {
            "message_start" => {
                let message = sink.object(&event, "message");
                start(message, sink);
                self.tally(message, sink);
            }
            "content_block_start" => self.open(&event, sink),
            "content_block_delta" => {
                let at = sink.index(&event, "index");
                self.delta(at, sink.object(&event, "delta"), sink);
            }
            "content_block_stop" => {
                let at = sink.index(&event, "index");
                self.close(at, sink);
            }
            "message_delta" => {
                self.tally(&event, sink);
                stop(sink.object(&event, "delta"), sink);
            }
            "message_stop" => {
                self.metrics(&event, sink);
                sink.say(StreamEvent::Terminal);
            }
            "error" => {
                sink.error(error_in(200, data));
                return Shown::Unusable;
            }
            "ping" => sink.say(StreamEvent::Ping),
            _ => sink.unknown(),
        }
        Shown::Yes
    }

    fn rewritten(&mut self) -> Option<Vec<u8>> {
        self.rewritten.take()
    }
}

impl MessagesReader {
    /// A plain answer; `body` are its bytes.
    pub(crate) fn document(&mut self, answer: &Value, body: &[u8], sink: &mut Sink<'_>) {
        if text_in(answer, "type") == Some("error") || answer.get("error").is_some_and(|e| !e.is_null()) {
            return sink.error(error_in(200, body));
        }
        start(answer, sink);
        if answer.get("content").is_none_or(Value::is_null) {
            return sink.fail(ErrorKind::MalformedOutput, "the answer has no content");
        }
        for (index, block) in (0u32..).zip(sink.list(answer, "content")) {
            match sink.text(block, "type") {
                "text" => {
                    let start = sink.position();
                    sink.words(StreamEvent::Text, block, "text");
                    for one in items(block, "citations") {
                        cite(citation(one, start..sink.position()), sink);
                    }
                }
                "thinking" => {
                    sink.words(StreamEvent::Reasoning, block, "thinking");
                    signature(block, sink);
                }
                "redacted_thinking" => sink.words(StreamEvent::RedactedReasoning, block, "data"),
                "tool_use" => {
                    sink.call(index, block, "id");
                    let fragment = json_or_empty(Some(sink.object(block, "input")));
                    sink.say(StreamEvent::ToolArguments { index, fragment });
                }
                _ => sink.say(StreamEvent::Extra(block.clone())),
            }
        }
        self.tally(answer, sink);
        stop(answer, sink);
        sink.say(StreamEvent::Terminal);
    }

    fn open(&mut self, event: &Value, sink: &mut Sink<'_>) {
        let at = sink.index(event, "index");
        let block = sink.object(event, "content_block");
        if block.is_null() {
            return sink.fail(ErrorKind::MalformedOutput, "a block of the answer has no content_block");
        }
        let kind = match sink.text(block, "type") {
            "text" => {
                let start = sink.position();
                sink.words(StreamEvent::Text, block, "text");
                self.cited.extend(items(block, "citations").map(|one| (at, one.clone())));
                Block::Text(start)
            }
            "thinking" => {
                sink.words(StreamEvent::Reasoning, block, "thinking");
                signature(block, sink);
                Block::Thinking
            }
            "redacted_thinking" => {
                sink.words(StreamEvent::RedactedReasoning, block, "data");
                Block::Thinking
            }
            "tool_use" => {
                sink.call(at, block, "id");
                let given = Some(sink.object(block, "input"))
                    .filter(|input| input.as_object().is_some_and(|fields| !fields.is_empty()));
                if let Some(input) = given {
                    sink.say(StreamEvent::ToolArguments { index: at, fragment: input.to_string() });
                }
                Block::Tool(given.is_some())
            }
            _ => {
                sink.say(StreamEvent::Extra(block.clone()));
                Block::ServersOwn
            }
        };
        self.blocks.retain(|(known, _)| *known != at);
        self.blocks.push((at, kind));
    }

    fn delta(&mut self, at: u32, delta: &Value, sink: &mut Sink<'_>) {
        let block = self.blocks.iter_mut().find(|(known, _)| *known == at).map(|(_, block)| block);
        match sink.text(delta, "type") {
            "citations_delta" => {
                self.cited.extend(delta.get("citation").map(|one| (at, one.clone())));
                sink.say(StreamEvent::Ping);
            }
            "text_delta" => sink.words(StreamEvent::Text, delta, "text"),
            "thinking_delta" => sink.words(StreamEvent::Reasoning, delta, "thinking"),
            "signature_delta" => signature(delta, sink),
            "input_json_delta" => {
                let fragment = sink.text(delta, "partial_json").to_owned();
                match block {
                    Some(Block::Tool(begun)) if !fragment.is_empty() => {
                        *begun = true;
                        sink.say(StreamEvent::ToolArguments { index: at, fragment });
                    }
                    _ => sink.say(StreamEvent::Ping),
                }
            }
            _ => sink.say(StreamEvent::Ping),
        }
    }

    fn close(&mut self, at: u32, sink: &mut Sink<'_>) {
        let open = self.blocks.iter_mut().find(|(known, _)| *known == at);
        match open {
            // A call without arguments comes without a fragment.
            Some((_, Block::Tool(begun @ false))) => {
                *begun = true;
                sink.say(StreamEvent::ToolArguments { index: at, fragment: "{}".to_owned() });
            }
            Some((_, Block::Text(start))) => {
                let span = *start..sink.position();
                for (_, one) in self.cited.extract_if(.., |(block, _)| *block == at) {
                    cite(citation(&one, span.clone()), sink);
                }
            }
            _ => {}
        }
    }

    /// What `holder` says of the answer's usage.
    fn tally(&mut self, holder: &Value, sink: &mut Sink<'_>) {
        let said = sink.object(holder, "usage");
        if said.is_null() {
            return;
        }
        let usage = self.usage.get_or_insert(NOTHING);
        for (name, field) in [
            ("input_tokens", &mut usage.input_uncached),
            ("cache_read_input_tokens", &mut usage.cache_read),
            ("cache_creation_input_tokens", &mut usage.cache_write),
            ("output_tokens", &mut usage.output),
        ] {
            if let Some(count) = said.get(name).and_then(as_count) {
                *field = count;
            }
        }
        if let Some(count) = count_at(said, "/output_tokens_details/thinking_tokens") {
            usage.reasoning = count;
        }
        sink.say(StreamEvent::Usage(*usage));
        if let Some(tier) = text_in(said, "service_tier") {
            sink.say(StreamEvent::ServedTier(tier.to_owned()));
        }
    }

    /// What another cloud's frame adds to the last event, for a stream that told no usage itself.
    fn metrics(&mut self, event: &Value, sink: &mut Sink<'_>) {
        if self.usage.is_none()
            && let Some(usage) = crate::wire::bedrock_invoke::metrics_usage(event)
        {
            sink.say(StreamEvent::Usage(usage));
        }
    }
}

/// Says a citation; one of a kind that is not known is counted.
fn cite(citation: Option<Citation>, sink: &mut Sink<'_>) {
    match citation {
        Some(citation) => sink.say(StreamEvent::Citation(Box::new(citation))),
        None => sink.unknown(),
    }
}

fn signature(holder: &Value, sink: &mut Sink<'_>) {
    if let Some(signature) = text_in(holder, "signature").filter(|text| !text.is_empty()) {
        sink.say(StreamEvent::ReasoningSignature(signature.to_owned()));
    }
}

const NOTHING: Usage = Usage {
    input_uncached: 0,
    cache_read: 0,
    cache_write: 0,
    output: 0,
    reasoning: 0,
    source: UsageSource::Provider,
};

fn start(message: &Value, sink: &mut Sink<'_>) {
    let (id, model) = (text_in(message, "id"), text_in(message, "model"));
    sink.say(StreamEvent::Start { id: id.map(str::to_owned), model: model.map(str::to_owned) });
}

fn stop(holder: &Value, sink: &mut Sink<'_>) {
    let raw = sink.text(holder, "stop_reason");
    if !raw.is_empty() {
        sink.say(StreamEvent::Stop { reason: super::stop_reason(raw), raw: raw.to_owned() });
    }
}
