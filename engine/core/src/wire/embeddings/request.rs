//! A caller's embeddings body, and the same for an upstream with a form of its own.

use serde_json::{Map, Value, json};

use crate::domain::outcome::UpstreamError;
use crate::domain::request::ChatRequest;
use crate::domain::snapshot::Dialect;
use crate::wire::shape::rules::{LARGEST_COUNT, Mistake, Rule, follow};
use crate::wire::translate::{Encoded, Place, put, refused};

/// Fields that are carried, or that clients of the dialect read answers without.
const CARRIED: [&str; 6] = ["model", "input", "dimensions", "encoding_format", "user", "input_type"];

/// Refuses the first field that is not what the dialect says.
pub(crate) fn check(body: &Map<String, Value>) -> Result<(), Mistake> {
    let one = |item: &Value| match item {
        Value::String(_) => true,
        Value::Array(tokens) => !tokens.is_empty() && tokens.iter().all(Value::is_u64),
        _ => false,
    };
    let good = match body.get("input") {
        None => return Err(Mistake::at("input", "is missing")),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) if items.is_empty() => false,
        Some(Value::Array(items)) => items.iter().all(one) || items.iter().all(Value::is_u64),
        Some(_) => false,
    };
    if !good {
        let problem = "must be a text, or a list of texts or of token lists, and not empty";
        return Err(Mistake::at("input", problem));
    }
    follow(body, RULES)
}

const RULES: &[(&str, Rule)] = &[
    ("dimensions", Rule::Whole(1.0, LARGEST_COUNT)),
    ("encoding_format", Rule::Special(encoding)),
    ("user", Rule::Text),
    ("stream", Rule::Special(stream)),
];

fn encoding(word: &Value) -> Option<&'static str> {
    (!matches!(word.as_str(), Some("float" | "base64"))).then_some("must be float or base64")
}

fn stream(flag: &Value) -> Option<&'static str> {
    (*flag != Value::Bool(false)).then_some("is not for embeddings")
}

/// The body for an upstream with a form of its own; `set` are the target's overrides.
///
/// # Errors
/// `InvalidRequest` for tokens at an upstream that takes texts.
pub fn encode(
    request: &ChatRequest,
    set: &Map<String, Value>,
    place: Place<'_>,
) -> Result<Encoded, UpstreamError> {
    let (body, mut warnings) = (&request.body, Vec::new());
    for name in body.keys() {
        if !CARRIED.contains(&name.as_str()) {
            warnings.push(format!("{name} has no form at this endpoint and was left out"));
        }
    }
    let texts = texts(body)?;
    let size = set.get("dimensions").or_else(|| body.get("dimensions")).filter(|size| !size.is_null());
    let purpose = set.get("input_type").or_else(|| body.get("input_type"));
    let mut made = Map::new();
    match place.dialect {
        Dialect::GeminiEmbeddings => {
            let one = |text: &&str| {
                let mut one = Map::new();
                put(&mut one, "model", Some(format!("models/{}", place.model.trim_start_matches("models/"))));
                put(&mut one, "content", Some(json!({"parts": [{"text": text}]})));
                put(&mut one, "outputDimensionality", size);
                put(&mut one, "taskType", purpose);
                Value::Object(one)
            };
            put(&mut made, "requests", Some(texts.iter().map(one).collect::<Vec<_>>()));
        }
        Dialect::VertexEmbeddings => {
            let one = |text: &&str| {
                let mut one = Map::new();
                put(&mut one, "content", Some(text));
                put(&mut one, "task_type", purpose);
                Value::Object(one)
            };
            put(&mut made, "instances", Some(texts.iter().map(one).collect::<Vec<_>>()));
            put(&mut made, "parameters", size.map(|size| json!({"outputDimensionality": size})));
        }
        Dialect::TitanEmbeddings => {
            let [text] = texts.as_slice() else {
                return Err(refused(
                    "input: this endpoint embeds one text a call (hint: send them one by one)",
                ));
            };
            put(&mut made, "inputText", Some(text));
            put(&mut made, "dimensions", size);
        }
        _ => {
            put(&mut made, "model", Some(place.model).filter(|_| place.named));
            put(&mut made, "texts", Some(&texts));
            // The service wants a purpose; documents are what most texts are embedded as.
            put(&mut made, "input_type", Some(purpose.unwrap_or(&json!("search_document"))));
            put(&mut made, "embedding_types", Some(["float"]));
            put(&mut made, "output_dimension", size);
        }
    }
    Ok(Encoded { body: Value::Object(made).to_string().into_bytes(), warnings })
}

