//! Answers with wrong types deep inside: what they were to say is lost, so none of them is whole.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use crossfade_core::domain::outcome::ErrorKind;
use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::wire::{DecodeAs, Decoder, Framing, RawMode};
use serde_json::{Value, json};

/// How an answer ended: whole, or with what.
fn end(dialect: Dialect, framing: Framing, bytes: &[u8]) -> Result<(), ErrorKind> {
    let mut decoder = Decoder::new(DecodeAs { dialect, framing }, RawMode::Off);
    let mut events = Vec::new();
    decoder.feed(bytes, &mut events);
    decoder.finish(&mut events);
    match events.pop() {
        Some(StreamEvent::Error(error)) => Err(error.kind),
        last => {
            assert_eq!(last, Some(StreamEvent::Terminal));
            Ok(())
        }
    }
}

fn whole(dialect: Dialect, answer: &Value) -> Result<(), ErrorKind> {
    end(dialect, Framing::Whole, answer.to_string().as_bytes())
}

fn streamed(dialect: Dialect, events: &[Value]) -> Result<(), ErrorKind> {
    let mut text = String::new();
    for event in events {
        if let Some(name) = event.get("type").and_then(Value::as_str) {
            text += &format!("event: {name}\n");
        }
        text += &format!("data: {event}\n\n");
    }
    if dialect == Dialect::OpenaiChat {
        text += "data: [DONE]\n\n";
    }
    end(dialect, Framing::Sse, text.as_bytes())
}

/// Every value that JSON has but those of the kinds in `but`.
fn others(but: &str) -> Vec<Value> {
    let all = [
        ("text", json!("x")),
        ("count", json!(5)),
        ("flag", json!(true)),
        ("list", json!([1])),
        ("object", json!({"x": 1})),
        ("nested", json!([["x"]])),
    ];
    let wrong = |(kind, _): &(&str, Value)| !but.split(' ').any(|allowed| allowed == *kind);
    all.into_iter().filter(wrong).map(|(_, value)| value).collect()
}

/// Puts each wrong value at each place of `document`; `ends` says how it then ends.
fn spoil(document: &Value, places: &[(&str, &str)], ends: impl Fn(&Value) -> Result<(), ErrorKind>) {
    assert_eq!(ends(document), Ok(()), "{document}");
    for (place, right) in places {
        for wrong in others(right) {
            let mut spoilt = document.clone();
            *spoilt.pointer_mut(place).unwrap() = wrong;
            assert_eq!(ends(&spoilt), Err(ErrorKind::MalformedOutput), "{place}: {spoilt}");
        }
    }
}

fn spoil_answer(dialect: Dialect, answer: &Value, places: &[(&str, &str)]) {
    spoil(answer, places, |answer| whole(dialect, answer));
}

fn spoil_stream(dialect: Dialect, events: &Value, places: &[(&str, &str)]) {
    spoil(events, places, |events| streamed(dialect, events.as_array().unwrap()));
}

