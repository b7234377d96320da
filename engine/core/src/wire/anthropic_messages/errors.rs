//! Errors in this dialect, read from an upstream.

use serde_json::Value;

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::wire::closing::upstream_error;
use crate::wire::loose::text_in;
use crate::wire::openai_chat::{by_status, is_vaguer};
use crate::wire::phrases;

/// What an error body (or an error event inside a 200) means.
#[must_use]
pub fn error_in(status: u16, body: &[u8]) -> UpstreamError {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = value.get("error").filter(|error| error.is_object()).unwrap_or(&value);
    let message = text_in(error, "message").unwrap_or("");
    let code = error.pointer("/details/error_code").and_then(Value::as_str).unwrap_or("");
    let word = text_in(error, "type").unwrap_or("");
    let kind = named(word, code, &message.to_ascii_lowercase())
        .filter(|kind| !is_vaguer(*kind, status))
        .unwrap_or_else(|| if status == 200 { ErrorKind::ServerError } else { by_status(status) });
    let detail =
        if message.is_empty() { format!("status {status} without a message") } else { message.to_owned() };
    upstream_error(kind, Some(status).filter(|status| *status != 200), &detail)
}

fn named(word: &str, code: &str, message: &str) -> Option<ErrorKind> {
    Some(match (word, code) {
        (_, "contract_spend_limit_reached" | "enforced_spend_limit_reached") => ErrorKind::QuotaExhausted,
        ("invalid_request_error", _) if phrases::is_too_long(message) => ErrorKind::ContextLength,
        ("invalid_request_error", _) if phrases::is_unpaid(message) => ErrorKind::QuotaExhausted,
        ("invalid_request_error", _) if phrases::is_filtered(message) => ErrorKind::ContentFiltered,
        ("invalid_request_error", _) if phrases::is_stranger(message) => ErrorKind::Auth,
        ("invalid_request_error" | "request_too_large", _) => ErrorKind::InvalidRequest,
        ("authentication_error" | "permission_error", _) => ErrorKind::Auth,
        ("billing_error", _) => ErrorKind::QuotaExhausted,
        ("not_found_error", _) => ErrorKind::NotFound,
        ("conflict_error", _) => ErrorKind::Conflict,
        ("rate_limit_error", _) => ErrorKind::RateLimited,
        ("timeout_error", _) => ErrorKind::Timeout,
        ("overloaded_error", _) => ErrorKind::Capacity,
        ("api_error", _) => ErrorKind::ServerError,
        _ => return None,
    })
}

/// An error document (or the data of an error event) to a caller of this dialect.
#[must_use]
pub fn error_body(status: u16, kind: ErrorKind, message: &str, hint: &str, request_id: &str) -> Value {
    let id = if request_id.is_empty() { Value::Null } else { Value::from(request_id) };
    serde_json::json!({
        "type": "error",
        "error": {"type": word_of(status, kind), "message": message, "code": kind.as_str(), "hint": hint},
        "request_id": id,
    })
}

/// Our own failures are `api_error`: a caller's client must not take them for its own mistake.
fn word_of(status: u16, kind: ErrorKind) -> &'static str {
    match kind {
        // Only the edge itself answers with these, and then it is about the caller.
        _ if status == 401 => "authentication_error",
        _ if status == 403 => "permission_error",
        _ if status == 404 => "not_found_error",
        _ if status == 413 => "request_too_large",
        ErrorKind::RateLimited | ErrorKind::ProvisionedFull | ErrorKind::QuotaExhausted => "rate_limit_error",
        ErrorKind::Capacity | ErrorKind::CapacityWarming => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::InvalidRequest
        | ErrorKind::Unsupported
        | ErrorKind::ContextLength
        | ErrorKind::ContentFiltered => "invalid_request_error",
        ErrorKind::Conflict => "conflict_error",
        _ => "api_error",
    }
}