fn texts(body: &Map<String, Value>) -> Result<Vec<&str>, UpstreamError> {
    let tokens = || refused("input: tokens are known to their own model only (hint: send texts)");
    match body.get("input") {
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().ok_or_else(tokens)).collect(),
        _ => Err(tokens()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Capabilities;

    fn sent(dialect: Dialect, body: Value, set: &Value) -> Result<Encoded, UpstreamError> {
        let Value::Object(body) = body else { panic!("a body is an object") };
        let request = ChatRequest::made(Dialect::OpenaiEmbeddings, body);
        let place = Place { dialect, model: "m", takes: &Capabilities::EVERYTHING, named: true, limit: "" };
        encode(&request, set.as_object().unwrap(), place)
    }

    #[test]
    fn texts_take_the_form_of_their_upstream() {
        let body =
            || json!({"model": "f", "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64"});
        let set = json!({"input_type": "search_query"});
        let gemini = sent(Dialect::GeminiEmbeddings, body(), &json!({})).unwrap();
        let gemini: Value = serde_json::from_slice(&gemini.body).unwrap();
        let cohere = sent(Dialect::CohereEmbeddings, body(), &set).unwrap();
        let cohere: Value = serde_json::from_slice(&cohere.body).unwrap();

        assert_eq!(gemini["requests"][1]["content"]["parts"][0]["text"], "b");
        assert_eq!(gemini["requests"][1]["model"], "models/m");
        assert_eq!(gemini["requests"][0]["outputDimensionality"], 8);
        assert_eq!(cohere["texts"], json!(["a", "b"]));
        assert_eq!(cohere["input_type"], "search_query");
        assert_eq!(cohere["output_dimension"], 8);
    }

    #[test]
    fn the_clouds_that_host_others_models_have_forms_of_their_own() {
        let both = || json!({"model": "f", "input": ["a", "b"], "dimensions": 8});
        let vertex =
            sent(Dialect::VertexEmbeddings, both(), &json!({"input_type": "RETRIEVAL_QUERY"})).unwrap();
        let vertex: Value = serde_json::from_slice(&vertex.body).unwrap();
        let one = json!({"model": "f", "input": "a", "dimensions": 256});
        let titan: Value =
            serde_json::from_slice(&sent(Dialect::TitanEmbeddings, one, &json!({})).unwrap().body).unwrap();

        assert_eq!(vertex["instances"][1], json!({"content": "b", "task_type": "RETRIEVAL_QUERY"}));
        assert_eq!(vertex["parameters"], json!({"outputDimensionality": 8}));
        assert_eq!(titan, json!({"inputText": "a", "dimensions": 256}));
        assert!(sent(Dialect::TitanEmbeddings, both(), &json!({})).is_err());
    }

    #[test]
    fn what_has_no_form_is_named_or_refused() {
        let odd = json!({"model": "f", "input": "a", "truncate": "END"});
        let tokens = json!({"model": "f", "input": [1, 2]});

        assert_eq!(sent(Dialect::GeminiEmbeddings, odd, &json!({})).unwrap().warnings.len(), 1);
        assert!(sent(Dialect::CohereEmbeddings, tokens, &json!({})).is_err());
    }

    #[test]
    fn an_input_is_texts_or_tokens() {
        for good in [json!("a"), json!(["a", "b"]), json!([1, 2]), json!([[1, 2], [3]])] {
            assert_eq!(check(json!({"input": good}).as_object().unwrap()), Ok(()), "{good}");
        }
        for bad in [json!(""), json!([]), json!([[]]), json!([1.5]), json!({}), json!(null), json!([null])] {
            assert!(check(json!({"input": bad}).as_object().unwrap()).is_err(), "{bad}");
        }
        assert!(check(json!({"input": "a", "stream": true}).as_object().unwrap()).is_err());
    }
}
