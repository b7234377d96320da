use proptest::prelude::*;

use super::*;
use crate::domain::outcome::OutcomeClass;
use crate::domain::request::{Usage, UsageSource};

const CHAT_WHOLE: DecodeAs = DecodeAs { dialect: Dialect::OpenaiChat, framing: Framing::Whole };
const CHAT_SSE: DecodeAs = DecodeAs { dialect: Dialect::OpenaiChat, framing: Framing::Sse };
const CONTAINER_STREAM: DecodeAs = DecodeAs { dialect: Dialect::OpenaiChat, framing: Framing::AwsBytes };
const CONVERSE_WHOLE: DecodeAs = DecodeAs { dialect: Dialect::BedrockConverse, framing: Framing::Whole };
const CONVERSE_STREAM: DecodeAs = DecodeAs { dialect: Dialect::BedrockConverse, framing: Framing::AwsEvents };

fn decode(decode: DecodeAs, pieces: &[&[u8]]) -> (Vec<StreamEvent>, Vec<u8>) {
    let mut decoder = Decoder::new(decode, RawMode::Keep { strip_usage: true });
    let mut events = Vec::new();
    let mut raw = Vec::new();
    for piece in pieces {
        decoder.feed(piece, &mut events);
        raw.extend(decoder.take_raw());
    }
    decoder.finish(&mut events);
    raw.extend(decoder.take_raw());
    (events, raw)
}

fn error(events: &[StreamEvent]) -> Option<ErrorKind> {
    events.iter().find_map(|event| match event {
        StreamEvent::Error(error) => Some(error.kind),
        _ => None,
    })
}

/// A frame with string headers.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap());
        block.extend(name.as_bytes());
        block.push(7);
        block.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend(value.as_bytes());
    }
    let mut bytes = u32::try_from(16 + block.len() + payload.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend(block);
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn event(kind: &str, payload: &str) -> Vec<u8> {
    frame(&[(":message-type", "event"), (":event-type", kind)], payload.as_bytes())
}

const CHAT: &str = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n\
data: [DONE]\n\n";

#[test]
fn a_whole_chat_stream_ends_once_with_its_usage_hidden_from_the_bytes() {
    let (events, raw) = decode(CHAT_SSE, &[CHAT.as_bytes()]);

    assert_eq!(events.last(), Some(&StreamEvent::Terminal));
    assert!(
        events
            .iter()
            .any(|e| matches!(e, StreamEvent::Usage(u) if u.input_uncached == 5 && u.cache_read == 4))
    );
    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.contains("[DONE]") && !raw.contains("usage"));
}

#[test]
fn a_chat_stream_without_done_is_interrupted_even_after_its_finish_reason() {
    let cut = CHAT.replace("data: [DONE]\n\n", "");

    assert_eq!(error(&decode(CHAT_SSE, &[cut.as_bytes()]).0), Some(ErrorKind::StreamInterrupted));
}

#[test]
fn an_empty_200_is_an_empty_response_in_every_form() {
    for form in [CHAT_WHOLE, CHAT_SSE, CONVERSE_WHOLE, CONVERSE_STREAM, CONTAINER_STREAM] {
        assert_eq!(error(&decode(form, &[]).0), Some(ErrorKind::EmptyResponse), "{form:?}");
    }
}

#[test]
fn an_error_object_inside_a_200_is_an_error_and_is_not_forwarded() {
    let text = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":null}}\n\n";
    let (events, raw) = decode(CHAT_SSE, &[text.as_bytes()]);

    assert_eq!(error(&events), Some(ErrorKind::ServerError));
    assert!(raw.is_empty());
    let unary =
        decode(CHAT_WHOLE, &[b"{\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}"]);
    assert_eq!(error(&unary.0), Some(ErrorKind::RateLimited));
}

#[test]
fn one_unreadable_event_is_skipped_two_in_a_row_break_the_stream() {
    let one = format!("data: {{oops\n\n{CHAT}");
    let two = format!("data: {{oops\n\ndata: {{oops\n\n{CHAT}");

    assert_eq!(error(&decode(CHAT_SSE, &[one.as_bytes()]).0), None);
    assert!(error(&decode(CHAT_SSE, &[two.as_bytes()]).0).is_some_and(|k| k.class() == OutcomeClass::Hard));
}

