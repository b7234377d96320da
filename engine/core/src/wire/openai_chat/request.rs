//! A caller's body: checked as far as routing needs it, otherwise left as it came.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::prompt::PromptSize;
use crate::domain::request::{ChatRequest, Member, Needs, Sent};
use crate::domain::snapshot::Dialect;
use crate::wire::shape::rules::Mistake;
use crate::wire::shape::{self, Limits, ShapeError};
use crate::wire::steering::steering_field;
use crate::wire::translate::check;
use crate::wire::{loose, prompt};

/// What is wrong with a body, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("{0}")]
    Shape(#[from] ShapeError),
    #[error("{place}: {problem}")]
    Wrong { place: String, problem: String },
}

impl RequestError {
    fn wrong(place: &str, problem: &str) -> Self {
        Self::Wrong { place: place.to_owned(), problem: problem.to_owned() }
    }
}

impl From<Mistake> for RequestError {
    fn from(Mistake { place, problem }: Mistake) -> Self {
        Self::Wrong { place, problem }
    }
}

/// Reads a body of `dialect` within `limits`.
///
/// # Errors
/// Not a JSON object, too deep or too large a tree, or a field that is not what the dialect says.
pub fn decode_request(dialect: Dialect, bytes: &Bytes, limits: Limits) -> Result<ChatRequest, RequestError> {
    let members = shape::survey(bytes, limits)?;
    let body: Map<String, Value> =
        loose::json(bytes).map_err(|error| RequestError::NotJson(error.to_string()))?;
    match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => {}
        Some(_) => return Err(RequestError::wrong("model", "must be a string that names a feature")),
        None => return Err(RequestError::wrong("model", "is missing; it names the feature")),
    }
    if let Some(name) = steering_field(&body) {
        let problem = "is not for callers: address, credential and retries follow from the config";
        return Err(RequestError::wrong(name, problem));
    }
    check(dialect, &body)?;
    // A name written twice, or in escapes, is read as the map has it and not as each server may.
    let is_plain = |member: &Member| bytes.get(member.name.clone()).is_some_and(|n| !n.contains(&b'\\'));
    let copyable = members.len() == body.len() && members.iter().all(is_plain);
    let sent = copyable.then(|| Sent { bytes: bytes.clone(), members });
    Ok(ChatRequest { dialect, body, sent, opt_ins: Vec::new() })
}

/// What a request says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
    pub max_output_tokens: Option<u64>,
    pub tools: bool,
    pub user: Option<String>,
    pub prompt: PromptSize,
    pub needs: Needs,
}

/// Names of the limit of an answer's length; the first that is there counts.
const LENGTH_LIMITS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

/// Reads the facts routing needs.
#[must_use]
pub fn facts(request: &ChatRequest) -> Facts {
    let body = &request.body;
    let prompt = prompt::size_of(body);
    let mut facts = Facts {
        model: String::new(),
        stream: false,
        include_usage: false,
        max_output_tokens: None,
        tools: false,
        user: None,
        prompt,
        needs: prompt::needs_of(body, &prompt),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (mut first, mut account) = (LENGTH_LIMITS.len(), None);
    for (name, value) in body {
        match name.as_str() {
            "model" => facts.model = text(value).unwrap_or_default(),
            "stream" => facts.stream = value.as_bool().unwrap_or(false),
            "stream_options" => {
                let usage = value.get("include_usage").and_then(Value::as_bool);
                facts.include_usage = usage.unwrap_or(false);
            }
            "tools" => facts.tools = value.as_array().is_some_and(|tools| !tools.is_empty()),
            "user" => facts.user = text(value),
            "metadata" => account = value.get("user_id").and_then(text),
            name => {
                if let Some(place) =
                    LENGTH_LIMITS.iter().position(|limit| *limit == name).filter(|at| *at < first)
                {
                    (first, facts.max_output_tokens) = (place, value.as_u64());
                }
            }
        }
    }
    facts.user = facts.user.or(account);
    facts
}

/// The body for an upstream of the same dialect: every field as the caller sent it, with the
/// upstream's model, the target's overrides, and usage asked for on streams.
#[must_use]
pub fn encode_request(
    request: &ChatRequest,
    model: Option<&str>,
    set: &Map<String, Value>,
    stream: bool,
) -> Vec<u8> {
    let mut body = Fields::beside(request);
    if let Some(model) = model {
        body.add("model", model);
    }
    body.keep(|name| matches!(name, "model" | "stream" | "stream_options") || set.contains_key(name));
    set.iter().for_each(|(name, value)| body.add(name, value));
    if stream {
        let mut options = match request.body.get("stream_options") {
            Some(Value::Object(options)) => options.clone(),
            _ => Map::new(),
        };
        options.insert("include_usage".to_owned(), Value::Bool(true));
        body.add("stream", &true);
        body.add("stream_options", &options);
    }
    body.whole()
}

/// Writes a JSON object: fields of our own, and the caller's as they came.
pub struct Fields<'a> {
    request: &'a ChatRequest,
    text: Vec<u8>,
}

