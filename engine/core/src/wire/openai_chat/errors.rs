//! Errors in this dialect: read from an upstream, written for a caller.

use serde_json::{Value, json};

use crate::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};
use crate::wire::closing::upstream_error;
use crate::wire::loose::text_in;
use crate::wire::phrases;

/// What an error body (or an error object inside a 200) means. Front doors and compatible servers
/// use several shapes: `{"error": {…}}`, `{"error": "…"}`, `{"message": …}`, `{"detail": …}`.
#[must_use]
pub fn error_in(status: u16, body: &[u8]) -> UpstreamError {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let value = value.get(0).unwrap_or(&value);
    let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    let text = |name: &str| match error.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let message = match error {
        Value::String(message) => message.clone(),
        _ => [text("message"), text("detail")].into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
    };
    let (kind_word, code) = (text("type"), text("code"));
    let inner = error.pointer("/innererror/code").and_then(Value::as_str).unwrap_or("");
    let filtered =
        inner == "ResponsibleAIPolicyViolation" || error.pointer("/metadata/flagged_input").is_some();
    let busy = text_in(value, "error_type") == Some("overloaded");
    let status_said = status_inside(status, error, &code);
    let words = message.to_ascii_lowercase();
    let kind = filtered
        .then_some(ErrorKind::ContentFiltered)
        .or_else(|| named(&kind_word, &code).filter(|kind| !is_vaguer(*kind, status_said)))
        .or_else(|| busy.then_some(ErrorKind::Capacity))
        .unwrap_or_else(|| if status_said == 503 { unavailable(&words) } else { by_status(status_said) });
    let kind = refined(kind, &words, &[&kind_word, &code]);
    let detail = if message.is_empty() { format!("status {status} without a message") } else { message };
    upstream_error(kind, Some(status), &detail)
}

/// The status an error inside a 200 names for itself: a code that is a number, or a field.
fn status_inside(status: u16, error: &Value, code: &str) -> u16 {
    if status != 200 {
        return status;
    }
    let fields = ["status_code", "statusCode", "status"];
    let named = fields.iter().find_map(|name| error.get(*name)).and_then(crate::wire::loose::as_count);
    let refused = ["type", "code"].iter().any(|name| {
        matches!(
            text_in(error, name),
            Some("invalid_request_error" | "BadRequestError" | "unsupported_parameter")
        )
    });
    if refused && code.parse::<u16>().is_err() {
        return 400;
    }
    code.parse().ok().or_else(|| named.and_then(|status| u16::try_from(status).ok())).unwrap_or(500)
}

/// Words decide before the status does: servers agree more on the former. The table goes from the
/// most specific word to the least; a word that says only "your request" says less than a status.
fn named(kind: &str, code: &str) -> Option<ErrorKind> {
    const WORDS: [(ErrorKind, &[&str]); 11] = [
        (
            ErrorKind::QuotaExhausted,
            &[
                "insufficient_quota",
                "billing_hard_limit_reached",
                "credit_balance_exhausted",
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
                "insufficient_credits",
                "billing_not_active",
            ],
        ),
        (ErrorKind::ContextLength, &["context_length_exceeded", "exceed_context_size_error"]),
        (
            ErrorKind::ContentFiltered,
            &["content_filter", "content_policy_violation", "invalid_prompt", "moderation_blocked"],
        ),
        (ErrorKind::NotFound, &["model_not_found", "unknown_model", "invalid_model", "model_decommissioned"]),
        (ErrorKind::Config, &["DeploymentNotFound", "deployment_not_found"]),
        (
            ErrorKind::Auth,
            &["invalid_api_key", "authentication_error", "permission_error", "invalid_authentication"],
        ),
        (
            ErrorKind::RateLimited,
            &[
                "rate_limit_exceeded",
                "rate_limit_error",
                "too_many_requests",
                "requests",
                "tokens",
                "RateLimitReached",
                "slow_down",
            ],
        ),
        (
            ErrorKind::Capacity,
            &[
                "server_is_overloaded",
                "overloaded",
                "overloaded_error",
                "engine_overloaded",
                "service_unavailable_error",
                "ServiceUnavailable",
                "service_tier_capacity_exceeded",
                "flex_tier_capacity_exceeded",
            ],
        ),
        (ErrorKind::Timeout, &["timeout", "timeout_error"]),
        (
            ErrorKind::ServerError,
            &["server_error", "internal_error", "internal_server_error", "InternalServerError"],
        ),
        (ErrorKind::NotFound, &["not_found_error", "NotFoundError"]),
    ];
    WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|word| code == *word || kind == *word))
        .map(|(kind, _)| *kind)
}