#[test]
fn a_converse_stream_is_over_at_its_metadata() {
    let bytes = [
        event("messageStart", r#"{"role":"assistant"}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hi"}}"#),
        event("messageStop", r#"{"stopReason":"end_turn"}"#),
        event("metadata", r#"{"usage":{"inputTokens":7,"outputTokens":2}}"#),
    ]
    .concat();
    let (events, raw) = decode(CONVERSE_STREAM, &[&bytes]);

    assert_eq!(events.last(), Some(&StreamEvent::Terminal));
    assert!(
        events.iter().any(|e| matches!(e, StreamEvent::Usage(u) if u.input_uncached == 7 && u.output == 2))
    );
    assert!(raw.is_empty(), "another dialect's bytes are never the caller's");
}

#[test]
fn an_exception_inside_a_stream_is_mapped_by_its_name() {
    let headers = [(":exception-type", "throttlingException"), (":message-type", "exception")];
    let bytes = frame(&headers, br#"{"message":"Too many tokens, please wait before trying again."}"#);

    assert_eq!(error(&decode(CONVERSE_STREAM, &[&bytes]).0), Some(ErrorKind::RateLimited));
}

#[test]
fn a_cut_frame_and_a_wrong_checksum_are_interruptions() {
    let whole = event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hi"}}"#);
    let mut wrong = event("messageStop", r#"{"stopReason":"end_turn"}"#);
    let last = wrong.len() - 1;
    wrong[last] ^= 1;

    for tail in [&wrong[..], &wrong[..20]] {
        let (events, _) = decode(CONVERSE_STREAM, &[&whole, tail]);
        assert_eq!(error(&events), Some(ErrorKind::StreamInterrupted));
    }
}

#[test]
fn a_framed_stream_gives_the_containers_own_bytes() {
    let (first, second) = CHAT.split_at(37);
    let part =
        |text: &str| frame(&[(":message-type", "event"), (":event-type", "PayloadPart")], text.as_bytes());
    let (events, raw) = decode(CONTAINER_STREAM, &[&part(first), &part(second)]);

    assert_eq!(events.last(), Some(&StreamEvent::Terminal));
    assert!(String::from_utf8(raw).unwrap().ends_with("[DONE]\n\n"));
}

proptest! {
    #[test]
    fn chunk_borders_do_not_change_what_is_read(sizes in prop::collection::vec(1usize..40, 1..12)) {
        let converse = [
            event("contentBlockDelta", r#"{"delta":{"text":"grüße"}}"#),
            event("messageStop", r#"{"stopReason":"max_tokens"}"#),
            event("metadata", r#"{"usage":{"inputTokens":7,"outputTokens":2}}"#),
        ].concat();
        for (form, bytes) in [(CHAT_SSE, CHAT.as_bytes()), (CONVERSE_STREAM, &converse[..])] {
            let mut pieces = Vec::new();
            let (mut rest, mut turn) = (bytes, 0);
            while !rest.is_empty() {
                let (now, later) = rest.split_at(sizes[turn % sizes.len()].min(rest.len()));
                pieces.push(now);
                (rest, turn) = (later, turn + 1);
            }
            prop_assert_eq!(decode(form, &pieces), decode(form, &[bytes]));
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_or_an_answer_out_of_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        for form in [CHAT_SSE, CONVERSE_STREAM, CONTAINER_STREAM, CONVERSE_WHOLE] {
            let (events, _) = decode(form, &[&bytes]);
            prop_assert!(!events.contains(&StreamEvent::Terminal));
        }
    }
}

#[test]
fn an_answer_in_another_framing_than_asked_for_is_read_and_never_passed_on_as_it_is() {
    let whole = br#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    for (asked, body) in [(CHAT_SSE, &whole[..]), (CHAT_WHOLE, CHAT.as_bytes())] {
        for cut in [1, 7, 10_000] {
            let pieces: Vec<&[u8]> = body.chunks(cut).collect();
            let (events, raw) = decode(asked, &pieces);

            assert!(events.contains(&StreamEvent::Terminal), "{asked:?} {cut}: {events:?}");
            assert_eq!(said(&events), "Hi");
            assert!(raw.is_empty());
        }
    }
}

#[test]
fn what_a_chat_client_would_not_read_is_written_anew_for_it() {
    let parts = r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"Hi"}]}}]}"#;
    let calls = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"b","function":{"name":"g","arguments":{"x":1}}}]}}]}"#;
    let first = calls.replace("\"b\"", "\"a\"");
    let body = format!(
        "data: {parts}\n\ndata: {first}\n\ndata: {calls}\n\ndata: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"tool_calls\"}}]}}\n\ndata: [DONE]\n\n"
    );
    let (events, raw) = decode(CHAT_SSE, &[body.as_bytes()]);
    let raw = String::from_utf8(raw).unwrap();

    assert_eq!(said(&events), "Hi");
    assert!(raw.contains(r#""content":"Hi""#) && raw.contains(r#""reasoning_content":"Hm""#), "{raw}");
    assert!(raw.contains(r#""arguments":"{\"x\":1}""#) && raw.contains(r#""index":1"#), "{raw}");
    let whole = br#"{"choices":[{"index":0,"finish_reason":"content_filter"}]}"#;
    let (_, raw) = decode(CHAT_WHOLE, &[whole]);
    assert!(String::from_utf8(raw).unwrap().contains(r#""message":{"#));
}

#[test]
fn messages_events_without_a_name_get_theirs() {
    let body = "data: {\"type\":\"message_start\",\"message\":{}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
    let messages = DecodeAs { dialect: Dialect::AnthropicMessages, framing: Framing::Sse };
    let (_, raw) = decode(messages, &[body.as_bytes()]);

    assert_eq!(String::from_utf8(raw).unwrap().matches("event: ").count(), 3);
}

#[test]
fn what_is_empty_loses_nothing_by_its_type() {
    let body = br#"{"choices":[{"index":0,"message":{"content":"Hi","tool_calls":{}},"finish_reason":"stop"}],"usage":[]}"#;
    let (events, _) = decode(CHAT_WHOLE, &[body]);

    assert!(events.contains(&StreamEvent::Terminal), "{events:?}");
    assert_eq!(said(&events), "Hi");
}

fn said(events: &[StreamEvent]) -> String {
    let text = |event: &StreamEvent| match event {
        StreamEvent::Text(text) => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[test]
fn a_call_without_an_id_gets_one_that_its_caller_sees_too() {
    let text = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n\
data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}}]}\n\n";
    let (events, raw) = decode(CHAT_SSE, &[text.as_bytes()]);
    let ids: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::ToolStart { id, .. } => Some(id.clone()),
            _ => None,
        })
        .collect();
    let raw = String::from_utf8(raw).unwrap();

    assert_eq!(ids.len(), 2, "{events:?}");
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| raw.contains(&format!("\"id\":\"{id}\""))), "{raw}");
}

