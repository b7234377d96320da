//! Embeddings: OpenAI's form for callers and compatible upstreams, and the forms of the upstreams
//! that have their own. Their answers are one shape under different names, so one reader serves all.

mod read;
mod request;

pub(crate) use read::VectorsReader;
pub(crate) use request::check;
pub use request::encode;

use serde_json::json;

use crate::domain::answer::Answer;

/// A collected answer as an OpenAI document.
#[must_use]
pub fn encode_answer(answer: &Answer, model: &str) -> Vec<u8> {
    let input = answer.usage.map_or(0, |usage| usage.input());
    let usage = json!({"prompt_tokens": input, "total_tokens": input});
    let vectors = answer.vectors.as_deref().unwrap_or("[]");
    format!(r#"{{"object":"list","data":{vectors},"model":{},"usage":{usage}}}"#, json!(model)).into_bytes()
}
