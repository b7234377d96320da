//! Generated texts and token events. A container that answers in chat form after all is read as
//! that: what a container speaks is not always what its endpoint's name promises.

use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::stream::StreamEvent;
use crate::wire::closing::Sink;
use crate::wire::loose::{count_at, text_in};
use crate::wire::openai_chat::ChatReader;
use crate::wire::reader::{Reader, Shown};

/// Reads one answer.
#[derive(Debug, Default)]
pub(crate) struct TgiReader {
    chat: Option<ChatReader>,
    tokens: u64,
}

impl Reader for TgiReader {
    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        let Some(answer) = sink.answer_json(body) else {
            return;
        };
        if answer.get("choices").is_some() {
            return ChatReader::default().answer(body, sink);
        }
        let one = answer.get(0).unwrap_or(&answer);
        if refused(one, sink) {
            return;
        }
        let Some(words) = text_in(one, "generated_text") else {
            return sink.fail(ErrorKind::MalformedOutput, "the answer has no generated_text");
        };
        sink.say(StreamEvent::Text(words.to_owned()));
        end(one.get("details"), 0, sink);
    }

    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        if let Some(chat) = &mut self.chat {
            return chat.event(name, data, sink);
        }
        if data == b"[DONE]" {
            sink.end_if_stopped();
            return Shown::Yes;
        }
        let Some(event) = sink.event_json(data) else {
            return Shown::Unreadable;
        };
        if event.get("choices").is_some() {
            return self.chat.insert(ChatReader::default()).event(name, data, sink);
        }
        if refused(&event, sink) {
            return Shown::Unusable;
        }
        if let Some(token) = event.get("token") {
            self.tokens += 1;
            if let Some(problem) = text_in(token, "error_msg") {
                sink.fail(ErrorKind::ServerError, problem);
                return Shown::Unusable;
            }
            if token.get("special").and_then(Value::as_bool) != Some(true) {
                sink.words(StreamEvent::Text, token, "text");
            }
        }
        let details = event.get("details").filter(|details| details.is_object());
        if details.is_some() || text_in(&event, "generated_text").is_some() {
            end(details, self.tokens, sink);
        }
        Shown::Yes
    }

    fn finish(&mut self, sink: &mut Sink<'_>) {
        if let Some(chat) = &mut self.chat {
            chat.finish(sink);
        }
    }
}

fn refused(answer: &Value, sink: &mut Sink<'_>) -> bool {
    let Some(message) = text_in(answer, "error") else {
        return false;
    };
    sink.fail(error_kind(text_in(answer, "error_type").unwrap_or(""), message), message);
    true
}

/// What the container's own error type means.
pub(super) fn error_kind(kind: &str, message: &str) -> ErrorKind {
    match kind {
        "overloaded" => ErrorKind::Capacity,
        "validation" if message.contains("must be <=") => ErrorKind::ContextLength,
        "validation" => ErrorKind::InvalidRequest,
        "incomplete_generation" => ErrorKind::StreamInterrupted,
        _ => ErrorKind::ServerError,
    }
}

/// The last event. Prompts are counted only by containers asked for their details.
fn end(details: Option<&Value>, tokens: u64, sink: &mut Sink<'_>) {
    let details = details.unwrap_or(&Value::Null);
    let raw = text_in(details, "finish_reason").unwrap_or("stop").to_owned();
    if raw == "error" {
        return sink.fail(ErrorKind::ServerError, "the container ended the answer with an error");
    }
    let prefill = details.get("prefill").and_then(Value::as_array).map(|tokens| tokens.len() as u64);
    let input = count_at(details, "/input_length").or(prefill.filter(|count| *count > 0));
    let output = count_at(details, "/generated_tokens").or(Some(tokens).filter(|count| *count > 0));
    match (input, output) {
        (Some(input), Some(output)) => {
            sink.say(StreamEvent::Usage(Usage::inclusive(input, 0, 0, output, 0)));
        }
        (None, Some(output)) => sink.produced(output),
        _ => {}
    }
    sink.say(StreamEvent::Stop { reason: super::stop_reason(&raw), raw });
    sink.say(StreamEvent::Terminal);
}