#[test]
fn thinking_that_only_the_total_counts_is_output() {
    let usage = |text: &str| {
        let body = format!(
            "{{\"choices\":[{{\"message\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}],\"usage\":{text}}}"
        );
        let (events, _) = decode(CHAT_WHOLE, &[body.as_bytes()]);
        events.iter().find_map(|event| match event {
            StreamEvent::Usage(usage) => Some((usage.output, usage.reasoning)),
            _ => None,
        })
    };
    for (text, wanted) in [
        ("{\"prompt_tokens\":35,\"completion_tokens\":12,\"total_tokens\":109}", (74, 62)),
        (
            "{\"prompt_tokens\":35,\"completion_tokens\":12,\"total_tokens\":109,\"completion_tokens_details\":{\"reasoning_tokens\":62}}",
            (74, 62),
        ),
        (
            "{\"prompt_tokens\":35,\"completion_tokens\":12,\"total_tokens\":47,\"completion_tokens_details\":{\"reasoning_tokens\":7}}",
            (12, 7),
        ),
        ("{\"prompt_tokens\":35,\"completion_tokens\":12}", (12, 0)),
    ] {
        assert_eq!(usage(text), Some(wanted), "{text}");
    }
}

#[test]
fn an_answer_that_counts_nothing_used_what_was_expected() {
    let estimate = Usage { source: UsageSource::Estimated, ..Usage::inclusive(12, 0, 0, 0, 0) };
    let told = Usage::inclusive(9, 0, 0, 4, 0);
    let said = |dialect, expected: Usage, body: &str| {
        let decode = DecodeAs { dialect, framing: Framing::Whole };
        let mut decoder = Decoder::new(decode, RawMode::Off).expecting(expected);
        let mut events = Vec::new();
        decoder.feed(body.as_bytes(), &mut events);
        decoder.finish(&mut events);
        let used =
            |event: &StreamEvent| if let StreamEvent::Usage(usage) = event { Some(*usage) } else { None };
        events.iter().find_map(used)
    };
    let uncounted = r#"{"outputs": [{"text": "Hi there", "stop_reason": "stop"}]}"#;
    let half =
        r#"[{"generated_text": "Hi there", "details": {"finish_reason": "length", "generated_tokens": 7}}]"#;
    let counted = r#"{"generation": "Hi", "stop_reason": "stop", "prompt_token_count": 3, "generation_token_count": 1}"#;

    assert_eq!(said(Dialect::BedrockInvoke, told, uncounted), Some(told));
    assert_eq!(said(Dialect::BedrockInvoke, estimate, uncounted), Some(Usage { output: 2, ..estimate }));
    assert_eq!(said(Dialect::Tgi, estimate, half), Some(Usage { output: 7, ..estimate }));
    assert_eq!(said(Dialect::BedrockInvoke, told, counted), Some(Usage::inclusive(3, 0, 0, 1, 0)));
    assert_eq!(said(Dialect::BedrockInvoke, told, "{}"), None, "a broken answer");
}
