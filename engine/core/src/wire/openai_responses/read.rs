//! Responses answers and stream events.
//!
//! Events are told by their `type`, and by the SSE name only without one. What the
//! deltas did not say is taken from the items and the response that end with it, so a server that
//! sends whole items reads the same as one that sends fragments.

use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::stream::StreamEvent;
use crate::wire::closing::Sink;
use crate::wire::loose::{count_at, index, items, text, text_in};
use crate::wire::openai_chat::error_in;
use crate::wire::reader::{Reader, Shown};

use super::citations::citation;

/// What of one output item has been said.
#[derive(Debug, Default)]
struct Item {
    index: u32,
    words: bool,
    reasoning: bool,
    call: bool,
    arguments: bool,
    done: bool,
    /// Where in the answer's text each part of it begins, by the part's index.
    parts: Vec<(u32, u64)>,
    /// Annotations read so far.
    cited: usize,
}

/// Reads one answer.
#[derive(Debug, Default)]
pub(crate) struct ResponsesReader {
    items: Vec<Item>,
    calls: bool,
}

impl Reader for ResponsesReader {
    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        let Some(answer) = sink.answer_json(body) else {
            return;
        };
        if answer.get("output").is_none() && answer.get("status").is_none() {
            return sink.error(error_in(200, body));
        }
        if sink.text(&answer, "status").is_empty() && sink.list(&answer, "output").is_empty() {
            return sink.fail(ErrorKind::EmptyResponse, "the answer has neither a status nor any output");
        }
        start(&answer, sink);
        self.end(&answer, sink);
    }

    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        if data == b"[DONE]" {
            return Shown::Yes;
        }
        let Some(event) = sink.event_json(data) else {
            return Shown::Unreadable;
        };
        let kind = text_in(&event, "type").or_else(|| std::str::from_utf8(name).ok()).unwrap_or("");
        match kind {
            "response.created" => start(sink.object(&event, "response"), sink),
            "response.output_text.delta" => {
                let words = sink.text(&event, "delta").to_owned();
                self.words(place(&event, sink), index(&event, "content_index"), words, sink);
                sink.say(StreamEvent::Logprobs(items(&event, "logprobs").cloned().collect()));
            }
            "response.output_text.annotation.added" => {
                let part = index(&event, "content_index");
                self.annotation(
                    place(&event, sink),
                    part,
                    event.get("annotation").unwrap_or(&Value::Null),
                    sink,
                );
            }
            "response.refusal.delta" => {
                self.item(place(&event, sink)).words = true;
                sink.words(StreamEvent::Refusal, &event, "delta");
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.item(place(&event, sink)).reasoning = true;
                sink.words(StreamEvent::Reasoning, &event, "delta");
            }
            "response.output_item.added" => self.added(place(&event, sink), &event, sink),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                let fragment = sink.text(&event, "delta").to_owned();
                self.arguments(place(&event, sink), fragment, sink);
            }
            "response.output_item.done" => {
                self.done(place(&event, sink), sink.object(&event, "item"), sink);
            }
            "response.completed" | "response.incomplete" => self.end(sink.object(&event, "response"), sink),
            "response.failed" => {
                let failed = event.pointer("/response/error").cloned().unwrap_or(Value::Null);
                usage(event.get("response").unwrap_or(&Value::Null), sink);
                sink.error(error_in(200, serde_json::json!({"error": failed}).to_string().as_bytes()));
                return Shown::Unusable;
            }
            "error" => {
                sink.error(error_in(200, data));
                return Shown::Unusable;
            }
            _ if !kind.starts_with("response.")
                && event.get("error").is_some_and(|error| !error.is_null()) =>
            {
                sink.error(error_in(200, data));
                return Shown::Unusable;
            }
            _ if kind.starts_with("response.") => sink.say(StreamEvent::Ping), // says what others say again
            _ => sink.unknown(),
        }
        Shown::Yes
    }
}

