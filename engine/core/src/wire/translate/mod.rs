//! Between dialects: one canonical conversation in, one body out. What a dialect or a model
//! cannot carry is refused where leaving it out would change the meaning, and else named in the
//! warnings, which the caller sees.

mod allowance;
mod citations;
mod gate;
mod inbound;
mod outbound;
mod system;

pub use allowance::allowance_fields;
pub use citations::{EARLIER_CITATIONS, untold_citations};
pub use gate::{Gate, budget_of, effort_of};
pub(crate) use inbound::check;
pub use inbound::{
    Said, StreamWriter, answer_id, check_limit, dialect_of_route, encode_answer, encode_error,
    encode_error_event, error_status, opt_in_header, opt_ins,
};
pub use outbound::{Place, conversation, outbound};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::chat::Source;
use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::domain::snapshot::Dialect;
use crate::wire::closing::upstream_error;

/// A body for an upstream, and what it could not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub body: Vec<u8>,
    pub warnings: Vec<String>,
}

/// What has no form at an endpoint, where leaving it out would change the meaning of the request.
#[must_use]
pub fn refused(detail: &str) -> UpstreamError {
    upstream_error(ErrorKind::Unsupported, None, detail)
}

/// What no endpoint could read.
#[must_use]
pub fn malformed(detail: &str) -> UpstreamError {
    upstream_error(ErrorKind::InvalidRequest, None, detail)
}

/// A call's arguments; nothing reads as no arguments.
///
/// # Errors
/// They are not JSON.
pub fn arguments(text: &str) -> Result<Value, UpstreamError> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_str(text)
        .map_err(|error| malformed(&format!("tool_calls: the arguments are not JSON: {error}")))
}

/// A `data:` URL as what it holds; any other as an address.
#[must_use]
pub fn data_url(url: &str) -> Source {
    let parsed = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match parsed {
        Some((media_type, data)) => {
            Source::Inline { media_type: media_type.to_owned(), data: data.to_owned() }
        }
        None => Source::Url(url.to_owned()),
    }
}

/// A plain text as a document.
#[must_use]
pub fn inline_text(words: &str) -> Source {
    let data = base64_simd::STANDARD.encode_to_string(words.as_bytes());
    Source::Inline { media_type: "text/plain".to_owned(), data }
}

/// The words of a document of plain text, which not every dialect takes as a document.
#[must_use]
pub fn words_of(source: &Source) -> Option<String> {
    let Source::Inline { media_type, data } = source else {
        return None;
    };
    let bytes =
        media_type.starts_with("text/plain").then(|| base64_simd::STANDARD.decode_to_vec(data.as_bytes()))?;
    String::from_utf8(bytes.ok()?).ok()
}

/// The address of a source, with inline data as a `data:` URL.
#[must_use]
pub fn as_url(source: &Source) -> String {
    match source {
        Source::Inline { media_type, data } => format!("data:{media_type};base64,{data}"),
        Source::Url(url) => url.clone(),
    }
}

/// Writes a field that was asked for.
pub fn put<T: Serialize>(body: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        // Strings, numbers and JSON are all that bodies hold: writing them to memory cannot fail.
        body.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
    }
}

/// How reasoning of another dialect's author is marked while a caller holds it.
const SEAL: &str = "crossfade1.";

/// Reasoning data for a caller of another dialect, marked with the dialect of its author.
#[must_use]
pub fn seal(origin: Dialect, data: &str) -> String {
    if origin == Dialect::AnthropicMessages {
        return data.to_owned();
    }
    let name = serde_json::to_value(origin).unwrap_or(Value::Null);
    format!("{SEAL}{}.{data}", name.as_str().unwrap_or("unknown"))
}

/// What [`seal`] marked, with its author's dialect; unmarked data is of the Messages dialect.
#[must_use]
pub fn unseal(data: &str) -> (Dialect, String) {
    let marked = data.strip_prefix(SEAL).and_then(|rest| rest.split_once('.'));
    let known = marked.and_then(|(name, inner)| {
        serde_json::from_value::<Dialect>(Value::from(name)).ok().map(|origin| (origin, inner.to_owned()))
    });
    known.unwrap_or_else(|| (Dialect::AnthropicMessages, data.to_owned()))
}

#[cfg(test)]
mod tests;
