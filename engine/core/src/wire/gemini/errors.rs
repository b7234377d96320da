//! Google's error envelope: a status word, a message, and details that say what the word means.

use serde_json::Value;

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::wire::closing::upstream_error;
use crate::wire::loose::{count_at, items, text_in};
use crate::wire::openai_chat::by_status;
use crate::wire::phrases;

/// What an error document means; 200 for one inside an answer. It may be wrapped in an array.
#[must_use]
pub fn error_in(status: u16, document: &Value) -> UpstreamError {
    let document = document.get(0).unwrap_or(document);
    let error = document.get("error").filter(|error| error.is_object()).unwrap_or(document);
    let code = count_at(error, "/code").and_then(|code| u16::try_from(code).ok());
    let status = if status == 200 { code.unwrap_or(500) } else { status };
    let message = text_in(error, "message").unwrap_or("");
    let kind = kind_of(status, text_in(error, "status").unwrap_or(""), &message.to_ascii_lowercase(), error);
    let detail =
        if message.is_empty() { format!("status {status} without a message") } else { message.to_owned() };
    let mut error_value = upstream_error(kind, Some(status), &detail);
    error_value.pushback_ms = retry_delay_ms(document);
    error_value
}

fn kind_of(status: u16, word: &str, message: &str, error: &Value) -> ErrorKind {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match word {
        "RESOURCE_EXHAUSTED" => exhausted(message, error),
        "INVALID_ARGUMENT" if has_reason(error, "API_KEY_INVALID") => ErrorKind::Auth,
        "INVALID_ARGUMENT" if phrases::is_too_long(message) => ErrorKind::ContextLength,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => ErrorKind::InvalidRequest,
        "FAILED_PRECONDITION" if says(&["billing"]) => ErrorKind::QuotaExhausted,
        "FAILED_PRECONDITION" => ErrorKind::Config,
        "UNAUTHENTICATED" | "PERMISSION_DENIED" => ErrorKind::Auth,
        "NOT_FOUND" => ErrorKind::NotFound,
        "CANCELLED" => ErrorKind::ClientCancelled,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" => ErrorKind::ServerError,
        "UNAVAILABLE" => ErrorKind::Capacity,
        "DEADLINE_EXCEEDED" => ErrorKind::Timeout,
        "ABORTED" | "ALREADY_EXISTS" => ErrorKind::Conflict,
        _ if status == 429 => exhausted(message, error),
        _ => by_status(status),
    }
}

/// The four meanings of "exhausted".
fn exhausted(message: &str, error: &Value) -> ErrorKind {
    let per_day = items(error, "details")
        .flat_map(|detail| items(detail, "violations"))
        .filter_map(|violation| text_in(violation, "quotaId"))
        .any(|id| id.contains("PerDay"));
    if per_day {
        ErrorKind::QuotaExhausted
    } else if message.contains("provisioned throughput") {
        ErrorKind::ProvisionedFull
    } else if message.contains("resource exhausted") || message.contains("resource has been exhausted") {
        ErrorKind::Capacity
    } else {
        ErrorKind::RateLimited
    }
}

fn has_reason(error: &Value, reason: &str) -> bool {
    items(error, "details").any(|detail| text_in(detail, "reason") == Some(reason))
}

/// `RetryInfo.retryDelay` (a duration such as `14s` or `0.5s`) in milliseconds.
#[must_use]
pub fn retry_delay_ms(document: &Value) -> Option<u64> {
    let document = document.get(0).unwrap_or(document);
    let error = document.get("error").unwrap_or(document);
    let delay = items(error, "details").find_map(|detail| text_in(detail, "retryDelay"))?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    crate::wire::loose::as_count(&Value::from((seconds * 1000.0).ceil()))
}
