//! Every decoder on mutated answers: no input may make one panic, end twice or not at all, or read
//! the same bytes differently when they are cut elsewhere.
//!
//! A few thousand cases run with all tests; `make fuzz` runs as many as asked for. A case is told by
//! its number alone: `FUZZ_FROM=N FUZZ_CASES=1` runs it again.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod draws;
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossfade_core::domain::chat::Capabilities;
use crossfade_core::domain::snapshot::{CapacityClass, Dialect, ProviderKind};
use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::providers;
use crossfade_core::wire::framing::aws_eventstream::encode_frame;
use crossfade_core::wire::openai_chat::{decode_request, facts};
use crossfade_core::wire::openai_responses::Identity;
use crossfade_core::wire::shape::Limits;
use crossfade_core::wire::translate::{Place, StreamWriter, outbound};
use crossfade_core::wire::{DecodeAs, Decoder, Framing, RawMode};
use draws::Draws;
use serde_json::{Map, Value, json};

const CALLERS: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];

/// An answer's events: (name, document).
struct Seed {
    dialect: Dialect,
    framing: Framing,
    events: Vec<(String, Value)>,
}

fn golden(name: &str) -> String {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/wire").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The events of a golden stream.
fn stream(name: &str) -> Vec<(String, Value)> {
    let text = golden(name);
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let documents = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    documents.map(|event| (event["type"].as_str().unwrap_or("").to_owned(), event)).collect()
}

fn named(events: Value) -> Vec<(String, Value)> {
    let pair = |event: &Value| (event[0].as_str().unwrap().to_owned(), event[1].clone());
    events.as_array().unwrap().iter().map(pair).collect()
}

fn seeds() -> Vec<Seed> {
    let chat = stream("openai_chat.sse");
    let messages = stream("anthropic_messages.sse");
    let converse = named(json!([
        ["messageStart", {"role": "assistant"}],
        ["contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm", "signature": "s"}}}],
        ["contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Hi"}}],
        ["contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "a", "name": "f"}}}],
        ["contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{\"a\":1}"}}}],
        ["contentBlockStop", {"contentBlockIndex": 2}],
        ["messageStop", {"stopReason": "tool_use"}],
        ["metadata", {"usage": {"inputTokens": 7, "outputTokens": 2}, "serviceTier": {"type": "flex"}}],
    ]));
    let gemini = named(json!([
        ["", {"candidates": [{"content": {"parts": [{"text": "Hm", "thought": true}, {"text": "Hi"}]}}], "responseId": "g"}],
        ["", {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"}]},
            "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2,
            "thoughtsTokenCount": 3, "totalTokenCount": 12, "trafficType": "ON_DEMAND"}}],
    ]));
    let cohere = named(json!([
        ["message-start", {"type": "message-start", "id": "h"}],
        ["content-delta", {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}}],
        ["tool-call-start", {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls":
            {"id": "a", "function": {"name": "f", "arguments": ""}}}}}],
        ["tool-call-end", {"type": "tool-call-end", "index": 0}],
        ["message-end", {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage":
            {"tokens": {"input_tokens": 7, "output_tokens": 2}}}}],
    ]));
    let plain = named(json!([
        ["", {"generation": "Hi", "prompt_token_count": 7, "generation_token_count": 2, "stop_reason": null}],
        ["", {"generation": "", "stop_reason": "stop", "amazon-bedrock-invocationMetrics":
            {"inputTokenCount": 7, "outputTokenCount": 2}}],
    ]));
    let tokens = named(json!([
        ["", {"token": {"id": 1, "text": "Hi", "special": false}, "generated_text": null, "details": null}],
        ["", {"token": {"id": 2, "text": "</s>", "special": true}, "generated_text": "Hi", "details":
            {"finish_reason": "eos_token", "generated_tokens": 2, "input_length": 7}}],
    ]));
    let vectors = named(json!([["", {"object": "list", "data": [{"index": 0, "embedding": [0.1, 0.2]}],
        "model": "m", "usage": {"prompt_tokens": 3}}]]));
    let all = [
        (Dialect::OpenaiChat, Framing::Sse, chat.clone()),
        (Dialect::OpenaiChat, Framing::AwsBytes, chat.clone()),
        (Dialect::Tgi, Framing::AwsBytes, tokens),
        (Dialect::OpenaiResponses, Framing::Sse, stream("openai_responses.sse")),
        (Dialect::AnthropicMessages, Framing::Sse, messages.clone()),
        (Dialect::AnthropicMessages, Framing::AwsChunks, messages.clone()),
        (Dialect::BedrockInvoke, Framing::AwsChunks, messages),
        (Dialect::BedrockInvoke, Framing::AwsChunks, plain),
        (Dialect::BedrockInvoke, Framing::AwsChunks, chat),
        (Dialect::BedrockConverse, Framing::AwsEvents, converse),
        (Dialect::Gemini, Framing::Sse, gemini),
        (Dialect::CohereChat, Framing::Sse, cohere),
        (Dialect::OpenaiEmbeddings, Framing::Whole, vectors),
    ];
    all.into_iter().map(|(dialect, framing, events)| Seed { dialect, framing, events }).collect()
}

