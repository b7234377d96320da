//! The wire codecs as Python sees them: documents in, documents out, nothing remembered.

use bytes::Bytes;
use crossfade_core::domain::answer::{Answer, Block};
use crossfade_core::domain::chat::Capabilities;
use crossfade_core::domain::snapshot::{CapacityClass, Dialect, ProviderKind};
use crossfade_core::domain::stream::{Citation, Cited, StreamEvent};
use crossfade_core::providers;
use crossfade_core::wire::prompt::size_of;
use crossfade_core::wire::shape::Limits;
use crossfade_core::wire::translate::{Place, outbound};
use crossfade_core::wire::{DecodeAs, Decoder, Framing, RawMode, openai_chat};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Nesting of a body that is read by hand: the gateway's own limit comes from the config.
const LIMITS: Limits = Limits { depth: 64, values: 1_000_000 };

/// A word of the config as the engine's value.
fn word<T: DeserializeOwned>(text: &str) -> PyResult<T> {
    serde_json::from_value(Value::from(text)).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn framing(text: &str) -> PyResult<Framing> {
    Ok(match text {
        "whole" => Framing::Whole,
        "sse" => Framing::Sse,
        "aws-events" => Framing::AwsEvents,
        "aws-chunks" => Framing::AwsChunks,
        "aws-bytes" => Framing::AwsBytes,
        other => return Err(PyValueError::new_err(format!("no framing is called {other}"))),
    })
}

/// Reads a recorded answer, fed in pieces of `cut` bytes (0: all at once), as one JSON document.
#[pyfunction]
#[pyo3(signature = (dialect, frames, body, cut = 0))]
pub(crate) fn decode_answer(dialect: &str, frames: &str, body: &[u8], cut: usize) -> PyResult<String> {
    let decode = DecodeAs { dialect: word::<Dialect>(dialect)?, framing: framing(frames)? };
    let mut decoder = Decoder::new(decode, RawMode::Off);
    let mut events = Vec::new();
    for piece in body.chunks(if cut == 0 { body.len().max(1) } else { cut }) {
        decoder.feed(piece, &mut events);
    }
    decoder.finish(&mut events);
    let mut answer = Answer::new();
    events.iter().for_each(|event| answer.add(event));
    let (mut error, mut tier, mut skipped, mut extras) = (Value::Null, Value::Null, 0u64, Vec::new());
    for event in &events {
        match event {
            StreamEvent::Error(said) => {
                error =
                    json!({"kind": said.kind.as_str(), "detail": said.detail, "status": said.http_status});
            }
            StreamEvent::ServedTier(said) => tier = json!(said),
            StreamEvent::Malformed(_) => skipped += 1,
            StreamEvent::Extra(extra) => extras.push(extra.clone()),
            _ => {}
        }
    }
    let calls: Vec<Value> = answer.blocks.iter().filter_map(call).collect();
    let document = json!({
        "id": answer.id, "model": answer.model, "text": answer.text(), "refusal": answer.refusal(),
        "reasoning": answer.reasoning(), "tool_calls": calls, "extras": extras,
        "stop": answer.stop.as_ref().map(|(reason, raw)| json!({"reason": format!("{reason:?}"), "raw": raw})),
        "usage": answer.usage, "served_tier": tier, "frames": decoder.frames(), "skipped": skipped,
        "unknown": decoder.oddities().unknown,
        "citations": answer.citations.iter().map(citation).collect::<Vec<_>>(),
        "hidden_reasoning": answer.blocks.iter().any(is_hidden),
        "error": error,
    });
    Ok(document.to_string())
}

fn call(block: &Block) -> Option<Value> {
    match block {
        Block::Call { id, name, arguments, .. } => {
            Some(json!({"id": id, "name": name, "arguments": arguments}))
        }
        _ => None,
    }
}

fn citation(citation: &Citation) -> Value {
    let (kind, name, place) = match &citation.source {
        Cited::Page(url) => ("page", url.clone(), None),
        Cited::SearchResult { source, place, .. } => ("search_result", source.clone(), Some(place)),
        Cited::Document { index, place, .. } => ("document", index.to_string(), Some(place)),
        Cited::Named(id) => ("named", id.clone(), None),
        Cited::Result(id) => ("result", id.clone(), None),
    };
    json!({
        "kind": kind, "source": name, "title": citation.title, "quote": citation.quote,
        "span": citation.span.as_ref().map(|span| [span.start, span.end]),
        "place": place.map(|place| [place.start, place.end]),
    })
}

fn is_hidden(block: &Block) -> bool {
    matches!(block, Block::RedactedReasoning(_) | Block::Reasoning { signature: Some(_), .. })
}

/// What a refusal (a status of 400 or more) means, as one JSON document. `headers`: a JSON list of
/// pairs with lower-case names.
#[pyfunction]
pub(crate) fn classify(
    kind: &str,
    capacity: &str,
    status: u16,
    headers: &str,
    body: &[u8],
) -> PyResult<String> {
    let headers: Vec<(String, String)> =
        serde_json::from_str(headers).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let (kind, capacity) = (word::<ProviderKind>(kind)?, word::<CapacityClass>(capacity)?);
    let error = providers::classify(kind, capacity, status, &headers, body);
    let document = json!({
        "kind": error.kind.as_str(),
        "retry_here": error.kind.may_pass_here(),
        "retry_elsewhere": error.kind.may_pass_elsewhere(),
        "detail": error.detail,
        "http_status": error.http_status,
        "pushback_ms": error.pushback_ms,
    });
    Ok(document.to_string())
}

/// How large the prompt of a caller's body is, as one JSON document.
#[pyfunction]
pub(crate) fn prompt_size(body: &str) -> PyResult<String> {
    let body: serde_json::Map<String, Value> =
        serde_json::from_str(body).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(json!(size_of(&body)).to_string())
}

/// A caller's body as the body its upstream would get, with the warnings, as one JSON document.
/// `takes`: what the model takes, as the snapshot has it.
#[pyfunction]
pub(crate) fn translate_request(
    caller: &str,
    upstream: &str,
    model: &str,
    takes: &str,
    body: &[u8],
) -> PyResult<String> {
    let refused = |detail: String| PyValueError::new_err(detail);
    let request =
        openai_chat::decode_request(word::<Dialect>(caller)?, &Bytes::copy_from_slice(body), LIMITS)
            .map_err(|error| refused(error.to_string()))?;
    let takes: Capabilities = serde_json::from_str(takes).map_err(|error| refused(error.to_string()))?;
    let (dialect, limit) = (word::<Dialect>(upstream)?, "max_completion_tokens");
    let place = Place { dialect, model, takes: &takes, named: true, limit };
    let sent = outbound(&request, &serde_json::Map::new(), place, false)
        .map_err(|error| refused(format!("{}: {}", error.kind.as_str(), error.detail)))?;
    let body: Value = serde_json::from_slice(&sent.body).map_err(|error| refused(error.to_string()))?;
    Ok(json!({"body": body, "warnings": sent.warnings}).to_string())
}
