//! Between any two dialects: what is said comes out again.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::answer::{Answer, Block};
use crate::domain::chat::{Capabilities, Chat, Content, Speaker};
use crate::domain::request::{ChatRequest, Usage};
use crate::domain::stream::{StopReason, StreamEvent};
use crate::wire::openai_responses::Identity;
use crate::wire::{DecodeAs, Decoder, Framing, RawMode};

const CALLERS: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];
const UPSTREAMS: [Dialect; 8] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::BedrockConverse,
    Dialect::BedrockInvoke,
    Dialect::CohereChat,
    Dialect::Tgi,
];

const NEW_CLAUDE: Capabilities =
    Capabilities { prefill: false, sampling: false, thinking_budget: false, ..Capabilities::EVERYTHING };

fn place(dialect: Dialect, model: &str) -> Place<'_> {
    Place { dialect, model, takes: &Capabilities::EVERYTHING, named: true, limit: "max_tokens" }
}

fn as_caller(dialect: Dialect, chat: Chat) -> ChatRequest {
    let body = match dialect {
        Dialect::OpenaiResponses => {
            crate::wire::openai_responses::encode_chat(chat, place(dialect, "m"), false)
        }
        Dialect::AnthropicMessages => {
            crate::wire::anthropic_messages::encode_chat(chat, place(dialect, "m"), false)
        }
        _ => crate::wire::openai_chat::encode_chat(chat, place(dialect, "m"), false),
    }
    .unwrap()
    .body;
    ChatRequest::made(dialect, serde_json::from_slice(&body).unwrap())
}

fn conversation_with_tools() -> Chat {
    let body = json!({"model": "recap", "max_tokens": 9, "temperature": 0.5,
        "tools": [{"type": "function", "function": {"name": "look", "description": "Looks", "parameters": {"type": "object"}, "strict": false}}],
        "tool_choice": "required",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "a cat"},
            {"role": "tool", "tool_call_id": "b", "content": "a dog"}]});
    crate::wire::openai_chat::decode_chat(body.as_object().unwrap()).unwrap()
}

#[test]
fn a_conversation_survives_every_callers_dialect() {
    let chat = conversation_with_tools();
    for dialect in CALLERS {
        assert_eq!(conversation(&as_caller(dialect, chat.clone())).unwrap(), chat, "{dialect:?}");
    }
}

#[test]
fn a_targets_system_prompt_stands_in_place_of_the_callers_at_every_upstream() {
    let set = json!({"system": "Speak like a pirate.", "temperature": 0.1});
    let bare = || Chat { system: Vec::new(), ..conversation_with_tools() };
    for caller in CALLERS {
        for chat in [conversation_with_tools(), bare()] {
            let request = as_caller(caller, chat);
            for upstream in UPSTREAMS {
                let sent = outbound(&request, set.as_object().unwrap(), place(upstream, "anything"), false);
                let plain = outbound(&request, &Map::new(), place(upstream, "anything"), false);
                let (Ok(sent), Ok(_)) = (sent.as_ref(), plain.as_ref()) else {
                    assert_eq!(sent.is_err(), plain.is_err(), "{caller:?} to {upstream:?}");
                    continue;
                };
                let body = String::from_utf8(sent.body.clone()).unwrap();
                assert_eq!(
                    body.matches("Speak like a pirate.").count(),
                    1,
                    "{caller:?} to {upstream:?}: {body}"
                );
                assert!(!body.contains("Be short."), "{caller:?} to {upstream:?}: {body}");
                assert!(body.contains("What is it?"), "{caller:?} to {upstream:?}");
                assert!(sent.warnings.iter().all(|said| !said.contains("system")), "{:?}", sent.warnings);
            }
        }
    }
}

#[test]
fn a_callers_own_forms_of_instructions_are_all_replaced_and_the_rest_is_kept() {
    let set = json!({"system": "New."});
    let sent = |dialect, body: Value| -> Value {
        let request = ChatRequest::made(dialect, body.as_object().unwrap().clone());
        let sent = outbound(&request, set.as_object().unwrap(), place(dialect, "m"), false).unwrap();
        serde_json::from_slice(&sent.body).unwrap()
    };
    let chat = sent(
        Dialect::OpenaiChat,
        json!({"model": "f", "unknown": 7, "messages": [
            {"role": "developer", "content": "Old."}, {"role": "user", "content": "Hi"},
            {"role": "system", "content": "Older."}]}),
    );
    let messages = json!([{"role": "developer", "content": "New."}, {"role": "user", "content": "Hi"}]);
    assert_eq!(chat, json!({"model": "m", "unknown": 7, "messages": messages}));

    let responses = sent(
        Dialect::OpenaiResponses,
        json!({"model": "f", "instructions": "Old.", "input": [
            {"role": "system", "content": "Older."}, {"role": "user", "content": "Hi"}]}),
    );
    let input = json!([{"role": "user", "content": "Hi"}]);
    assert_eq!(responses, json!({"model": "m", "instructions": "New.", "input": input}));
    let text = sent(Dialect::OpenaiResponses, json!({"model": "f", "input": "Hi"}));
    assert_eq!(text, json!({"model": "m", "instructions": "New.", "input": "Hi"}));

    let marker = json!({"type": "ephemeral"});
    let messages = sent(
        Dialect::AnthropicMessages,
        json!({"model": "f", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}],
            "system": [{"type": "text", "text": "Old.", "cache_control": marker}]}),
    );
    assert_eq!(messages["system"], json!([{"type": "text", "text": "New.", "cache_control": marker}]));
}

