//! Cohere v2 answers and stream events. `usage.tokens` is what the model saw; `billed_units` is
//! a price, not a count.

use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::stream::StreamEvent;
use crate::wire::bedrock_invoke::PlainReader;
use crate::wire::closing::Sink;
use crate::wire::loose::{count_at, index, items, text_in};
use crate::wire::openai_chat::error_in;
use crate::wire::reader::{Reader, Shown};

use super::citations::citations;

/// Reads one answer. `begun`: calls whose arguments have begun; `parts`: where in the answer's text each
/// part of its content begins; `former`: reads the version before.
#[derive(Debug, Default)]
pub(crate) struct CohereReader {
    begun: Vec<u32>,
    parts: Vec<(u32, u64)>,
    former: Option<PlainReader>,
}

impl Reader for CohereReader {
    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        let Some(answer) = sink.answer_json(body) else {
            return;
        };
        let Some(message) = answer.get("message").filter(|message| message.is_object()) else {
            if text_in(&answer, "generation_id").is_none() {
                return sink.error(error_in(200, body));
            }
            // The version before this one, which some hosts still answer with.
            let mut plain = PlainReader::default();
            plain.document(&answer, sink);
            return plain.finish(sink);
        };
        start(&answer, sink);
        sink.words(StreamEvent::Reasoning, message, "tool_plan");
        let plain = message.get("content").is_some_and(Value::is_string); // as some hosts send it
        if plain {
            sink.words(StreamEvent::Text, message, "content");
        }
        for (at, part) in (0u32..).zip(if plain { &[] } else { sink.list(message, "content") }) {
            self.parts.push((at, sink.position()));
            match text_in(part, "type") {
                Some("thinking") => sink.words(StreamEvent::Reasoning, part, "thinking"),
                _ => sink.words(StreamEvent::Text, part, "text"),
            }
        }
        items(message, "citations").for_each(|cited| self.cite(cited, sink));
        for (index, call) in (0u32..).zip(sink.list(message, "tool_calls")) {
            self.call(index, call, sink);
            self.close(index, sink);
        }
        end(&answer, answer.get("usage"), sink);
    }

    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        if data == b"[DONE]" {
            return Shown::Yes;
        }
        let Some(event) = sink.event_json(data) else {
            return Shown::Unreadable;
        };
        let at = index(&event, "index");
        let message = event.pointer("/delta/message").unwrap_or(&Value::Null);
        if text_in(&event, "event_type").is_some() {
            return self.former(&event, sink);
        }
        let kind = text_in(&event, "type").or_else(|| std::str::from_utf8(name).ok()).unwrap_or("");
        match kind {
            "message-start" => start(&event, sink),
            "content-start" | "content-delta" => {
                if kind == "content-start" {
                    self.parts.push((at, sink.position()));
                }
                let content = sink.object(message, "content");
                sink.words(StreamEvent::Reasoning, content, "thinking");
                sink.words(StreamEvent::Text, content, "text");
            }
            "tool-plan-delta" => sink.words(StreamEvent::Reasoning, message, "tool_plan"),
            "tool-call-start" => self.call(at, sink.object(message, "tool_calls"), sink),
            "tool-call-delta" => {
                let calls = sink.object(message, "tool_calls");
                let function = sink.object(calls, "function");
                self.arguments(at, sink.text(function, "arguments"), sink);
            }
            "tool-call-end" => self.close(at, sink),
            "message-end" => {
                let delta = event.get("delta").unwrap_or(&Value::Null);
                end(delta, delta.get("usage"), sink);
            }
            "" if ["message", "error", "detail"].iter().any(|name| event.get(name).is_some()) => {
                sink.error(error_in(200, data));
                return Shown::Unusable;
            }
            "citation-start" => self.cite(message.get("citations").unwrap_or(&Value::Null), sink),
            "content-end" | "citation-end" | "debug" => sink.say(StreamEvent::Ping),
            _ => sink.unknown(),
        }
        Shown::Yes
    }
}

impl CohereReader {
    /// An event of the version before this one.
    fn former(&mut self, event: &Value, sink: &mut Sink<'_>) -> Shown {
        let reader = self.former.get_or_insert_with(PlainReader::default);
        reader.document(event, sink);
        if event.get("is_finished").and_then(Value::as_bool) == Some(true) {
            reader.finish(sink);
        }
        Shown::Yes
    }

    fn cite(&self, cited: &Value, sink: &mut Sink<'_>) {
        let part = index(cited, "content_index");
        let start = self.parts.iter().rfind(|(known, _)| *known == part).map_or(0, |(_, start)| *start);
        for citation in citations(cited, start) {
            sink.say(StreamEvent::Citation(Box::new(citation)));
        }
    }

    fn call(&mut self, at: u32, call: &Value, sink: &mut Sink<'_>) {
        let function = sink.object(call, "function");
        let (id, name) = (sink.text(call, "id").to_owned(), sink.text(function, "name").to_owned());
        sink.say(StreamEvent::ToolStart { index: at, id, name });
        self.arguments(at, sink.text(function, "arguments"), sink);
    }

    fn arguments(&mut self, at: u32, fragment: &str, sink: &mut Sink<'_>) {
        if !fragment.is_empty() {
            self.begun.push(at);
            sink.say(StreamEvent::ToolArguments { index: at, fragment: fragment.to_owned() });
        }
    }

    fn close(&mut self, at: u32, sink: &mut Sink<'_>) {
        if !self.begun.contains(&at) {
            sink.say(StreamEvent::ToolArguments { index: at, fragment: "{}".to_owned() });
        }
        self.begun.retain(|begun| *begun != at);
    }
}

fn start(holder: &Value, sink: &mut Sink<'_>) {
    sink.say(StreamEvent::Start { id: text_in(holder, "id").map(str::to_owned), model: None });
}

fn end(holder: &Value, usage: Option<&Value>, sink: &mut Sink<'_>) {
    if let Some(usage) = usage {
        tally(usage, sink);
    }
    let raw = sink.text(holder, "finish_reason");
    match raw {
        "ERROR" => {
            let said = text_in(holder, "error").unwrap_or("the provider ended the answer with an error");
            sink.fail(ErrorKind::ServerError, said);
        }
        "TIMEOUT" => sink.fail(ErrorKind::Timeout, "the provider ended the answer by its own deadline"),
        _ => {
            sink.say(StreamEvent::Stop { reason: super::stop_reason(raw), raw: raw.to_owned() });
            sink.say(StreamEvent::Terminal);
        }
    }
}

fn tally(usage: &Value, sink: &mut Sink<'_>) {
    let count = |name: &str| {
        count_at(usage, &format!("/tokens/{name}"))
            .or_else(|| count_at(usage, &format!("/billed_units/{name}")))
    };
    if let Some(input) = count("input_tokens") {
        let read = count_at(usage, "/cached_tokens").unwrap_or(0);
        sink.say(StreamEvent::Usage(Usage::inclusive(
            input,
            read,
            0,
            count("output_tokens").unwrap_or(0),
            0,
        )));
    }
}