impl ResponsesReader {
    fn item(&mut self, at: u32) -> &mut Item {
        let found = self.items.iter().position(|item| item.index == at);
        let position = found.unwrap_or_else(|| {
            self.items.push(Item { index: at, ..Item::default() });
            self.items.len() - 1
        });
        &mut self.items[position]
    }

    fn words(&mut self, at: u32, part: u32, words: String, sink: &mut Sink<'_>) {
        let item = self.item(at);
        item.words = true;
        if !item.parts.iter().any(|(known, _)| *known == part) {
            item.parts.push((part, sink.position()));
        }
        sink.say(StreamEvent::Text(words));
    }

    fn annotation(&mut self, at: u32, part: u32, said: &Value, sink: &mut Sink<'_>) {
        let item = self.item(at);
        item.cited += 1;
        let start = item.parts.iter().find(|(known, _)| *known == part).map(|(_, start)| *start);
        match citation(said, start.unwrap_or_else(|| sink.position())) {
            Some(citation) => sink.say(StreamEvent::Citation(Box::new(citation))),
            None => sink.say(StreamEvent::Ping), // a file that was made, not a source
        }
    }

    fn arguments(&mut self, at: u32, fragment: String, sink: &mut Sink<'_>) {
        let item = self.item(at);
        if item.call && !fragment.is_empty() {
            item.arguments = true;
            sink.say(StreamEvent::ToolArguments { index: at, fragment });
        }
    }

    fn added(&mut self, at: u32, event: &Value, sink: &mut Sink<'_>) {
        if event.get("output_index").is_none() && !self.items.is_empty() {
            return sink
                .fail(ErrorKind::MalformedOutput, "nobody knows which item is which without output_index");
        }
        let item = sink.object(event, "item");
        if is_call(item) {
            self.start_call(at, item, sink);
        } else {
            self.item(at);
            sink.say(StreamEvent::Ping);
        }
    }

    fn start_call(&mut self, at: u32, item: &Value, sink: &mut Sink<'_>) {
        self.calls = true;
        if !std::mem::replace(&mut self.item(at).call, true) {
            let given = sink.text(item, "call_id");
            let id = if given.is_empty() { sink.text(item, "id") } else { given }.to_owned();
            let name = sink.text(item, "name").to_owned();
            sink.say(StreamEvent::ToolStart { index: at, id, name });
        }
    }

    /// A finished item: says what its deltas have not.
    fn done(&mut self, at: u32, item: &Value, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.item(at).done, true) {
            return;
        }
        match sink.text(item, "type") {
            "message" => self.message(at, item, sink),
            "reasoning" => {
                if !self.item(at).reasoning {
                    let parts = items(item, "summary").chain(items(item, "content"));
                    parts.for_each(|part| sink.say(StreamEvent::Reasoning(text(part, "text"))));
                }
                // Without its content sealed inside, an item is only a name at the provider.
                if text_in(item, "encrypted_content").is_some() {
                    sink.say(StreamEvent::RedactedReasoning(item.to_string()));
                } else {
                    sink.say(StreamEvent::Extra(item.clone()));
                }
            }
            "function_call" | "custom_tool_call" => {
                self.start_call(at, item, sink);
                if !self.item(at).arguments {
                    let words = sink.text(item, "arguments");
                    let given = if words.is_empty() { sink.text(item, "input") } else { words };
                    let fragment = if given.is_empty() { "{}" } else { given };
                    self.arguments(at, fragment.to_owned(), sink);
                }
            }
            _ => sink.say(StreamEvent::Extra(item.clone())),
        }
    }

    fn message(&mut self, at: u32, item: &Value, sink: &mut Sink<'_>) {
        let (said, mut cited) = (self.item(at).words, self.item(at).cited);
        for (part_index, part) in (0u32..).zip(sink.list(item, "content")) {
            match sink.text(part, "type") {
                _ if said => {}
                "refusal" => sink.words(StreamEvent::Refusal, part, "refusal"),
                _ => {
                    let words = sink.text(part, "text").to_owned();
                    self.words(at, part_index, words, sink);
                    sink.say(StreamEvent::Logprobs(items(part, "logprobs").cloned().collect()));
                }
            }
            for annotation in items(part, "annotations") {
                if cited > 0 {
                    cited -= 1; // said by an event of its own
                } else {
                    self.annotation(at, part_index, annotation, sink);
                }
            }
        }
    }

    /// The whole response, at the end of a stream or as a plain answer.
    fn end(&mut self, response: &Value, sink: &mut Sink<'_>) {
        for (at, item) in (0u32..).zip(sink.list(response, "output")) {
            self.done(at, item, sink);
        }
        if let Some(tier) = text_in(response, "service_tier") {
            sink.say(StreamEvent::ServedTier(tier.to_owned()));
        }
        usage(response, sink);
        let status = sink.text(response, "status");
        if matches!(status, "failed" | "cancelled") {
            let error = response.get("error").cloned().unwrap_or(Value::Null);
            let body = serde_json::json!({"error": error}).to_string();
            return sink.error(error_in(200, body.as_bytes()));
        }
        let details = sink.object(response, "incomplete_details");
        let incomplete = sink.text(details, "reason");
        let reason = super::stop_reason(status, incomplete, self.calls);
        sink.say(StreamEvent::Stop { reason, raw: status.to_owned() });
        sink.say(StreamEvent::Terminal);
    }
}

