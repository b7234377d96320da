//! A stream that broke after its caller saw a part of it: how another attempt can go on with it, and
//! how the two become one answer. What cannot be joined without doubt is not joined.

mod joint;

pub use joint::{Differs, Joint};

use serde_json::{Map, Value, json};

use crate::domain::answer::{Answer, Block};
use crate::domain::request::ChatRequest;
use crate::domain::snapshot::{Dialect, Endpoint};

/// Less than this (about 16 tokens) is not worth the risk of a seam.
const LEAST_BYTES: usize = 64;

/// The text a broken answer consists of; `None` where it holds anything else.
#[must_use]
pub fn plain_text(answer: &Answer) -> Option<&str> {
    match answer.blocks.as_slice() {
        [Block::Text(text)] if answer.stop.is_none() && answer.citations.is_empty() => Some(text),
        _ => None,
    }
}

/// Whether a model there goes on with a last turn of the assistant's, and does not begin a new one.
#[must_use]
pub fn continues(endpoint: &Endpoint) -> bool {
    let knows_how = matches!(
        endpoint.dialect,
        Dialect::AnthropicMessages | Dialect::BedrockConverse | Dialect::BedrockInvoke
    );
    knows_how && endpoint.model.contains("claude") && endpoint.takes.prefill
}

/// Whether a new answer to the request can stand for the one that broke: one choice, and nothing beside
/// its text that was counted from its beginning.
#[must_use]
pub fn repeats(request: &ChatRequest) -> bool {
    let has =
        |name: &str| request.body.get(name).is_some_and(|value| !value.is_null() && *value != json!(false));
    let several = request.body.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1);
    !several && !["logprobs", "top_logprobs", "audio"].iter().any(|name| has(name))
}

/// The request with what was said so far as the beginning of its answer. `None` where an answer in two
/// parts could differ from one in whole: tools, structured output, reasoning, several choices.
#[must_use]
pub fn continued(request: &ChatRequest, said: &str) -> Option<ChatRequest> {
    if said.len() < LEAST_BYTES || !is_plain(&request.body) {
        return None;
    }
    let mut body = request.body.clone();
    let said = said.trim_end();
    match request.dialect {
        Dialect::OpenaiChat | Dialect::AnthropicMessages => {
            body.get_mut("messages")?.as_array_mut()?.push(json!({"role": "assistant", "content": said}));
        }
        Dialect::OpenaiResponses => {
            let input = body.get_mut("input")?;
            if let Some(text) = input.as_str() {
                *input = json!([{"role": "user", "content": text}]);
            }
            let part = json!({"type": "output_text", "text": said, "annotations": []});
            let turn = json!({"type": "message", "role": "assistant", "content": [part]});
            input.as_array_mut()?.push(turn);
        }
        _ => return None,
    }
    let opt_ins = request.opt_ins.clone();
    Some(ChatRequest { opt_ins, ..ChatRequest::made(request.dialect, body) })
}

fn is_plain(body: &Map<String, Value>) -> bool {
    let has = |name: &str| {
        body.get(name).is_some_and(|value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        })
    };
    let format =
        ["/text/format/type", "/response_format/type", "/output_config/format/type"].iter().any(|at| {
            let mut parts = at.trim_start_matches('/').split('/');
            let first = parts.next().and_then(|name| body.get(name));
            let found = parts.try_fold(first, |value, part| Some(value?.get(part)));
            found.flatten().and_then(Value::as_str).is_some_and(|kind| kind != "text")
        });
    let thinks = body.get("thinking").and_then(|thinking| thinking.get("type")).and_then(Value::as_str);
    let several = body.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1);
    let apart =
        ["tools", "functions", "logprobs", "audio", "reasoning", "reasoning_effort", "previous_response_id"];
    !format && !several && thinks.is_none_or(|kind| kind == "disabled") && !apart.iter().any(|name| has(name))
}

/// Tells a caller who asked for it that the answer begins anew: what was sent before does not count.
#[must_use]
pub fn restart_event(reason: &str) -> Vec<u8> {
    let event = json!({
        "type": "crossfade.restart", "object": "crossfade.restart", "reason": reason, "choices": [],
    });
    format!("event: crossfade.restart\ndata: {event}\n\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "The committee agreed on three things, of which the first two were easy: ";

    fn request(dialect: Dialect, body: Value) -> ChatRequest {
        let Value::Object(body) = body else { unreachable!() };
        ChatRequest::made(dialect, body)
    }

    #[test]
    fn what_was_said_becomes_the_answers_beginning() {
        let ask = json!([{"role": "user", "content": "Sum up."}]);
        let chat = request(Dialect::OpenaiChat, json!({"model": "f", "messages": ask, "stream": true}));
        let on = continued(&chat, SAID).unwrap();
        assert_eq!(on.body["messages"][1], json!({"role": "assistant", "content": SAID.trim_end()}));
        assert!(on.sent.is_none(), "the caller's own bytes say something else");

        let responses = request(Dialect::OpenaiResponses, json!({"model": "f", "input": "Sum up."}));
        let on = continued(&responses, SAID).unwrap();
        assert_eq!(on.body["input"][0]["content"], "Sum up.");
        assert_eq!(on.body["input"][1]["content"][0]["text"], SAID.trim_end());
    }

    #[test]
    fn several_choices_and_log_probabilities_are_not_repeated() {
        let with = |name: &str, value: Value| {
            let mut body = json!({"messages": []});
            body[name] = value;
            repeats(&request(Dialect::OpenaiChat, body))
        };
        assert!(
            with("n", json!(1))
                && with("logprobs", json!(false))
                && with("tools", json!([{"type": "function"}]))
        );
        assert!(
            !with("n", json!(2)) && !with("logprobs", json!(true)) && !with("audio", json!({"voice": "x"}))
        );
    }

    #[test]
    fn what_may_differ_in_two_parts_is_not_continued() {
        let with = |name: &str, value: Value| {
            let mut body = json!({"messages": []});
            body[name] = value;
            continued(&request(Dialect::OpenaiChat, body), SAID).is_some()
        };
        assert!(
            with("temperature", json!(0.3)) && with("tools", json!([])) && with("logprobs", json!(false))
        );
        assert!(
            with("response_format", json!({"type": "text"})) && with("thinking", json!({"type": "disabled"}))
        );
        for (name, value) in [
            ("tools", json!([{"type": "function"}])),
            ("response_format", json!({"type": "json_object"})),
            ("thinking", json!({"type": "enabled", "budget_tokens": 1024})),
            ("reasoning_effort", json!("low")),
            ("n", json!(2)),
            ("logprobs", json!(true)),
        ] {
            assert!(!with(name, value), "{name}");
        }
        let short = request(Dialect::OpenaiChat, json!({"messages": []}));
        assert!(continued(&short, "Only a few words.").is_none());
    }
}
