//! An upstream's answer as its caller reads it: one writer over the callers' dialects.

use serde_json::{Map, Value};

use crate::domain::answer::Answer;
use crate::domain::outcome::ErrorKind;
use crate::domain::request::ChatRequest;
use crate::domain::snapshot::Dialect;
use crate::domain::stream::StreamEvent;
use crate::wire::openai_chat::RequestError;
use crate::wire::openai_responses::Identity;
use crate::wire::shape::rules::Mistake;
use crate::wire::{anthropic_messages, embeddings, openai_chat, openai_responses};

use super::citations::{has_form, left_out};

/// Writes one stream for a caller. `untold`: citations its dialect has no form for.
#[derive(Debug)]
pub struct StreamWriter {
    dialect: Dialect,
    untold: usize,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Chat(openai_chat::StreamEncoder),
    Responses(Box<openai_responses::StreamEncoder>),
    Messages(anthropic_messages::StreamEncoder),
}

impl StreamWriter {
    /// A writer in the caller's `dialect`; `include_usage` only matters to chat.
    #[must_use]
    pub fn new(dialect: Dialect, identity: &Identity, include_usage: bool) -> Self {
        let (id, model) = (identity.id.as_str(), identity.model.as_str());
        let writer = match dialect {
            Dialect::OpenaiResponses => {
                Writer::Responses(Box::new(openai_responses::StreamEncoder::new(identity.clone())))
            }
            Dialect::AnthropicMessages => {
                Writer::Messages(anthropic_messages::StreamEncoder::new(id, model, identity.origin))
            }
            _ => Writer::Chat(openai_chat::StreamEncoder::new(id, identity.created, model, include_usage)),
        };
        Self { dialect, untold: 0, writer }
    }

    /// Appends the event's bytes to `out`. An error writes nothing: it is the relay's to report.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Citation(citation) if !has_form(self.dialect, citation) => {
                self.untold += 1;
                return;
            }
            // The head has long been sent: a comment is what is left to say it in.
            StreamEvent::Terminal if self.untold > 0 => {
                let said = format!(": x-crossfade-warnings: {}\n\n", left_out(self.untold));
                out.extend_from_slice(said.as_bytes());
            }
            _ => {}
        }
        match &mut self.writer {
            Writer::Chat(writer) => writer.encode(event, out),
            Writer::Responses(writer) => writer.encode(event, out),
            Writer::Messages(writer) => writer.encode(event, out),
        }
    }
}

/// The dialect a route's callers speak; the same decides how they are told of an error.
#[must_use]
pub fn dialect_of_route(path: &str) -> Dialect {
    match path {
        "/v1/responses" => Dialect::OpenaiResponses,
        "/v1/embeddings" => Dialect::OpenaiEmbeddings,
        _ if path.starts_with("/v1/messages") => Dialect::AnthropicMessages,
        _ => Dialect::OpenaiChat,
    }
}

/// Refuses the first field of a caller's body that is not what its dialect says.
///
/// # Errors
/// The field's place and what it must be.
pub(crate) fn check(dialect: Dialect, body: &Map<String, Value>) -> Result<(), Mistake> {
    match dialect {
        Dialect::OpenaiEmbeddings => embeddings::check(body),
        Dialect::OpenaiResponses => openai_responses::check(body),
        Dialect::AnthropicMessages => anthropic_messages::check(body),
        _ => openai_chat::check(body),
    }
}

/// Refuses a request without the limit of its answer, where its dialect asks for one.
///
/// # Errors
/// The field that is missing.
pub fn check_limit(request: &ChatRequest) -> Result<(), RequestError> {
    match request.dialect {
        Dialect::AnthropicMessages => anthropic_messages::check_limit(&request.body).map_err(Into::into),
        _ => Ok(()),
    }
}

/// The header in which callers of a dialect opt into what its body alone does not allow.
#[must_use]
pub fn opt_in_header(dialect: Dialect) -> Option<&'static str> {
    (dialect == Dialect::AnthropicMessages).then_some(anthropic_messages::OPT_IN_HEADER)
}

/// The words of such headers, each once; what is no word is left out.
pub fn opt_ins<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in values.flat_map(|value| value.split(',')).map(str::trim) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let known = words.iter().any(|known| known == word);
        if !word.is_empty() && word.len() <= MOST_LETTERS && word.chars().all(plain) && !known {
            words.push(word.to_owned());
        }
    }
    words.truncate(MOST_WORDS);
    words
}

