//! What decoding a stream costs beside reading it: its framing, and each event's JSON as a plain tree,
//! the least that any reader must do. Measured in turns in the same run (`make bench-decoding`).
#![expect(clippy::unwrap_used, reason = "a test: the helpers fail it")]
#![expect(clippy::print_stdout, reason = "a measurement, run by hand")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::wire::framing::{aws_eventstream, sse};
use crossfade_core::wire::{DecodeAs, Decoder, Framing, RawMode, bedrock_invoke};
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
        Dialect::BedrockInvoke => {
            let chunk = |words: &str, stop: Value| {
                json!({"generation": words, "prompt_token_count": null, "generation_token_count": 7,
                    "stop_reason": stop})
            };
            let mut all = pieces("chunk", chunk(WORDS, Value::Null));
            let mut last = chunk("", json!("stop"));
            last["amazon-bedrock-invocationMetrics"] = json!({"inputTokenCount": 9, "outputTokenCount": 200,
                "invocationLatency": 900, "firstByteLatency": 90});
            all.push(("chunk", last));
            all
        }
        Dialect::Tgi => {
            let token = |more: Value| {
                let mut event = json!({"index": 7, "token": {"id": 4711, "text": WORDS, "logprob": -0.25,
                    "special": false}, "generated_text": null, "details": null});
                event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                ("", event)
            };
            let mut all = vec![token(json!({})); CHUNKS];
            all.push(token(json!({"generated_text": WORDS.repeat(CHUNKS), "details":
                {"finish_reason": "eos_token", "generated_tokens": 200, "input_length": 9}})));
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

/// One answer as it comes, and how it is read.
struct Row {
    name: &'static str,
    how: DecodeAs,
    bytes: Vec<u8>,
}

impl Row {
    fn new(name: &'static str, dialect: Dialect, framing: Framing) -> Self {
        let events = events(dialect);
        let bytes = match framing {
            Framing::AwsEvents => frames(events.iter().map(|(name, event)| (*name, event.to_string()))),
            Framing::AwsChunks => frames(events.iter().map(|(_, event)| ("chunk", in_base64(event)))),
            Framing::AwsBytes => {
                let parts = String::from_utf8(as_sse(&events)).unwrap();
                frames(parts.split_inclusive("\n\n").map(|part| ("PayloadPart", part.to_owned())))
            }
            Framing::Sse | Framing::Whole => as_sse(&events),
        };
        Self { name, how: DecodeAs { dialect, framing }, bytes }
    }
}

fn frames(events: impl Iterator<Item = (&'static str, String)>) -> Vec<u8> {
    let frame = |(name, payload): (&'static str, String)| {
        let headers = [(":event-type", name), (":message-type", "event")];
        aws_eventstream::encode_frame(&headers, payload.as_bytes())
    };
    events.flat_map(frame).collect()
}

fn in_base64(event: &Value) -> String {
    let inner = base64_simd::STANDARD.encode_to_string(event.to_string());
    json!({"bytes": inner, "p": "abcdefghij"}).to_string()
}

fn read(framing: Framing, bytes: &[u8]) -> usize {
    let mut seen = 0;
    let mut tree = |data: &[u8]| {
        let value: Value = serde_json::from_slice(data).unwrap();
        seen += usize::from(black_box(value).is_object());
    };
    let mut frames = aws_eventstream::Splitter::default();
    let mut events = sse::Splitter::default();
    match framing {
        Framing::Sse | Framing::Whole => {
            events.feed(bytes, |event| event.data.into_iter().for_each(&mut tree)).unwrap();
        }
        Framing::AwsEvents => frames.feed(bytes, |frame| tree(frame.payload)).unwrap(),
        Framing::AwsChunks => {
            frames.feed(bytes, |frame| tree(&bedrock_invoke::chunk(frame.payload).unwrap())).unwrap()
        }
        Framing::AwsBytes => {
            let inner = |event: sse::Event<'_>| event.data.into_iter().for_each(&mut tree);
            let mut inner = inner;
            frames.feed(bytes, |frame| events.feed(frame.payload, &mut inner).unwrap()).unwrap();
        }
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
    for Row { name, how, bytes } in [
        Row::new("OpenaiChat", Dialect::OpenaiChat, Framing::Sse),
        Row::new("OpenaiResponses", Dialect::OpenaiResponses, Framing::Sse),
        Row::new("AnthropicMessages", Dialect::AnthropicMessages, Framing::Sse),
        Row::new("Gemini", Dialect::Gemini, Framing::Sse),
        Row::new("CohereChat", Dialect::CohereChat, Framing::Sse),
        Row::new("BedrockConverse", Dialect::BedrockConverse, Framing::AwsEvents),
        Row::new("Invoke, Llama", Dialect::BedrockInvoke, Framing::AwsChunks),
        Row::new("Invoke, Claude", Dialect::AnthropicMessages, Framing::AwsChunks),
        Row::new("SageMaker, TGI", Dialect::Tgi, Framing::AwsBytes),
        Row::new("SageMaker, vLLM", Dialect::OpenaiChat, Framing::AwsBytes),
    ] {
        assert!(decode(how, RawMode::Off, &bytes) > CHUNKS);
        let (mut reads, mut decodes, mut keeps) = (Duration::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            least(|| read(how.framing, &bytes), &mut reads);
            least(|| decode(how, RawMode::Off, &bytes), &mut decodes);
            least(|| decode(how, RawMode::Keep { strip_usage: false }, &bytes), &mut keeps);
        }
        let ratio = |time: Duration| time.as_secs_f64() / reads.as_secs_f64();
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
