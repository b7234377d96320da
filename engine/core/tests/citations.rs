//! Where an answer's statements come from: read from every provider's form, told in every caller's.

#![expect(clippy::unwrap_used, reason = "a test: the helpers fail it")]

use crossfade_core::domain::answer::Answer;
use crossfade_core::domain::chat::Capabilities;
use crossfade_core::domain::request::ChatRequest;
use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::domain::stream::{Citation, Cited, CitedUnit, StopReason, StreamEvent};
use crossfade_core::wire::openai_responses::Identity;
use crossfade_core::wire::translate::{Place, StreamWriter, encode_answer, outbound, untold_citations};
use crossfade_core::wire::{DecodeAs, Decoder, Framing, RawMode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const CALLERS: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];

fn read(dialect: Dialect, framing: Framing, bytes: &[u8]) -> Answer {
    let mut decoder = Decoder::new(DecodeAs { dialect, framing }, RawMode::Off);
    let mut events = Vec::new();
    bytes.chunks(7).for_each(|piece| decoder.feed(piece, &mut events));
    decoder.finish(&mut events);
    assert_eq!(events.last(), Some(&StreamEvent::Terminal), "{events:?}");
    let mut answer = Answer::new();
    events.iter().for_each(|event| answer.add(event));
    answer
}

fn whole(dialect: Dialect, document: &Value) -> Answer {
    read(dialect, Framing::Whole, document.to_string().as_bytes())
}

fn streamed(dialect: Dialect, events: &[Value]) -> Answer {
    let said: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    read(dialect, Framing::Sse, said.as_bytes())
}

/// The words each citation stands behind, and what it cites.
fn cited(answer: &Answer) -> Vec<(String, Cited)> {
    let words: Vec<char> = answer.text().chars().collect();
    let part = |citation: &Citation| {
        let span = citation.span.clone().unwrap_or(0..0);
        words[usize::try_from(span.start).unwrap()..usize::try_from(span.end).unwrap()].iter().collect()
    };
    answer.citations.iter().map(|citation| (part(citation), citation.source.clone())).collect()
}

fn page(url: &str) -> Cited {
    Cited::Page(url.to_owned())
}

#[test]
fn annotations_of_chat_are_read() {
    let annotation = json!({"type": "url_citation", "url_citation": {
        "start_index": 3, "end_index": 7, "title": "T", "url": "https://a"}});
    let expected = [("Grün".to_owned(), page("https://a"))];
    let answer = whole(
        Dialect::OpenaiChat,
        &json!({"id": "1", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "Ja Grün.", "annotations": [annotation]}}]}),
    );
    assert_eq!(cited(&answer), expected);
    assert_eq!(answer.citations[0].title.as_deref(), Some("T"));

    let delta = |delta: Value| json!({"id": "1", "choices": [{"index": 0, "delta": delta}]});
    let more = |choices: Value| json!({"id": "1", "citations": ["https://b"], "choices": choices});
    let events = [
        delta(json!({"content": "Ja Grün."})),
        delta(json!({"annotations": [annotation]})),
        more(json!([])),
        more(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
    ];
    let mut said: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    said.push_str("data: [DONE]\n\n");
    let answer = read(Dialect::OpenaiChat, Framing::Sse, said.as_bytes());
    assert_eq!(cited(&answer), [expected[0].clone(), (String::new(), page("https://b"))]);
}