/// Bounds of what a caller may add to a call's head; the longest word in use has 40 letters.
const MOST_LETTERS: usize = 80;
const MOST_WORDS: usize = 32;

/// The id an answer has in its caller's dialect.
#[must_use]
pub fn answer_id(dialect: Dialect, request_id: &str) -> String {
    match dialect {
        Dialect::OpenaiResponses => format!("resp_{request_id}"),
        Dialect::AnthropicMessages => format!("msg_{request_id}"),
        _ => format!("chatcmpl-{request_id}"),
    }
}

/// A collected answer as a document in the caller's `dialect`.
#[must_use]
pub fn encode_answer(dialect: Dialect, answer: &Answer, identity: &Identity) -> Vec<u8> {
    match dialect {
        Dialect::OpenaiResponses => openai_responses::encode_answer(answer, identity),
        Dialect::OpenaiEmbeddings => embeddings::encode_answer(answer, &identity.model),
        Dialect::AnthropicMessages => {
            anthropic_messages::encode_answer(answer, &identity.id, &identity.model, identity.origin)
        }
        _ => openai_chat::encode_answer(answer, &identity.id, identity.created, &identity.model),
    }
}

/// The status of an error to a caller. A refusal of our own credential is a 502 in every dialect:
/// it is not the caller's. What the provider refused in the caller's request keeps the provider's
/// own status, `told`, where that says more than 400 does.
#[must_use]
pub fn error_status(dialect: Dialect, kind: ErrorKind, told: Option<u16>) -> u16 {
    match (dialect, kind, told) {
        // This dialect tells a provider without room from one that is broken.
        (Dialect::AnthropicMessages, ErrorKind::Capacity | ErrorKind::CapacityWarming, _) => 529,
        (_, ErrorKind::InvalidRequest, Some(status @ (413 | 415 | 422))) => status,
        _ => openai_chat::encode_error(kind, "", "", "").0,
    }
}

/// The body of an error to a caller.
#[must_use]
pub fn encode_error(dialect: Dialect, status: u16, kind: ErrorKind, said: Said<'_>) -> Vec<u8> {
    let Said { message, hint, request_id } = said;
    match dialect {
        Dialect::AnthropicMessages => {
            anthropic_messages::error_body(status, kind, message, hint, request_id).to_string().into_bytes()
        }
        _ => openai_chat::error_body(status, kind, message, hint, request_id).to_string().into_bytes(),
    }
}

/// What a caller is told of an error.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    pub message: &'a str,
    pub hint: &'a str,
    pub request_id: &'a str,
}

/// An error event in a stream. No closing marker follows: the answer is not finished.
#[must_use]
pub fn encode_error_event(dialect: Dialect, kind: ErrorKind, said: Said<'_>) -> Vec<u8> {
    let Said { message, hint, request_id } = said;
    match dialect {
        Dialect::AnthropicMessages => {
            let body = anthropic_messages::error_body(200, kind, message, hint, request_id);
            format!("event: error\ndata: {body}\n\n").into_bytes()
        }
        Dialect::OpenaiResponses => {
            let event = serde_json::json!({
                "type": "error", "code": kind.as_str(), "message": format!("{message} (hint: {hint})"),
                "param": null, "sequence_number": 0,
            });
            format!("event: error\ndata: {event}\n\n").into_bytes()
        }
        _ => openai_chat::encode_error_event(kind, message, hint, request_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_for_an_error_is_its_type() {
        let said = Said { message: "m", hint: "h", request_id: "" };
        for (status, kind, blamed) in [
            (401, ErrorKind::Auth, "authentication_error"),
            (404, ErrorKind::NotFound, "invalid_request_error"), // the caller's: there is no such feature
            (502, ErrorKind::NotFound, "server_error"),          // ours: the provider knows no such model
            (502, ErrorKind::Auth, "server_error"),
            (400, ErrorKind::InvalidRequest, "invalid_request_error"),
            (429, ErrorKind::RateLimited, "rate_limit_error"),
        ] {
            let body = encode_error(Dialect::OpenaiChat, status, kind, said);
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["error"]["type"], blamed, "{status} {kind:?}");
        }
    }

    #[test]
    fn opt_ins_are_words_and_nothing_else() {
        let said = ["a-1, b_2", "a-1,, c d", "x\r\ny: z", "ok.3"];

        assert_eq!(opt_ins(said.into_iter()), ["a-1", "b_2", "ok.3"]);
    }
}