#[test]
fn every_upstream_gets_all_that_was_said_or_the_caller_hears_of_it() {
    for caller in CALLERS {
        let request = as_caller(caller, conversation_with_tools());
        for upstream in UPSTREAMS {
            match outbound(&request, &Map::new(), place(upstream, "anything"), false) {
                Ok(sent) => {
                    let body = String::from_utf8(sent.body).unwrap();
                    for word in ["What is it?", "look", "a cat", "a dog", "aGk="] {
                        assert!(body.contains(word), "{caller:?} to {upstream:?} lost {word}: {body}");
                    }
                }
                Err(error) => assert_eq!(error.kind, ErrorKind::Unsupported, "{caller:?} to {upstream:?}"),
            }
        }
    }
}

#[test]
fn a_setting_without_a_form_is_named_in_the_warnings() {
    let body =
        json!({"model": "recap", "seed": 7, "made_up": 1, "messages": [{"role": "user", "content": "Hi"}]});
    let request = ChatRequest::made(Dialect::OpenaiChat, body.as_object().unwrap().clone());
    let sent =
        outbound(&request, &Map::new(), place(Dialect::AnthropicMessages, "claude-opus-4-8"), false).unwrap();

    for name in ["seed", "made_up"] {
        assert!(sent.warnings.iter().any(|warning| warning.starts_with(name)), "{:?}", sent.warnings);
    }
}

#[test]
fn what_the_model_does_not_take_is_named_too() {
    let body = json!({"model": "recap", "temperature": 0.5, "messages": [{"role": "user", "content": "Hi"}]});
    let request = ChatRequest::made(Dialect::OpenaiChat, body.as_object().unwrap().clone());
    let place = Place { takes: &NEW_CLAUDE, ..place(Dialect::AnthropicMessages, "claude-opus-4-8") };
    let sent = outbound(&request, &Map::new(), place, false).unwrap();

    assert_eq!(sent.warnings, ["temperature has no form at this endpoint and was left out"]);
}

#[test]
fn a_stored_conversation_is_refused_across_dialects() {
    let body = json!({"model": "recap", "input": "Hi", "previous_response_id": "resp_1"});
    let request = ChatRequest::made(Dialect::OpenaiResponses, body.as_object().unwrap().clone());

    assert!(outbound(&request, &Map::new(), place(Dialect::Gemini, "m"), false).is_err());
}

#[test]
fn reasoning_returns_only_to_its_own_author() {
    for caller in [Dialect::AnthropicMessages, Dialect::OpenaiResponses] {
        let mut answer = Answer::new();
        answer.blocks.push(Block::Reasoning { text: "Hm.".to_owned(), signature: Some("c2ln".to_owned()) });
        answer.blocks.push(Block::Text("Hi".to_owned()));
        let said = encode_answer(caller, &answer, &identity(Dialect::AnthropicMessages));
        let said: Value = serde_json::from_slice(&said).unwrap();
        let body = match caller {
            Dialect::AnthropicMessages => json!({"model": "m", "messages": [
                {"role": "assistant", "content": said["content"]}, {"role": "user", "content": "More"}]}),
            _ => {
                let mut input = said["output"].as_array().unwrap().clone();
                input.push(json!({"role": "user", "content": "More"}));
                json!({"model": "m", "input": input})
            }
        };
        let request = ChatRequest::made(caller, body.as_object().unwrap().clone());
        let sent = |upstream| {
            String::from_utf8(
                outbound(&request, &Map::new(), place(upstream, "anthropic.m"), false).unwrap().body,
            )
            .unwrap()
        };

        assert!(sent(Dialect::BedrockConverse).contains("c2ln"), "{caller:?}");
        assert!(!sent(Dialect::Gemini).contains("c2ln"), "{caller:?}");
    }
}

fn identity(origin: Dialect) -> Identity {
    Identity { id: "x1".to_owned(), created: 1, model: "m".to_owned(), origin }
}