/// Calls that the caller must answer; all other tools run at the provider.
fn is_call(item: &Value) -> bool {
    matches!(text_in(item, "type"), Some("function_call" | "custom_tool_call"))
}

/// Which output item an event belongs to. Servers that write one item may leave it out.
fn place(event: &Value, sink: &mut Sink<'_>) -> u32 {
    if event.get("output_index").is_none() { 0 } else { sink.index(event, "output_index") }
}

fn start(response: &Value, sink: &mut Sink<'_>) {
    let (id, model) = (text_in(response, "id"), text_in(response, "model"));
    sink.say(StreamEvent::Start { id: id.map(str::to_owned), model: model.map(str::to_owned) });
}

/// Cached and written tokens are inside `input_tokens`, reasoning inside `output_tokens`.
fn usage(response: &Value, sink: &mut Sink<'_>) {
    let said = sink.object(response, "usage");
    let Some(input) = count_at(said, "/input_tokens") else {
        return;
    };
    let count = |path: &str| count_at(said, path).unwrap_or(0);
    sink.say(StreamEvent::Usage(Usage::inclusive(
        input,
        count("/input_tokens_details/cached_tokens"),
        count("/input_tokens_details/cache_write_tokens"),
        count("/output_tokens"),
        count("/output_tokens_details/reasoning_tokens"),
    )));
}

#[cfg(test)]
mod tests {
    use crate::domain::outcome::ErrorKind;
    use crate::domain::snapshot::Dialect;
    use crate::domain::stream::StreamEvent;
    use crate::wire::{DecodeAs, Decoder, Framing, RawMode};

    fn fault(body: &str) -> Option<ErrorKind> {
        let mut decoder =
            Decoder::new(DecodeAs::new(Dialect::OpenaiResponses, false, Framing::Sse), RawMode::Off);
        let mut events = Vec::new();
        decoder.feed(body.as_bytes(), &mut events);
        decoder.finish(&mut events);
        events.iter().find_map(|event| match event {
            StreamEvent::Error(error) => Some(error.kind),
            _ => None,
        })
    }

    #[test]
    fn an_answer_that_says_nothing_or_no_list_is_broken() {
        assert_eq!(fault(r#"{"id": 1, "output": "x", "usage": 3}"#), Some(ErrorKind::MalformedOutput));
        assert_eq!(
            fault(r#"{"id": "r", "object": "response", "output": []}"#),
            Some(ErrorKind::EmptyResponse)
        );
        let whole = r#"{"id": "r", "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]}"#;
        assert_eq!(fault(whole), None);
    }
}
