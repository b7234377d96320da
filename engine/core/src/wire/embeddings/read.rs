//! Embeddings answers. `data` (OpenAI), `embeddings` as objects with `values` (Gemini) or by type
//! (Cohere), `predictions` (Vertex), one `embedding` (Titan): all end as the list that OpenAI's
//! callers read.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::stream::{StopReason, StreamEvent};
use crate::wire::closing::Sink;
use crate::wire::loose::{self, count_at};
use crate::wire::openai_chat::error_in;
use crate::wire::reader::{Reader, Shown};

/// The vectors stay text: nobody here looks inside them.
#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default, deserialize_with = "loose::string")]
    model: Option<String>,
    #[serde(default)]
    usage: Value,
}

/// Reads one answer.
#[derive(Debug, Default)]
pub(crate) struct VectorsReader;

impl Reader for VectorsReader {
    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        if let Ok(listed) = serde_json::from_slice::<Listed<'_>>(body)
            && listed.data.get().starts_with('[')
        {
            sink.say(StreamEvent::Start { id: None, model: listed.model });
            return end(listed.data.get().to_owned(), count_at(&listed.usage, "/prompt_tokens"), sink);
        }
        let Some(answer) = sink.answer_json(body) else {
            return;
        };
        let Some(vectors) = vectors(&answer) else {
            let failed = ["error", "message", "detail"].iter().any(|name| answer.get(*name).is_some());
            return if failed {
                sink.error(error_in(200, body));
            } else {
                sink.fail(ErrorKind::MalformedOutput, "the answer holds no embeddings");
            };
        };
        let list = |(index, vector): (usize, &Value)| json!({"object": "embedding", "index": index, "embedding": vector});
        let data: Vec<Value> = vectors.into_iter().enumerate().map(list).collect();
        let counted =
            ["/meta/billed_units/input_tokens", "/usageMetadata/promptTokenCount", "/inputTextTokenCount"];
        let input = counted.iter().find_map(|place| count_at(&answer, place)).or_else(|| predicted(&answer));
        sink.say(StreamEvent::Start { id: None, model: None });
        end(Value::Array(data).to_string(), input, sink);
    }

    fn event(&mut self, _name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        sink.error(error_in(200, data)); // nobody streams vectors
        Shown::Unusable
    }
}

fn end(vectors: String, input: Option<u64>, sink: &mut Sink<'_>) {
    sink.say(StreamEvent::Vectors(vectors));
    if let Some(input) = input {
        sink.say(StreamEvent::Usage(Usage::inclusive(input, 0, 0, 0, 0)));
    }
    sink.say(StreamEvent::Stop { reason: StopReason::End, raw: "stop".to_owned() });
    sink.say(StreamEvent::Terminal);
}

fn vectors(answer: &Value) -> Option<Vec<&Value>> {
    let lists = ["/embeddings/float", "/embeddings"];
    let list = lists.iter().find_map(|place| answer.pointer(place).and_then(Value::as_array));
    if let Some(list) = list {
        return Some(list.iter().map(|one| one.get("values").unwrap_or(one)).collect());
    }
    if let Some(predictions) = answer.get("predictions").and_then(Value::as_array) {
        return predictions.iter().map(|one| one.pointer("/embeddings/values")).collect();
    }
    let one = answer.get("embedding").map(|one| one.get("values").unwrap_or(one));
    one.filter(|one| one.is_array()).map(|one| vec![one])
}

/// What each prediction counted, together.
fn predicted(answer: &Value) -> Option<u64> {
    let predictions = answer.get("predictions").and_then(Value::as_array)?;
    predictions.iter().map(|one| count_at(one, "/embeddings/statistics/token_count")).sum()
}

#[cfg(test)]
mod tests {
    use crate::domain::answer::Answer;
    use crate::domain::snapshot::Dialect;
    use crate::wire::{DecodeAs, Decoder, Framing, RawMode};

    fn read(dialect: Dialect, body: &str) -> (Answer, Vec<u8>, bool) {
        let mut decoder = Decoder::new(DecodeAs { dialect, framing: Framing::Whole }, RawMode::Off);
        let (mut events, mut answer) = (Vec::new(), Answer::new());
        body.as_bytes().chunks(7).for_each(|piece| decoder.feed(piece, &mut events));
        decoder.finish(&mut events);
        events.iter().for_each(|event| answer.add(event));
        let whole = events.contains(&crate::domain::stream::StreamEvent::Terminal);
        (answer.clone(), super::super::encode_answer(&answer, "m"), whole)
    }

    #[test]
    fn every_form_becomes_the_list_that_callers_read() {
        for (dialect, body, input) in [
            (
                Dialect::OpenaiEmbeddings,
                r#"{"object":"list","data":[{"index":0,"embedding":[0.5,1]}],"usage":{"prompt_tokens":3}}"#,
                3,
            ),
            (Dialect::GeminiEmbeddings, r#"{"embeddings":[{"values":[0.5,1]}]}"#, 0),
            (
                Dialect::CohereEmbeddings,
                r#"{"embeddings":{"float":[[0.5,1]]},"meta":{"billed_units":{"input_tokens":3}}}"#,
                3,
            ),
            (Dialect::CohereEmbeddings, r#"{"embeddings":[[0.5,1]],"response_type":"embeddings_floats"}"#, 0),
            (
                Dialect::VertexEmbeddings,
                r#"{"predictions":[{"embeddings":{"values":[0.5,1],"statistics":{"token_count":3}}}]}"#,
                3,
            ),
            (Dialect::TitanEmbeddings, r#"{"embedding":[0.5,1],"inputTextTokenCount":3}"#, 3),
        ] {
            let (_, document, whole) = read(dialect, body);
            let document: serde_json::Value = serde_json::from_slice(&document).unwrap();

            assert!(whole, "{dialect:?}");
            assert_eq!(document["data"][0]["embedding"], serde_json::json!([0.5, 1]), "{dialect:?}");
            assert_eq!(document["data"][0]["index"], 0);
            assert_eq!(document["usage"]["prompt_tokens"], input);
        }
    }

    #[test]
    fn an_answer_without_vectors_is_an_error() {
        for body in [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"error":{"message":"no"}}"#,
            r#"{"data":null}"#,
            r#"{"predictions":[{}]}"#,
        ] {
            let (_, _, whole) = read(Dialect::OpenaiEmbeddings, body);
            assert!(!whole, "{body}");
        }
    }
}
