//! Log probabilities of an answer's tokens, where upstream and caller both have a form for them.

use crossfade_core::domain::answer::Answer;
use crossfade_core::domain::chat::Capabilities;
use crossfade_core::domain::request::ChatRequest;
use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::wire::openai_responses::Identity;
use crossfade_core::wire::translate::{Place, StreamWriter, encode_answer, outbound};
use crossfade_core::wire::{DecodeAs, Decoder, Framing, RawMode};
use serde_json::{Map, Value, json};

fn events(dialect: Dialect, framing: Framing, bytes: &[u8]) -> Vec<StreamEvent> {
    let mut decoder = Decoder::new(DecodeAs { dialect, framing }, RawMode::Off);
    let mut events = Vec::new();
    decoder.feed(bytes, &mut events);
    decoder.finish(&mut events);
    assert_eq!(events.last(), Some(&StreamEvent::Terminal), "{events:?}");
    events
}

fn token(words: &str, logprob: f64, others: &Value) -> Value {
    json!({"token": words, "logprob": logprob, "bytes": words.as_bytes(), "top_logprobs": others})
}

/// Each upstream's answer of two tokens.
fn answers() -> [(Dialect, Value); 3] {
    let said = json!([
        token("Gr\u{fc}n", -0.25, &json!([{"token": "Rot", "logprob": -1.5, "bytes": b"Rot"}])),
        token(".", -0.5, &json!([])),
    ]);
    let gemini = json!({"candidates": [{"content": {"parts": [{"text": "Gr\u{fc}n."}]}, "finishReason": "STOP",
        "logprobsResult": {
            "chosenCandidates": [
                {"token": "Gr\u{fc}n", "tokenId": 7, "logProbability": -0.25}, {"token": ".", "logProbability": -0.5}],
            "topCandidates": [{"candidates": [{"token": "Rot", "logProbability": -1.5}]}, {"candidates": []}]}}]});
    let chat = json!({"id": "1", "choices": [{"index": 0, "finish_reason": "stop", "logprobs": {"content": said},
        "message": {"role": "assistant", "content": "Gr\u{fc}n."}}]});
    let part = json!({"type": "output_text", "text": "Gr\u{fc}n.", "annotations": [], "logprobs": said});
    let responses = json!({"id": "r", "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [part]}]});
    [(Dialect::Gemini, gemini), (Dialect::OpenaiChat, chat), (Dialect::OpenaiResponses, responses)]
}

#[test]
fn they_are_the_same_for_every_caller_whoever_said_them() {
    let wanted = &answers()[1].1["choices"][0]["logprobs"]["content"].clone();
    let identity =
        Identity { id: "x1".to_owned(), created: 1, model: "m".to_owned(), origin: Dialect::Gemini };
    for (upstream, document) in answers() {
        let events = events(upstream, Framing::Whole, document.to_string().as_bytes());
        let mut answer = Answer::new();
        events.iter().for_each(|event| answer.add(event));
        assert_eq!(&json!(answer.logprobs), wanted, "{upstream:?}");
        for (caller, place) in [
            (Dialect::OpenaiChat, "/choices/0/logprobs/content"),
            (Dialect::OpenaiResponses, "/output/0/content/0/logprobs"),
        ] {
            let told: Value = serde_json::from_slice(&encode_answer(caller, &answer, &identity)).unwrap();
            assert_eq!(told.pointer(place), Some(wanted), "{upstream:?} to {caller:?}");
            let mut writer = StreamWriter::new(caller, &identity, false);
            let mut stream = Vec::new();
            events.iter().for_each(|event| writer.encode(event, &mut stream));
            let stream = String::from_utf8(stream).unwrap();
            assert!(stream.contains(r#""logprob":-0.25"#), "{upstream:?} to {caller:?}: {stream}");
        }
    }
}

#[test]
fn they_are_asked_for_in_the_upstreams_words() {
    let chat = json!({"model": "m", "logprobs": true, "top_logprobs": 3,
        "messages": [{"role": "user", "content": "Hi"}]});
    let responses = json!({"model": "m", "input": "Hi", "top_logprobs": 3});
    let sent = |caller, body: &Value, dialect| {
        let request = ChatRequest::made(caller, body.as_object().unwrap().clone());
        let takes = &Capabilities::EVERYTHING;
        let place = Place { dialect, model: "m", takes, named: true, limit: "max_tokens" };
        let sent = outbound(&request, &Map::new(), place, false).unwrap();
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        (body, sent.warnings)
    };
    for (caller, body) in [(Dialect::OpenaiChat, &chat), (Dialect::OpenaiResponses, &responses)] {
        let (said, _) = sent(caller, body, Dialect::Gemini);
        assert_eq!(said["generationConfig"], json!({"responseLogprobs": true, "logprobs": 3}));
        let (_, warnings) = sent(caller, body, Dialect::AnthropicMessages);
        assert_eq!(warnings, ["logprobs has no form at this endpoint and was left out"]);
    }
    let (said, _) = sent(Dialect::OpenaiChat, &chat, Dialect::OpenaiResponses);
    assert_eq!(
        (&said["top_logprobs"], &said["include"]),
        (&json!(3), &json!(["message.output_text.logprobs"]))
    );
    let (said, _) = sent(Dialect::OpenaiResponses, &responses, Dialect::OpenaiChat);
    assert_eq!((&said["logprobs"], &said["top_logprobs"]), (&json!(true), &json!(3)));
}
