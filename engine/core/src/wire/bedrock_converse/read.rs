//! Converse answers and ConverseStream frames, as events.
//!
//! `metadata` with the usage comes after `messageStop`, so the answer is over at `metadata`; an
//! upstream that closes after `messageStop` without it has still finished its answer.

use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::{Usage, UsageSource};
use crate::domain::stream::{StopReason, StreamEvent};
use crate::wire::closing::{Closing, upstream_error};
use crate::wire::framing::aws_eventstream::Frame;

use super::errors::error_kind;

/// Reads a plain answer.
pub(crate) fn read_answer(body: &[u8], closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    if body.iter().all(u8::is_ascii_whitespace) {
        return; // `Closing::finish` says what an empty answer is
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return closing.fail(upstream_error(ErrorKind::MalformedOutput, None, "the answer is not JSON"), out);
    };
    let Some(blocks) = answer.pointer("/output/message/content").and_then(Value::as_array) else {
        let name = text(&answer, "__type");
        let message = text(&answer, "message");
        let kind = error_kind(&name, &message).unwrap_or(ErrorKind::MalformedOutput);
        return closing
            .fail(upstream_error(kind, None, &format!("no answer inside a 200: {name} {message}")), out);
    };
    for (index, block) in (0u32..).zip(blocks) {
        if let Some(words) = block.pointer("/reasoningContent/reasoningText/text").and_then(Value::as_str) {
            closing.push(StreamEvent::Reasoning(words.to_owned()), out);
        }
        if let Some(words) = block.get("text").and_then(Value::as_str) {
            closing.push(StreamEvent::Text(words.to_owned()), out);
        }
        if let Some(tool) = block.get("toolUse").filter(|tool| !is_servers_own(tool)) {
            closing.push(tool_start(index, tool), out);
            let fragment = tool.get("input").map(Value::to_string).unwrap_or_else(|| "{}".to_owned());
            closing.push(StreamEvent::ToolArguments { index, fragment }, out);
        }
    }
    stop(&answer, closing, out);
    metadata(&answer, closing, out);
    closing.push(StreamEvent::Terminal, out);
}

/// Reads one frame of a stream.
pub(crate) fn read_frame(frame: &Frame<'_>, closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    let Some(kind) = frame.header(":message-type") else {
        return closing.push(StreamEvent::Ping, out); // an empty frame is legal and says nothing
    };
    let payload: Value = match serde_json::from_slice(frame.payload) {
        Ok(payload) => payload,
        Err(_) if kind != "event" => Value::Null,
        Err(error) => return closing.push(StreamEvent::Malformed(error.to_string()), out),
    };
    closing.readable();
    if kind != "event" {
        let name =
            frame.header(":exception-type").or_else(|| frame.header(":error-code")).unwrap_or("exception");
        let message = frame.header(":error-message").map_or_else(|| text(&payload, "message"), str::to_owned);
        let kind = error_kind(name, &message).unwrap_or(ErrorKind::ServerError);
        return closing.fail(upstream_error(kind, None, &format!("{name}: {message}")), out);
    }
    let index = payload
        .get("contentBlockIndex")
        .and_then(Value::as_u64)
        .and_then(|i| u32::try_from(i).ok())
        .unwrap_or(0);
    match frame.header(":event-type").unwrap_or("") {
        "messageStart" => closing.push(StreamEvent::Start { id: None, model: None }, out),
        "contentBlockStart" => {
            if let Some(tool) = payload.pointer("/start/toolUse").filter(|tool| !is_servers_own(tool)) {
                closing.push(tool_start(index, tool), out);
            }
        }
        "contentBlockDelta" => delta(index, payload.get("delta").unwrap_or(&Value::Null), closing, out),
        "messageStop" => stop(&payload, closing, out),
        "metadata" => {
            metadata(&payload, closing, out);
            if closing.has_stopped() {
                closing.push(StreamEvent::Terminal, out);
            }
        }
        _ => closing.push(StreamEvent::Ping, out),
    }
}

/// The upstream closed after `messageStop`: the answer is whole, only its usage is unknown.
pub(crate) fn finish(closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    if closing.has_stopped() {
        closing.push(StreamEvent::Terminal, out);
    }
}

fn delta(index: u32, delta: &Value, closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    if let Some(words) = delta.get("text").and_then(Value::as_str) {
        closing.push(StreamEvent::Text(words.to_owned()), out);
    } else if let Some(fragment) = delta.pointer("/toolUse/input").and_then(Value::as_str) {
        closing.push(StreamEvent::ToolArguments { index, fragment: fragment.to_owned() }, out);
    } else if let Some(words) = delta.pointer("/reasoningContent/text").and_then(Value::as_str) {
        closing.push(StreamEvent::Reasoning(words.to_owned()), out);
    }
}

fn stop(answer: &Value, closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    let raw = text(answer, "stopReason");
    let reason = match raw.as_str() {
        "end_turn" => StopReason::End,
        "stop_sequence" => StopReason::StopSequence,
        "tool_use" => StopReason::ToolCalls,
        "max_tokens" => StopReason::Length,
        "model_context_window_exceeded" => StopReason::ContextFull,
        "guardrail_intervened" | "content_filtered" => StopReason::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => StopReason::Malformed,
        _ => StopReason::Unknown,
    };
    closing.push(StreamEvent::Stop { reason, raw }, out);
}

fn metadata(answer: &Value, closing: &mut Closing, out: &mut Vec<StreamEvent>) {
    if let Some(tier) = answer.pointer("/serviceTier/type").and_then(Value::as_str) {
        closing.push(StreamEvent::ServedTier(tier.to_owned()), out);
    }
    let count = |name: &str| answer.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
    if let Some(input) = count("inputTokens") {
        let usage = Usage {
            input_uncached: input,
            cache_read: count("cacheReadInputTokens").unwrap_or(0),
            cache_write: count("cacheWriteInputTokens").unwrap_or(0),
            output: count("outputTokens").unwrap_or(0),
            reasoning: 0,
            source: UsageSource::Provider,
        };
        closing.push(StreamEvent::Usage(usage), out);
    }
}

/// A tool the provider runs itself is not a call the caller must answer.
fn is_servers_own(tool: &Value) -> bool {
    tool.get("type").and_then(Value::as_str) == Some("server_tool_use")
}

fn tool_start(index: u32, tool: &Value) -> StreamEvent {
    StreamEvent::ToolStart { index, id: text(tool, "toolUseId"), name: text(tool, "name") }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or("").to_owned()
}