#[test]
fn annotations_of_responses_count_from_their_own_part() {
    let url =
        json!({"type": "url_citation", "start_index": 0, "end_index": 4, "title": "T", "url": "https://a"});
    let file = json!({"type": "file_citation", "file_id": "file-1", "filename": "a.txt", "index": 4});
    let message = |text: &str, annotations: &[&Value]| {
        json!({"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": text, "annotations": annotations}]})
    };
    let output = json!([message("One. ", &[]), message("Grün.", &[&url, &file])]);
    let done = json!({"id": "r", "status": "completed", "output": output});
    let expected =
        [("Grün".to_owned(), page("https://a")), (String::new(), Cited::Named("file-1".to_owned()))];
    assert_eq!(cited(&whole(Dialect::OpenaiResponses, &done)), expected);

    let delta = |at: u32, text: &str| json!({"type": "response.output_text.delta", "output_index": at, "content_index": 0, "delta": text});
    let added = |annotation: &Value| {
        json!({"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0,
            "annotation": annotation})
    };
    let events = [
        delta(0, "One. "),
        delta(1, "Grün."),
        added(&url),
        json!({"type": "response.output_item.done", "output_index": 1, "item": output[1]}),
        json!({"type": "response.completed", "response": done}),
    ];
    assert_eq!(cited(&streamed(Dialect::OpenaiResponses, &events)), expected);
}

#[test]
fn a_citation_of_messages_stands_behind_its_block() {
    let place = json!({"type": "char_location", "cited_text": "The grass is green.", "document_index": 1,
        "document_title": "Facts", "start_char_index": 4, "end_char_index": 23});
    let found = Cited::Document { index: 1, unit: CitedUnit::Characters, place: 4..23 };
    let expected = [("it is grün".to_owned(), found)];
    let answer = whole(
        Dialect::AnthropicMessages,
        &json!({"type": "message", "stop_reason": "end_turn", "content": [
        {"type": "text", "text": "I say "}, {"type": "text", "text": "it is grün", "citations": [place]}]}),
    );
    assert_eq!(cited(&answer), expected);
    assert_eq!(answer.citations[0].quote.as_deref(), Some("The grass is green."));

    let start = |at: u32| {
        json!({"type": "content_block_start", "index": at,
            "content_block": {"type": "text", "text": "", "citations": []}})
    };
    let delta = |at: u32, delta: Value| json!({"type": "content_block_delta", "index": at, "delta": delta});
    let events = [
        start(0),
        delta(0, json!({"type": "text_delta", "text": "I say "})),
        json!({"type": "content_block_stop", "index": 0}),
        start(1),
        delta(1, json!({"type": "citations_delta", "citation": place})),
        delta(1, json!({"type": "text_delta", "text": "it is grün"})),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ];
    assert_eq!(cited(&streamed(Dialect::AnthropicMessages, &events)), expected);
}

#[test]
fn a_citation_of_converse_stands_behind_its_block() {
    let citation = json!({"title": "Facts", "sourceContent": [{"text": "It is."}],
        "location": {"documentPage": {"documentIndex": 0, "start": 2, "end": 3}}});
    let found = Cited::Document { index: 0, unit: CitedUnit::Pages, place: 2..3 };
    let expected = [("It is.".to_owned(), found)];
    let answer = whole(
        Dialect::BedrockConverse,
        &json!({"stopReason": "end_turn", "output": {"message": {"content": [
        {"text": "Well. "}, {"citationsContent": {"content": [{"text": "It is."}], "citations": [citation]}}]}}}),
    );
    assert_eq!(cited(&answer), expected);

    // As the same events come through InvokeModel, one document each.
    let event = |name: &str, payload: Value| json!({ name: payload });
    let delta =
        |at: u32, delta: Value| event("contentBlockDelta", json!({"contentBlockIndex": at, "delta": delta}));
    let answer = streamed(
        Dialect::BedrockInvoke,
        &[
            event("messageStart", json!({"role": "assistant"})),
            delta(0, json!({"text": "Well. "})),
            event("contentBlockStop", json!({"contentBlockIndex": 0})),
            delta(1, json!({"text": "It is."})),
            delta(1, json!({"citation": citation})),
            event("contentBlockStop", json!({"contentBlockIndex": 1})),
            event("messageStop", json!({"stopReason": "end_turn"})),
        ],
    );
    assert_eq!(cited(&answer), expected);
}