fn block() -> impl Strategy<Value = Vec<StreamEvent>> {
    let words = "[a-zA-Zäß \"{}\\\\\n]{1,12}";
    prop_oneof![
        prop::collection::vec(words, 1..4)
            .prop_map(|texts| texts.into_iter().map(StreamEvent::Text).collect()),
        prop::collection::vec(words, 1..4)
            .prop_map(|texts| texts.into_iter().map(StreamEvent::Reasoning).collect()),
        ("[a-z]{1,8}", "[a-z]{1,8}", words).prop_map(|(id, name, value)| {
            let text = json!({"q": value}).to_string();
            let (first, second) = text.split_at(1);
            vec![
                StreamEvent::ToolStart { index: 0, id, name },
                StreamEvent::ToolArguments { index: 0, fragment: first.to_owned() },
                StreamEvent::ToolArguments { index: 0, fragment: second.to_owned() },
            ]
        }),
    ]
}

/// An answer's events: any blocks, calls numbered in their order, then the end.
fn events() -> impl Strategy<Value = Vec<StreamEvent>> {
    (prop::collection::vec(block(), 1..5), 0u64..99, 0u64..9, 1u64..99).prop_map(
        |(blocks, input, read, output)| {
            let mut calls = 0;
            let mut all: Vec<StreamEvent> = Vec::new();
            for block in blocks {
                let is_call = matches!(block.first(), Some(StreamEvent::ToolStart { .. }));
                for mut event in block {
                    if let StreamEvent::ToolStart { index, id, .. } = &mut event {
                        *index = calls;
                        id.push_str(&calls.to_string());
                    } else if let StreamEvent::ToolArguments { index, .. } = &mut event {
                        *index = calls;
                    }
                    all.push(event);
                }
                calls += u32::from(is_call);
            }
            all.insert(0, StreamEvent::Text("Hi".to_owned()));
            let reason = if calls > 0 { StopReason::ToolCalls } else { StopReason::End };
            all.push(StreamEvent::Stop { reason, raw: String::new() });
            all.push(StreamEvent::Usage(Usage::inclusive(input + read, read, 0, output, 0)));
            all.push(StreamEvent::Terminal);
            all
        },
    )
}

type Gist = (String, String, Vec<(String, String)>, Option<StopReason>, Option<Usage>);

/// What an answer says, whatever its dialect calls it.
fn gist(answer: &Answer) -> Gist {
    let call = |block: &Block| match block {
        Block::Call { id, name, arguments, .. } => {
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            Some((format!("{id}/{name}"), arguments.to_string()))
        }
        _ => None,
    };
    let calls = answer.blocks.iter().filter_map(call).collect();
    (answer.text(), answer.reasoning(), calls, answer.stop.as_ref().map(|(reason, _)| *reason), answer.usage)
}

fn read(dialect: Dialect, framing: Framing, bytes: &[u8], cut: usize) -> Answer {
    let mut decoder = Decoder::new(DecodeAs { dialect, framing }, RawMode::Off);
    let mut events = Vec::new();
    bytes.chunks(cut).for_each(|piece| decoder.feed(piece, &mut events));
    decoder.finish(&mut events);
    let mut answer = Answer::new();
    events.iter().for_each(|event| answer.add(event));
    assert_eq!(events.last(), Some(&StreamEvent::Terminal), "{events:?}");
    answer
}

proptest! {
    #[test]
    fn what_a_caller_is_sent_reads_as_what_was_said(events in events(), cut in 1usize..20) {
        let mut said = Answer::new();
        events.iter().for_each(|event| said.add(event));
        for dialect in CALLERS {
            let identity = identity(Dialect::Gemini);
            let mut writer = StreamWriter::new(dialect, &identity, true);
            let mut stream = Vec::new();
            events.iter().for_each(|event| writer.encode(event, &mut stream));
            prop_assert_eq!(gist(&read(dialect, Framing::Sse, &stream, cut)), gist(&said), "{:?} streamed", dialect);

            let whole = encode_answer(dialect, &said, &identity);
            prop_assert_eq!(gist(&read(dialect, Framing::Whole, &whole, cut)), gist(&said), "{:?}", dialect);
        }
    }

    #[test]
    fn no_bytes_make_any_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), json_like in "[\\[\\]{}:,\"a-z0-9 \n]{0,200}") {
        for dialect in UPSTREAMS {
            for framing in [Framing::Whole, Framing::Sse, Framing::AwsEvents, Framing::AwsChunks, Framing::AwsBytes] {
                for input in [bytes.as_slice(), json_like.as_bytes()] {
                    let mut decoder = Decoder::new(DecodeAs { dialect, framing }, RawMode::Off);
                    let mut events = Vec::new();
                    decoder.feed(input, &mut events);
                    decoder.finish(&mut events);
                    prop_assert!(!events.is_empty());
                }
            }
        }
    }
}

#[test]
fn speakers_take_turns() {
    let mut chat = Chat::default();
    chat.speak(Speaker::User, vec![crate::domain::chat::Part::plain(Content::Text("a".to_owned()))]);
    chat.speak(Speaker::User, vec![crate::domain::chat::Part::plain(Content::Text("b".to_owned()))]);

    assert_eq!(chat.turns.len(), 1);
}
