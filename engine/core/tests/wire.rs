//! The wire goldens of `spec/wire`: what each upstream is sent, and each caller.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::path::PathBuf;

use crossfade_core::domain::chat::Capabilities;
use crossfade_core::domain::request::{ChatRequest, Usage};
use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::domain::stream::{StopReason, StreamEvent};
use crossfade_core::wire::openai_chat::decode_request;
use crossfade_core::wire::openai_responses::Identity;
use crossfade_core::wire::translate::{Place, StreamWriter, outbound};
use serde_json::{Map, Value, json};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/wire").join(name)
}

/// Compares, or writes where the tester asked for that.
fn check(name: &str, seen: &str) {
    if std::env::var_os("CROSSFADE_BLESS").is_some() {
        std::fs::write(golden(name), seen).unwrap();
    }
    let wanted = std::fs::read_to_string(golden(name)).unwrap();
    assert_eq!(seen, wanted, "{name}");
}

fn request() -> ChatRequest {
    let body = std::fs::read(golden("conversation.json")).unwrap();
    decode_request(
        Dialect::OpenaiChat,
        &body.into(),
        crossfade_core::wire::shape::Limits { depth: 64, values: 10_000 },
    )
    .unwrap()
}

#[test]
fn each_upstream_gets_the_conversation_in_its_dialect() {
    for (name, dialect, model) in [
        ("openai_responses", Dialect::OpenaiResponses, "gpt-5-mini"),
        ("anthropic_messages", Dialect::AnthropicMessages, "claude-haiku-4-5"),
        ("gemini", Dialect::Gemini, "gemini-2.5-flash"),
        ("bedrock_converse", Dialect::BedrockConverse, "us.anthropic.claude-haiku-4-5"),
        ("cohere_chat", Dialect::CohereChat, "command-a-vision"),
    ] {
        let takes = Capabilities { sampling: !model.starts_with("gpt-5"), ..Capabilities::EVERYTHING };
        let place = Place { dialect, model, takes: &takes, named: true, limit: "max_tokens" };
        let sent = outbound(&request(), &Map::new(), place, false).unwrap();
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        let document = json!({"body": body, "warnings": sent.warnings});
        check(&format!("{name}.request.json"), &format!("{document:#}\n"));
    }
}

#[test]
fn each_caller_gets_the_answer_in_its_dialect() {
    for (name, dialect) in [
        ("openai_chat", Dialect::OpenaiChat),
        ("openai_responses", Dialect::OpenaiResponses),
        ("anthropic_messages", Dialect::AnthropicMessages),
    ] {
        let identity =
            Identity { id: "x1".to_owned(), created: 1, model: "m".to_owned(), origin: Dialect::Gemini };
        let mut writer = StreamWriter::new(dialect, &identity, true);
        let mut bytes = Vec::new();
        for event in [
            StreamEvent::Start { id: None, model: None },
            StreamEvent::Reasoning("Hm.".to_owned()),
            StreamEvent::Text("Hi".to_owned()),
            StreamEvent::ToolStart { index: 0, id: "call_1".to_owned(), name: "look".to_owned() },
            StreamEvent::ToolArguments { index: 0, fragment: "{\"zoom\":2}".to_owned() },
            StreamEvent::Stop { reason: StopReason::ToolCalls, raw: "STOP".to_owned() },
            StreamEvent::Usage(Usage::inclusive(12, 4, 0, 7, 2)),
            StreamEvent::Terminal,
        ] {
            writer.encode(&event, &mut bytes);
        }
        check(&format!("{name}.sse"), &String::from_utf8(bytes).unwrap());
    }
}