/// The events in their frames.
fn written(framing: Framing, events: &[(String, Value)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, document) in events {
        let data = document.to_string();
        let sse = format!("event: {name}\ndata: {data}\n\n");
        let frame = |kind: &str, payload: &[u8]| {
            encode_frame(&[(":message-type", "event"), (":event-type", kind)], payload)
        };
        match framing {
            Framing::Whole => bytes.extend(data.bytes()),
            Framing::Sse => bytes.extend(sse.bytes()),
            Framing::AwsEvents => bytes.extend(frame(name, data.as_bytes())),
            Framing::AwsBytes => bytes.extend(frame("PayloadPart", sse.as_bytes())),
            Framing::AwsChunks => {
                let inner = base64_simd::STANDARD.encode_to_string(&data);
                bytes.extend(frame("chunk", json!({"bytes": inner}).to_string().as_bytes()));
            }
        }
    }
    bytes
}

fn decoded(decode: DecodeAs, bytes: &[u8], mut cut: impl FnMut() -> usize) -> (Vec<StreamEvent>, Vec<u8>) {
    let mut decoder = Decoder::new(decode, RawMode::Keep { strip_usage: true });
    let (mut events, mut raw, mut rest) = (Vec::new(), Vec::new(), bytes);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(cut().clamp(1, rest.len()));
        decoder.feed(now, &mut events);
        raw.extend(decoder.take_raw());
        rest = later;
    }
    decoder.finish(&mut events);
    raw.extend(decoder.take_raw());
    (events, raw)
}

fn is_end(event: &StreamEvent) -> bool {
    matches!(event, StreamEvent::Terminal | StreamEvent::Error(_))
}

/// What must hold of any bytes at all.
fn check(decode: DecodeAs, bytes: &[u8], draws: &mut Draws) {
    let (events, raw) = decoded(decode, bytes, || usize::MAX);
    let (pieces, raw_pieces) = decoded(decode, bytes, || draws.exponential(0.05) as usize);
    assert_eq!(pieces, events, "cut elsewhere");
    assert_eq!(raw_pieces, raw, "cut elsewhere");
    assert_eq!(events.iter().filter(|event| is_end(event)).count(), 1, "{events:?}");
    assert!(events.last().is_some_and(is_end), "{events:?}");
    for dialect in CALLERS {
        let identity =
            Identity { id: "x".to_owned(), created: 1, model: "m".to_owned(), origin: decode.dialect };
        let mut writer = StreamWriter::new(dialect, &identity, true);
        let mut out = Vec::new();
        events.iter().for_each(|event| writer.encode(event, &mut out));
        assert!(std::str::from_utf8(&out).is_ok(), "a caller gets text");
    }
}