#[test]
fn grounding_is_told_once_however_often_it_is_said() {
    let grounding = json!({"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 5, "text": "Grün"}, "groundingChunkIndices": [0]}]});
    let chunk = |text: &str, more: Value| {
        let mut candidate = json!({"content": {"parts": [{"text": text}]}});
        candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"candidates": [candidate]})
    };
    let expected = [("Grün".to_owned(), page("https://a"))];
    let events = [
        chunk("Grün ", json!({"groundingMetadata": grounding})),
        chunk("ist es.", json!({"groundingMetadata": grounding, "finishReason": "STOP"})),
    ];
    assert_eq!(cited(&streamed(Dialect::Gemini, &events)), expected);
    let one = chunk("Grün ist es.", json!({"groundingMetadata": grounding, "finishReason": "STOP"}));
    assert_eq!(cited(&whole(Dialect::Gemini, &one)), expected);

    let recited = json!({"citations": [{"startIndex": 0, "endIndex": 4, "uri": "https://b"}]});
    let one = chunk("Rot.", json!({"citationMetadata": recited, "finishReason": "STOP"}));
    assert_eq!(cited(&whole(Dialect::Gemini, &one)), [("Rot.".to_owned(), page("https://b"))]);
}

#[test]
fn a_citation_of_cohere_names_all_its_sources() {
    let citation = json!({"start": 3, "end": 7, "text": "Grün", "content_index": 1, "sources": [
        {"type": "document", "id": "doc:0", "document": {"id": "doc:0", "title": "facts.txt", "text": "It is."}},
        {"type": "tool", "id": "look:0", "tool_output": {"content": "green"}}]});
    let expected = [
        ("Grün".to_owned(), Cited::Named("doc:0".to_owned())),
        ("Grün".to_owned(), Cited::Result("look:0".to_owned())),
    ];
    let answer = whole(
        Dialect::CohereChat,
        &json!({"id": "1", "finish_reason": "COMPLETE", "message": {
        "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Ja Grün."}], "citations": [citation]}}),
    );
    assert_eq!(cited(&answer), expected);
    assert_eq!(answer.citations[0].title.as_deref(), Some("facts.txt"));

    let message = |kind: &str, index: u32, message: Value| json!({"type": kind, "index": index, "delta": {"message": message}});
    let events = [
        json!({"type": "message-start", "id": "1"}),
        message("content-start", 0, json!({"content": {"type": "thinking", "thinking": "Hm"}})),
        message("content-start", 1, json!({"content": {"type": "text", "text": ""}})),
        message("content-delta", 1, json!({"content": {"text": "Ja Grün."}})),
        message("citation-start", 0, json!({"citations": citation})),
        json!({"type": "citation-end", "index": 0}),
        json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    ];
    assert_eq!(cited(&streamed(Dialect::CohereChat, &events)), expected);
}

fn identity() -> Identity {
    Identity { id: "x1".to_owned(), created: 1, model: "m".to_owned(), origin: Dialect::Gemini }
}

/// What a caller's stream holds after these events.
fn told(caller: Dialect, events: &[StreamEvent]) -> Vec<u8> {
    let mut writer = StreamWriter::new(caller, &identity(), false);
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.encode(event, &mut out));
    out
}

fn from_page(url: &str, span: std::ops::Range<u64>) -> StreamEvent {
    let title = Some("T".to_owned());
    StreamEvent::Citation(Box::new(Citation { span: Some(span), source: page(url), title, quote: None }))
}

fn end() -> [StreamEvent; 2] {
    [StreamEvent::Stop { reason: StopReason::End, raw: String::new() }, StreamEvent::Terminal]
}

/// Sentences, each cited by its own page or not at all, with a call between two of them.
fn sentences() -> impl Strategy<Value = Vec<StreamEvent>> {
    let sentence = ("[a-zäß€ ]{1,9}\\.", any::<bool>(), any::<bool>());
    prop::collection::vec(sentence, 1..6).prop_map(|sentences| {
        let mut events = Vec::new();
        let mut at = 0u64;
        for (number, (words, is_cited, calls)) in (0u32..).zip(sentences) {
            let start = at;
            at += words.chars().count() as u64;
            events.push(StreamEvent::Text(words));
            if is_cited {
                events.push(from_page(&format!("https://{number}"), start..at));
            }
            if calls {
                let (index, id) = (number, format!("c{number}"));
                events.push(StreamEvent::ToolStart { index, id, name: "f".to_owned() });
                events.push(StreamEvent::ToolArguments { index, fragment: "{}".to_owned() });
            }
        }
        events.extend(end());
        events
    })
}