impl<'a> Fields<'a> {
    /// An empty object for `request`'s upstream.
    #[must_use]
    pub fn beside(request: &'a ChatRequest) -> Self {
        let size = request.sent.as_ref().map_or(0, |sent| sent.bytes.len()) + OWN_BYTES;
        let mut text = Vec::with_capacity(size);
        text.push(b'{');
        Self { request, text }
    }

    /// Adds a field of our own.
    pub fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        // Writing JSON values to memory cannot fail; if it could, the upstream would refuse the body.
        let _ = serde_json::to_writer(&mut self.text, value);
    }

    /// Adds the caller's fields but those that `skip` names: their own bytes, where there are any.
    pub fn keep(&mut self, skip: impl Fn(&str) -> bool) {
        let request = self.request;
        if let Some(sent) = &request.sent {
            for (name, value) in sent.fields().filter(|(name, _)| !skip(name)) {
                self.name(name);
                self.text.extend_from_slice(value);
            }
        } else {
            request.body.iter().filter(|(name, _)| !skip(name)).for_each(|(n, value)| self.add(n, value));
        }
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        let _ = serde_json::to_writer(&mut self.text, name);
        self.text.push(b':');
    }

    /// The object.
    #[must_use]
    pub fn whole(mut self) -> Vec<u8> {
        self.text.push(b'}');
        self.text
    }
}

/// Room for the fields we add.
const OWN_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(body: &str, limits: Limits) -> Result<ChatRequest, RequestError> {
        decode_request(Dialect::OpenaiChat, &Bytes::copy_from_slice(body.as_bytes()), limits)
    }

    const LIMITS: Limits = Limits { depth: 64, values: 100_000 };

    #[test]
    fn unknown_fields_stay_and_ours_are_replaced() {
        let body = r#"{"model":"recap","messages":[{"role":"user","content":"hi"}],"logit_bias":{"1":2},"temperature":1}"#;
        let request = decode(body, LIMITS).unwrap();
        let set = json!({"temperature": 0.2});
        let sent = encode_request(&request, Some("gpt-x"), set.as_object().unwrap(), true);
        let sent: Value = serde_json::from_slice(&sent).unwrap();

        assert_eq!(sent["model"], "gpt-x");
        assert_eq!(sent["temperature"], 0.2);
        assert_eq!(sent["logit_bias"]["1"], 2);
        assert_eq!(sent["stream_options"]["include_usage"], true);
    }

    #[test]
    fn what_the_caller_wrote_is_not_written_anew() {
        let messages = r#"[ {"role" : "user", "content" : "\u00e9 \/ 1" } ]"#;
        let body = format!(r#"{{"model": "recap", "messages": {messages}, "temperature": 1.0e0}}"#);
        let sent = encode_request(&decode(&body, LIMITS).unwrap(), Some("m"), &Map::new(), false);

        let wanted = format!(r#"{{"model":"m","messages":{messages},"temperature":1.0e0}}"#);
        assert_eq!(String::from_utf8(sent).unwrap(), wanted);
    }

    #[test]
    fn a_field_written_twice_or_in_escapes_is_sent_as_it_was_checked() {
        let ask = r#""messages":[{"role":"user","content":"checked"}]"#;
        for sneaky in [
            format!(r#"{{"model":"recap","messages":[{{"role":"user","content":"first"}}],{ask}}}"#),
            format!(r#"{{"model":"recap",{ask},"temp\u0065rature":1,"\u006dodel":"other"}}"#),
        ] {
            let request = decode(&sneaky, LIMITS).unwrap();
            let sent = encode_request(&request, Some("m"), &Map::new(), false);
            let sent = String::from_utf8(sent).unwrap();
            let read: Value = serde_json::from_str(&sent).unwrap();

            assert_eq!(read["messages"][0]["content"], "checked");
            assert_eq!(sent.matches("messages").count(), 1, "{sent}");
            assert_eq!(sent.matches("model").count(), 1, "{sent}");
        }
    }

    #[test]
    fn a_deep_body_is_refused_without_recursion() {
        let body = "[".repeat(1_000_000);

        assert_eq!(decode(&body, LIMITS), Err(RequestError::Shape(ShapeError::TooDeep(64))));
    }

    #[test]
    fn brackets_inside_strings_are_not_depth() {
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{}\""}}]}}"#, "[{".repeat(100));

        assert!(decode(&body, Limits { depth: 8, ..LIMITS }).is_ok());
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        for (body, place) in [
            (r#"{"messages":[]}"#, "model"),
            (r#"{"model":1,"messages":[]}"#, "model"),
            (r#"{"model":"m"}"#, "messages"),
            (r#"{"model":"m","messages":"x"}"#, "messages"),
            (r#"{"model":"m","messages":["x"]}"#, "messages"),
            (r#"{"model":"m","messages":[],"stream":"yes"}"#, "stream"),
            ("{nope", "not JSON"),
            ("[]", "not JSON"),
        ] {
            let error = decode(body, LIMITS).unwrap_err().to_string();
            assert!(error.contains(place), "{body}: {error}");
        }
    }
}
