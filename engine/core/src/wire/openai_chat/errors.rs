//! Errors in this dialect: read from an upstream, written for a caller.

use serde_json::{Value, json};

use crate::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};
use crate::wire::closing::upstream_error;

/// What an error body (or an error object inside a 200) means.
#[must_use]
pub fn error_in(status: u16, body: &[u8]) -> UpstreamError {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(&value);
    let text = |name: &str| match error.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let message = error.as_str().map_or_else(|| text("message"), str::to_owned);
    let (kind_word, code) = (text("type"), text("code"));
    let kind = named(&kind_word, &code, &message.to_ascii_lowercase())
        .unwrap_or_else(|| by_status(code.parse().ok().filter(|_| status == 200).unwrap_or(status)));
    let detail = if message.is_empty() { format!("status {status} without a message") } else { message };
    upstream_error(kind, Some(status), &detail)
}

/// Words decide before the status does: servers agree more on the former.
fn named(kind: &str, code: &str, message: &str) -> Option<ErrorKind> {
    let says = |words: &[&str]| words.iter().any(|word| code == *word || kind == *word);
    if says(&["insufficient_quota", "billing_hard_limit_reached"]) {
        return Some(ErrorKind::QuotaExhausted);
    }
    if says(&["rate_limit_exceeded", "rate_limit_error", "too_many_requests", "requests", "tokens"]) {
        return Some(ErrorKind::RateLimited);
    }
    if says(&["context_length_exceeded"]) || message.contains("maximum context length") {
        return Some(ErrorKind::ContextLength);
    }
    if says(&["content_filter", "content_policy_violation"]) {
        return Some(ErrorKind::ContentFiltered);
    }
    if says(&["model_not_found"]) {
        return Some(ErrorKind::NotFound);
    }
    if says(&["invalid_api_key", "authentication_error", "permission_error"]) {
        return Some(ErrorKind::Auth);
    }
    if says(&["server_is_overloaded", "overloaded", "overloaded_error"]) {
        return Some(ErrorKind::Capacity);
    }
    if says(&["server_error", "internal_error", "InternalServerError"]) {
        return Some(ErrorKind::ServerError);
    }
    says(&["BadRequestError", "invalid_request_error"]).then_some(ErrorKind::InvalidRequest)
}

/// What a bare status means, at any provider.
#[must_use]
pub fn by_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Auth,
        402 => ErrorKind::QuotaExhausted,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        499 => ErrorKind::ClientCancelled,
        503 | 529 => ErrorKind::Capacity,
        400 | 413 | 415 | 422 => ErrorKind::InvalidRequest,
        _ => ErrorKind::ServerError,
    }
}

/// `(status, body)` of an error to a caller.
#[must_use]
pub fn encode_error(kind: ErrorKind, message: &str, hint: &str, request_id: &str) -> (u16, Vec<u8>) {
    (status_of(kind), body(kind, message, hint, request_id).to_string().into_bytes())
}

/// An error event in a stream. No closing marker follows: the answer is not finished.
#[must_use]
pub fn encode_error_event(kind: ErrorKind, message: &str, hint: &str, request_id: &str) -> Vec<u8> {
    format!("data: {}\n\n", body(kind, message, hint, request_id)).into_bytes()
}

fn body(kind: ErrorKind, message: &str, hint: &str, request_id: &str) -> Value {
    json!({"error": {
        "message": message,
        "type": error_type(kind),
        "param": null,
        "code": kind.as_str(),
        "hint": hint,
        "request_id": if request_id.is_empty() { Value::Null } else { json!(request_id) },
    }})
}

fn error_type(kind: ErrorKind) -> &'static str {
    match kind.class() {
        OutcomeClass::Overload => "rate_limit_error",
        OutcomeClass::Caller => "invalid_request_error",
        OutcomeClass::Config => "authentication_error",
        OutcomeClass::Hard | OutcomeClass::Ok | OutcomeClass::Cancelled => "server_error",
    }
}

/// Our own failures are 5xx: a caller's client must not take them for its own mistake.
fn status_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::RateLimited | ErrorKind::ProvisionedFull | ErrorKind::QuotaExhausted => 429,
        ErrorKind::Capacity | ErrorKind::CapacityWarming => 503,
        ErrorKind::Timeout => 504,
        ErrorKind::InvalidRequest | ErrorKind::ContextLength | ErrorKind::ContentFiltered => 400,
        ErrorKind::Conflict => 409,
        ErrorKind::ClientCancelled => 499,
        ErrorKind::Connection
        | ErrorKind::ServerError
        | ErrorKind::StreamInterrupted
        | ErrorKind::EmptyResponse
        | ErrorKind::MalformedOutput
        | ErrorKind::Auth
        | ErrorKind::Config
        | ErrorKind::NotFound => 502,
    }
}