#[test]
fn chat() {
    let calls =
        json!([{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let answer = json!({
        "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "content": "Hi", "refusal": null, "tool_calls": calls.clone()}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    });
    let spoilt = [
        ("/choices", ""),
        ("/choices/0", "object"),
        ("/choices/0/index", "count"),
        ("/choices/0/message", "object"),
        ("/choices/0/message/content", "text"),
        ("/choices/0/message/refusal", "text"),
        ("/choices/0/message/tool_calls", ""),
        ("/choices/0/message/tool_calls/0", "object"),
        ("/choices/0/message/tool_calls/0/function", "object"),
        ("/choices/0/message/tool_calls/0/function/name", "text"),
        ("/choices/0/finish_reason", "text"),
        ("/usage", "object"),
    ];
    spoil_answer(Dialect::OpenaiChat, &answer, &spoilt);
    let parts = json!({"choices": [{"message": {"content": [{"type": "text", "text": "Hi"}]}}]});
    let place = "/choices/0/message/content/0";
    spoil_answer(Dialect::OpenaiChat, &parts, &[(place, "object"), (&format!("{place}/text"), "text")]);

    let events = json!([
        {"choices": [{"index": 0, "delta": {"content": "Hi", "tool_calls": calls}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]);
    let spoilt = [
        ("/0", "object text count flag"), // a scalar says nothing
        ("/0/choices", ""),
        ("/0/choices/0", "object"),
        ("/0/choices/0/delta", "object"),
        ("/0/choices/0/delta/content", "text"),
        ("/0/choices/0/delta/tool_calls", ""),
        ("/0/choices/0/delta/tool_calls/0/index", "count"),
        ("/0/choices/0/delta/tool_calls/0/function", "object"),
        ("/1/choices/0/finish_reason", "text"),
    ];
    spoil_stream(Dialect::OpenaiChat, &events, &spoilt);
}

#[test]
fn messages() {
    let answer = json!({
        "type": "message", "role": "assistant", "stop_reason": "end_turn",
        "content": [
            {"type": "text", "text": "Hi"},
            {"type": "thinking", "thinking": "hm"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let spoilt = [
        ("/content", ""),
        ("/content/0", "object"),
        ("/content/0/type", "text"),
        ("/content/0/text", "text"),
        ("/content/1/thinking", "text"),
        ("/content/2/id", "text"),
        ("/content/2/name", "text"),
        ("/content/2/input", "object"),
        ("/stop_reason", "text"),
        ("/usage", "object"),
    ];
    spoil_answer(Dialect::AnthropicMessages, &answer, &spoilt);
    let without = json!({"type": "message", "role": "assistant", "stop_reason": "max_tokens"});
    assert_eq!(whole(Dialect::AnthropicMessages, &without), Err(ErrorKind::MalformedOutput));

    let block = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta =
        |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let events = json!([
        {"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}},
        block(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": "Hi"})),
        block(1, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
        delta(1, json!({"type": "input_json_delta", "partial_json": "{}"})),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]);
    let spoilt = [
        ("/0/message", "object"),
        ("/0/message/usage", "object"),
        ("/1/index", "count"),
        ("/1/content_block", "object"),
        ("/1/content_block/text", "text"),
        ("/2/index", "count"),
        ("/2/delta", "object"),
        ("/2/delta/type", "text"),
        ("/2/delta/text", "text"),
        ("/3/content_block/name", "text"),
        ("/4/delta/partial_json", "text"),
        ("/5/index", "count"),
        ("/6/delta", "object"),
        ("/6/delta/stop_reason", "text"),
        ("/6/usage", "object"),
    ];
    spoil_stream(Dialect::AnthropicMessages, &events, &spoilt);
    let mut unplaced = events;
    unplaced[4].as_object_mut().unwrap().remove("index");
    let ended = streamed(Dialect::AnthropicMessages, unplaced.as_array().unwrap());
    assert_eq!(ended, Err(ErrorKind::MalformedOutput), "a fragment of which block?");
}

#[test]
fn responses() {
    let answer = json!({
        "status": "completed", "incomplete_details": null,
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    });
    let spoilt = [
        ("/output", ""),
        ("/output/0", "object"),
        ("/output/0/type", "text"),
        ("/output/0/content", ""),
        ("/output/0/content/0", "object"),
        ("/output/0/content/0/text", "text"),
        ("/output/1/call_id", "text"),
        ("/output/1/name", "text"),
        ("/output/1/arguments", "text"),
        ("/status", "text"),
        ("/incomplete_details", "object"),
        ("/usage", "object"),
    ];
    spoil_answer(Dialect::OpenaiResponses, &answer, &spoilt);

    let item = |index: u32| {
        json!({"type": "response.output_item.added", "output_index": index,
        "item": {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}})
    };
    let events = json!([
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"},
        item(1),
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
    ]);
    let spoilt = [
        ("/0/response", "object"),
        ("/1/output_index", "count"),
        ("/1/delta", "text"),
        ("/2/output_index", "count"),
        ("/2/item", "object"),
        ("/2/item/name", "text"),
        ("/3/delta", "text"),
        ("/4/response", "object"),
        ("/4/response/output", ""),
    ];
    spoil_stream(Dialect::OpenaiResponses, &events, &spoilt);
    let mut unplaced = events;
    unplaced[2].as_object_mut().unwrap().remove("output_index");
    let ended = streamed(Dialect::OpenaiResponses, unplaced.as_array().unwrap());
    assert_eq!(ended, Err(ErrorKind::MalformedOutput), "which of two items?");
}

#[test]
fn converse() {
    let answer = json!({
        "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 1},
        "output": {"message": {"content": [
            {"text": "Hi"},
            {"reasoningContent": {"reasoningText": {"text": "hm"}}},
            {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
        ]}},
    });
    let spoilt = [
        ("/output/message/content", ""),
        ("/output/message/content/0", "object"),
        ("/output/message/content/0/text", "text"),
        ("/output/message/content/1/reasoningContent", "object"),
        ("/output/message/content/1/reasoningContent/reasoningText/text", "text"),
        ("/output/message/content/2/toolUse", "object"),
        ("/output/message/content/2/toolUse/toolUseId", "text"),
        ("/output/message/content/2/toolUse/name", "text"),
        ("/stopReason", "text"),
        ("/usage", "object"),
    ];
    spoil_answer(Dialect::BedrockConverse, &answer, &spoilt);
}

#[test]
fn gemini() {
    let answer = json!({
        "candidates": [{"finishReason": "STOP", "content": {"parts": [
            {"text": "Hi"},
            {"functionCall": {"name": "f", "args": {}}},
        ]}}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
    });
    let spoilt = [
        ("/candidates", ""),
        ("/candidates/0", "object"),
        ("/candidates/0/content", "object"),
        ("/candidates/0/content/parts", ""),
        ("/candidates/0/content/parts/0", "object"),
        ("/candidates/0/content/parts/0/text", "text"),
        ("/candidates/0/content/parts/1/functionCall", "object"),
        ("/candidates/0/content/parts/1/functionCall/name", "text"),
        ("/candidates/0/content/parts/1/functionCall/args", "object"),
        ("/candidates/0/finishReason", "text"),
        ("/usageMetadata", "object"),
    ];
    spoil_answer(Dialect::Gemini, &answer, &spoilt);
    let placed = |place: &str| format!("/0{place}");
    let places: Vec<_> = spoilt.iter().map(|(place, right)| (placed(place), *right)).collect();
    let places: Vec<_> = places.iter().map(|(place, right)| (place.as_str(), *right)).collect();
    spoil_stream(Dialect::Gemini, &json!([answer]), &places);
}

#[test]
fn what_servers_leave_out_or_write_as_null_breaks_nothing() {
    let chat = json!({"id": null, "model": null, "usage": null, "choices": [
        {"index": null, "delta": null, "finish_reason": "stop", "logprobs": null,
         "message": {"content": "Hi", "refusal": null, "tool_calls": null, "function_call": null}}]});
    assert_eq!(whole(Dialect::OpenaiChat, &chat), Ok(()));
    assert_eq!(streamed(Dialect::OpenaiChat, &[chat]), Ok(()));
    let messages = json!({"type": "message", "id": null, "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": null, "usage": null});
    assert_eq!(whole(Dialect::AnthropicMessages, &messages), Ok(()));
    let responses = json!({"output": [{"type": "message", "content": [{"text": "Hi"}]}], "usage": null});
    assert_eq!(whole(Dialect::OpenaiResponses, &responses), Ok(()));
    let one = json!({"type": "response.output_text.delta", "delta": "Hi"});
    let done = json!({"type": "response.completed", "response": {"status": "completed", "output": null}});
    assert_eq!(streamed(Dialect::OpenaiResponses, &[one, done]), Ok(()));
    let gemini = json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "Hi"}]}}]});
    assert_eq!(whole(Dialect::Gemini, &gemini), Ok(()));
}

#[test]
fn an_answer_of_nothing_is_empty_whatever_it_ended_with() {
    let silent = [
        (Dialect::OpenaiResponses, json!({"status": null, "output": null})),
        (Dialect::OpenaiResponses, json!({"status": "ended", "output": []})),
        (Dialect::BedrockConverse, json!({"output": {"message": {"content": []}}})),
        (Dialect::OpenaiChat, json!({"choices": [{"message": {}, "finish_reason": "tired"}]})),
        (Dialect::AnthropicMessages, json!({"type": "message", "content": [], "stop_reason": "tired"})),
    ];
    for (dialect, answer) in silent {
        assert_eq!(whole(dialect, &answer), Err(ErrorKind::EmptyResponse), "{answer}");
    }
}

#[test]
fn an_event_nested_deeper_than_clients_read_breaks_the_stream() {
    for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages, Dialect::OpenaiResponses] {
        let deep = format!("{{\"choices\":[],\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let text = format!("data: {deep}\n\n");
        assert_eq!(
            end(dialect, Framing::Sse, text.as_bytes()),
            Err(ErrorKind::MalformedOutput),
            "{dialect:?}"
        );
    }
}
