//! What decoding a stream costs beside reading it: its framing, and each event's JSON as a plain tree,
//! the least that any reader must do. Measured in turns in the same run (`make bench-decoding`).
#![expect(clippy::unwrap_used, reason = "a test: the helpers fail it")]
#![expect(clippy::print_stdout, reason = "a measurement, run by hand")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::wire::framing::{aws_eventstream, sse};
use crossfade_core::wire::{DecodeAs, Decoder, Framing, RawMode};
use serde_json::{Value, json};

const CHUNKS: usize = 200;
const ROUNDS: usize = 400;
const AT_MOST: f64 = 2.0;
const WORDS: &str = " rivers carry";

/// The events of an answer in 200 pieces, each with its name.
fn events(dialect: Dialect) -> Vec<(&'static str, Value)> {
    let pieces = |name: &'static str, piece: Value| vec![(name, piece); CHUNKS];
    match dialect {
        Dialect::OpenaiChat => {
            let chunk = |delta: Value, reason: Value| {
                let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
                (
                    "",
                    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_764_000_000,
                    "model": "gpt-5-mini-2025-08-07", "service_tier": "default", "system_fingerprint": null,
                    "choices": [choice], "obfuscation": "a1b2c3d4"}),
                )
            };
            let mut all = vec![chunk(json!({"content": WORDS}), Value::Null); CHUNKS];
            all.push(chunk(json!({}), json!("stop")));
            all
        }
        Dialect::OpenaiResponses => {
            let delta = json!({"type": "response.output_text.delta", "sequence_number": 7, "item_id": "msg_1",
                "output_index": 0, "content_index": 0, "delta": WORDS, "logprobs": [], "obfuscation": "a1b2"});
            let done = json!({"type": "response.completed", "sequence_number": 9, "response": {
                "id": "resp_1", "status": "completed", "model": "gpt-5-mini", "output": [],
                "usage": {"input_tokens": 9, "output_tokens": 200, "total_tokens": 209}}});
            let mut all = pieces("response.output_text.delta", delta);
            all.push(("response.completed", done));
            all
        }
        Dialect::AnthropicMessages => {
            let delta = json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": WORDS}});
            let start = json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}});
            let mut all = vec![("content_block_start", start)];
            all.extend(pieces("content_block_delta", delta));
            let stop = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 200}});
            all.push(("message_delta", stop));
            all.push(("message_stop", json!({"type": "message_stop"})));
            all
        }
        Dialect::Gemini => {
            let chunk = |more: Value| {
                let mut candidate =
                    json!({"content": {"role": "model", "parts": [{"text": WORDS}]}, "index": 0});
                candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                (
                    "",
                    json!({"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r",
                    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18}}),
                )
            };
            let mut all = vec![chunk(json!({})); CHUNKS];
            all.push(chunk(json!({"finishReason": "STOP"})));
            all
        }
        Dialect::CohereChat => {
            let delta = json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": WORDS}}}});
            let mut all = pieces("content-delta", delta);
            all.push(("message-end", json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}})));
            all
        }
        _ => {
            let delta = json!({"contentBlockIndex": 0, "delta": {"text": WORDS}, "p": "abcdefghij"});
            let mut all = pieces("contentBlockDelta", delta);
            all.push(("messageStop", json!({"stopReason": "end_turn"})));
            all.push(("metadata", json!({"usage": {"inputTokens": 9, "outputTokens": 200}})));
            all
        }
    }
}

fn as_sse(events: &[(&str, Value)]) -> Vec<u8> {
    let line = |(name, event): &(&str, Value)| match *name {
        "" => format!("data: {event}\n\n"),
        name => format!("event: {name}\ndata: {event}\n\n"),
    };
    events.iter().map(line).collect::<String>().into_bytes()
}

fn as_frames(events: &[(&str, Value)]) -> Vec<u8> {
    let frame = |(name, event): &(&str, Value)| {
        let headers = [(":event-type", *name), (":message-type", "event")];
        aws_eventstream::encode_frame(&headers, event.to_string().as_bytes())
    };
    events.iter().flat_map(frame).collect()
}

fn read(framing: Framing, bytes: &[u8]) -> usize {
    let mut seen = 0;
    let mut tree = |data: &[u8]| {
        let value: Value = serde_json::from_slice(data).unwrap();
        seen += usize::from(black_box(value).is_object());
    };
    if framing == Framing::Sse {
        let mut splitter = sse::Splitter::default();
        splitter.feed(bytes, |event| event.data.into_iter().for_each(&mut tree)).unwrap();
    } else {
        let mut splitter = aws_eventstream::Splitter::default();
        splitter.feed(bytes, |frame| tree(frame.payload)).unwrap();
    }
    seen
}

fn decode(decode: DecodeAs, mode: RawMode, bytes: &[u8]) -> usize {
    let mut decoder = Decoder::new(decode, mode);
    let mut events = Vec::new();
    decoder.feed(bytes, &mut events);
    decoder.finish(&mut events);
    black_box(decoder.take_raw().len());
    events.len()
}

/// The least time of many: what the machine did besides is not ours.
fn least(work: impl Fn() -> usize, best: &mut Duration) {
    let began = Instant::now();
    black_box(work());
    *best = (*best).min(began.elapsed());
}

#[test]
#[ignore = "a measurement: make bench-decoding"]
fn decoding_costs_no_more_than_twice_reading() {
    let mut slow = Vec::new();
    for dialect in [
        Dialect::OpenaiChat,
        Dialect::OpenaiResponses,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
        Dialect::CohereChat,
        Dialect::BedrockConverse,
    ] {
        let framing = if dialect == Dialect::BedrockConverse { Framing::AwsEvents } else { Framing::Sse };
        let events = events(dialect);
        let bytes = if framing == Framing::Sse { as_sse(&events) } else { as_frames(&events) };
        let how = DecodeAs { dialect, framing };
        assert!(decode(how, RawMode::Off, &bytes) > CHUNKS);
        let (mut reads, mut decodes, mut keeps) = (Duration::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            least(|| read(framing, &bytes), &mut reads);
            least(|| decode(how, RawMode::Off, &bytes), &mut decodes);
            least(|| decode(how, RawMode::Keep { strip_usage: false }, &bytes), &mut keeps);
        }
        let ratio = |time: Duration| time.as_secs_f64() / reads.as_secs_f64();
        let name = format!("{dialect:?}");
        println!(
            "{name:18} reading {:5.0} us, decoding {:4.2} x, decoding and keeping the bytes {:4.2} x",
            reads.as_secs_f64() * 1e6,
            ratio(decodes),
            ratio(keeps)
        );
        if ratio(decodes).max(ratio(keeps)) > AT_MOST {
            slow.push(name);
        }
    }
    assert!(slow.is_empty(), "slower than {AT_MOST} x reading: {slow:?}");
}