fn an_answer(seeds: &[Seed], draws: &mut Draws) {
    let seed = &seeds[draws.below(seeds.len())];
    let other = &seeds[draws.below(seeds.len())];
    let mut events = seed.events.clone();
    let whole = draws.fraction() < 0.25;
    let framing = if whole { Framing::Whole } else { seed.framing };
    let decode = DecodeAs { dialect: seed.dialect, framing };
    match draws.below(5) {
        0 => {
            let at = draws.below(events.len());
            drop(events.remove(at));
        }
        1 => {
            let (from, to) = (draws.below(events.len()), draws.below(events.len()));
            let again = events[from].clone();
            events.insert(to, again);
        }
        2 => {
            let from = draws.below(other.events.len());
            events.insert(draws.below(seed.events.len()), other.events[from].clone());
        }
        _ => {}
    }
    for _ in 0..draws.below(3) {
        if !events.is_empty() {
            let at = draws.below(events.len());
            events[at].1 = mutate::document(&events[at].1, draws);
        }
    }
    let written = written(framing, &events);
    let bytes = if draws.below(2) == 0 {
        written
    } else {
        mutate::bytes(&written, &self::written(other.framing, &other.events), draws)
    };
    check(decode, &bytes, draws);
}

fn an_error(bodies: &[Value], draws: &mut Draws) {
    const KINDS: [ProviderKind; 8] = [
        ProviderKind::Openai,
        ProviderKind::OpenaiCompatible,
        ProviderKind::AzureOpenai,
        ProviderKind::Anthropic,
        ProviderKind::Vertex,
        ProviderKind::Bedrock,
        ProviderKind::Sagemaker,
        ProviderKind::Cohere,
    ];
    let row = mutate::document(&bodies[draws.below(bodies.len())], draws);
    let text = row["body"].as_str().map_or_else(|| row["body"].to_string(), str::to_owned);
    let body = mutate::bytes(text.as_bytes(), b"{\"message\":\"", draws);
    let words = ["retry-after", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset", "date"];
    let value =
        String::from_utf8_lossy(&mutate::bytes(b"6m0s 2026-03-18T17:50:11+01:00", b"Wed, 18 Mar", draws))
            .into_owned();
    let headers: Vec<_> = words.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
    let status = u16::try_from(300 + draws.below(300)).unwrap();
    let kind = KINDS[draws.below(KINDS.len())];
    let error = providers::classify(kind, CapacityClass::Provisioned, status, &headers, &body);
    assert!(error.detail.len() < 4096, "a detail is bounded");
}

fn a_request(conversation: &Value, draws: &mut Draws) {
    const UPSTREAMS: [Dialect; 6] = [
        Dialect::OpenaiChat,
        Dialect::OpenaiResponses,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
        Dialect::BedrockConverse,
        Dialect::CohereChat,
    ];
    let body = mutate::document(conversation, draws).to_string();
    let body = if draws.below(3) == 0 { mutate::bytes(body.as_bytes(), b"[[[{", draws) } else { body.into() };
    let limits = Limits { depth: 64, values: 10_000 };
    let caller = CALLERS[draws.below(CALLERS.len())];
    if let Ok(request) = decode_request(caller, &body.into(), limits) {
        let _ = facts(&request);
        let dialect = UPSTREAMS[draws.below(UPSTREAMS.len())];
        let place =
            Place { dialect, model: "m", takes: &Capabilities::EVERYTHING, named: true, limit: "max_tokens" };
        if let Ok(sent) = outbound(&request, &Map::new(), place, true) {
            assert!(serde_json::from_slice::<Value>(&sent.body).is_ok(), "an upstream gets JSON");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_answer_error_or_request_breaks_what_reads_it() {
    let seeds = seeds();
    let bodies: Vec<Value> =
        golden("errors.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let conversation: Value = serde_json::from_str(&golden("conversation.json")).unwrap();
    let from = number("FUZZ_FROM").unwrap_or(0);
    for case in from..from + number("FUZZ_CASES").unwrap_or(6_000) {
        let mut draws = Draws::new(case);
        let ran = catch_unwind(AssertUnwindSafe(|| match draws.below(8) {
            0 => an_error(&bodies, &mut draws),
            1 | 2 => a_request(&conversation, &mut draws),
            _ => an_answer(&seeds, &mut draws),
        }));
        assert!(ran.is_ok(), "case {case} (FUZZ_FROM={case} FUZZ_CASES=1 runs it alone)");
    }
}