/// What the message says of a kind that several things are called by. `words`: those that named it.
fn refined(kind: ErrorKind, message: &str, words: &[&str]) -> ErrorKind {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::ServerError if phrases::is_too_long(message) => {
            ErrorKind::ContextLength
        }
        ErrorKind::InvalidRequest if phrases::is_stranger(message) => ErrorKind::Auth,
        ErrorKind::InvalidRequest if phrases::is_filtered(message) => ErrorKind::ContentFiltered,
        ErrorKind::InvalidRequest if phrases::names_no_model(message) => ErrorKind::NotFound,
        ErrorKind::InvalidRequest | ErrorKind::RateLimited if phrases::is_unpaid(message) => {
            ErrorKind::QuotaExhausted
        }
        ErrorKind::RateLimited if phrases::is_busy(message) || words.contains(&"queue_exceeded") => {
            ErrorKind::Capacity
        }
        kind => kind,
    }
}

/// What is full says so, or when to come back: a 503 without either is broken.
fn unavailable(message: &str) -> ErrorKind {
    match message {
        _ if phrases::is_warming(message) => ErrorKind::CapacityWarming,
        _ if phrases::is_busy(message) => ErrorKind::Capacity,
        _ => by_status(503),
    }
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
        529 => ErrorKind::Capacity,
        400 | 413 | 415 | 422 => ErrorKind::InvalidRequest,
        _ => ErrorKind::ServerError,
    }
}

/// Whether a word that means `kind` says less than the status beside it. "Server error" stands in many a
/// front door's body whatever the status: a 429 with it is still a provider that asks for patience.
#[must_use]
pub fn is_vaguer(kind: ErrorKind, status: u16) -> bool {
    kind == ErrorKind::ServerError && status != 200
}

/// `(status, body)` of an error to a caller.
#[must_use]
pub fn encode_error(kind: ErrorKind, message: &str, hint: &str, request_id: &str) -> (u16, Vec<u8>) {
    let status = status_of(kind);
    (status, error_body(status, kind, message, hint, request_id).to_string().into_bytes())
}

/// An error event in a stream. No closing marker follows: the answer is not finished.
#[must_use]
pub fn encode_error_event(kind: ErrorKind, message: &str, hint: &str, request_id: &str) -> Vec<u8> {
    format!("data: {}\n\n", error_body(200, kind, message, hint, request_id)).into_bytes()
}

/// An error document to a caller of this dialect.
#[must_use]
pub fn error_body(status: u16, kind: ErrorKind, message: &str, hint: &str, request_id: &str) -> Value {
    json!({"error": {
        "message": message,
        "type": error_type(status, kind),
        "param": null,
        "code": kind.as_str(),
        "hint": hint,
        "request_id": if request_id.is_empty() { Value::Null } else { json!(request_id) },
    }})
}

fn error_type(status: u16, kind: ErrorKind) -> &'static str {
    match kind.class() {
        // Only the edge itself answers with these, and then it is about the caller.
        _ if status == 401 || status == 403 => "authentication_error",
        _ if status == 404 => "invalid_request_error",
        OutcomeClass::Overload => "rate_limit_error",
        OutcomeClass::Caller => "invalid_request_error",
        // A refusal of our own credential is no mistake of the caller's.
        OutcomeClass::Config | OutcomeClass::Hard | OutcomeClass::Ok | OutcomeClass::Cancelled => {
            "server_error"
        }
    }
}

/// Our own failures are 5xx: a caller's client must not take them for its own mistake.
fn status_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::RateLimited | ErrorKind::ProvisionedFull | ErrorKind::QuotaExhausted => 429,
        ErrorKind::Capacity | ErrorKind::CapacityWarming => 503,
        ErrorKind::Timeout => 504,
        ErrorKind::InvalidRequest
        | ErrorKind::Unsupported
        | ErrorKind::ContextLength
        | ErrorKind::ContentFiltered => 400,
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