proptest! {
    #[test]
    fn a_caller_reads_what_was_cited(events in sentences()) {
        let mut said = Answer::new();
        events.iter().for_each(|event| said.add(event));
        let gist = |answer: &Answer| -> Vec<(String, Option<String>)> {
            let words = cited(answer);
            words.into_iter().map(|(words, source)| (words, source.url().map(str::to_owned))).collect()
        };
        for caller in CALLERS {
            let document = encode_answer(caller, &said, &identity());
            prop_assert_eq!(gist(&read(caller, Framing::Whole, &document)), gist(&said), "{:?}", caller);

            let heard = read(caller, Framing::Sse, &told(caller, &events));
            prop_assert_eq!(heard.text(), said.text());
            let (heard, said) = (gist(&heard), gist(&said));
            if caller == Dialect::AnthropicMessages {
                // A block that has been sent cannot be cut: its beginning is cited as well.
                prop_assert_eq!(heard.len(), said.len());
                for (heard, said) in heard.iter().zip(&said) {
                    prop_assert!(heard.0.ends_with(&said.0) && heard.1 == said.1, "{heard:?} {said:?}");
                }
            } else {
                prop_assert_eq!(heard, said, "{:?} streamed", caller);
            }
        }
    }
}

#[test]
fn a_source_without_a_form_is_left_out_and_said() {
    let source = Cited::Result("look:0".to_owned());
    let citation = Citation { span: Some(0..2), source, title: None, quote: None };
    let mut events = vec![StreamEvent::Text("Ja.".to_owned()), StreamEvent::Citation(Box::new(citation))];
    events.extend(end());
    let mut answer = Answer::new();
    events.iter().for_each(|event| answer.add(event));
    for caller in CALLERS {
        let warning = untold_citations(caller, &answer).unwrap();
        assert_eq!(warning, "1 citation has no form in this dialect and was left out");
        let stream = String::from_utf8(told(caller, &events)).unwrap();
        assert!(stream.contains(&format!(": x-crossfade-warnings: {warning}\n\n")), "{stream}");
        assert_eq!(read(caller, Framing::Sse, stream.as_bytes()).text(), "Ja.");
    }
}

#[test]
fn documents_are_cited_where_the_upstream_can_and_else_the_caller_hears_of_it() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": [
            {"type": "document", "title": "Facts", "citations": {"enabled": true},
             "source": {"type": "text", "media_type": "text/plain", "data": "It is green."}},
            {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Green", "citations": [{"type": "char_location"}]}]},
        {"role": "user", "content": "Sure?"}]});
    let request = ChatRequest::made(Dialect::AnthropicMessages, body.as_object().unwrap().clone());
    let sent = |dialect| {
        let place = Place {
            dialect,
            model: "anthropic.claude-haiku-4-5",
            takes: &Capabilities::EVERYTHING,
            named: true,
            limit: "max_tokens",
        };
        let sent = outbound(&request, &Map::new(), place, false).unwrap();
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        (body, sent.warnings)
    };

    let (body, warnings) = sent(Dialect::BedrockConverse);
    let document = body.pointer("/messages/0/content/0/document").unwrap();
    assert_eq!((&document["citations"]["enabled"], &document["format"]), (&json!(true), &json!("txt")));
    assert_eq!(warnings, ["an earlier answer's citation list has no form at this endpoint and was left out"]);

    let (body, warnings) = sent(Dialect::OpenaiChat);
    assert!(body.to_string().contains("It is green."), "{body}");
    assert!(warnings.iter().any(|warning| warning.starts_with("citations of documents")), "{warnings:?}");
}
