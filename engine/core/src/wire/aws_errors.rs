//! Errors of the two AWS runtimes, at the front door and inside a stream. Names are compared
//! without case: the same error is `ThrottlingException` in a header and `throttlingException` in
//! a stream.

use serde_json::Value;

use crate::domain::outcome::{ErrorKind, UpstreamError};

use super::closing::upstream_error;
use super::framing::aws_eventstream::Frame;
use super::loose::{count_at, text_in};
use super::openai_chat::by_status;
use super::phrases;

/// Phrases of a validation error that only the operator can mend.
const MISCONFIGURED: [&str; 4] = [
    "on-demand throughput",
    "model identifier is invalid",
    "isn't supported on this route",
    "data retention mode",
];

/// What an error name and its message mean; `None` for a name we do not know.
#[must_use]
pub fn error_kind(name: &str, message: &str) -> Option<ErrorKind> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    Some(match name.to_ascii_lowercase().as_str() {
        "throttlingexception" | "throttling" | "toomanyrequestsexception" if says(&["per day"]) => {
            ErrorKind::QuotaExhausted
        }
        "throttlingexception" | "throttling" | "toomanyrequestsexception" => ErrorKind::RateLimited,
        "servicequotaexceededexception" => ErrorKind::QuotaExhausted,
        "modelnotreadyexception" | "mpagreementbeingcreated" => ErrorKind::CapacityWarming,
        "serviceunavailableexception" | "serviceunavailable" | "overloaded_error" => ErrorKind::Capacity,
        "modeltimeoutexception" => ErrorKind::Timeout,
        "modelerrorexception"
        | "modelstreamerrorexception"
        | "internalserverexception"
        | "internalfailure"
        | "internalstreamfailure"
        | "internaldependencyexception" => ErrorKind::ServerError,
        "validationexception" => validation(&message),
        "conflictexception" => ErrorKind::InvalidRequest,
        "resourcenotfoundexception" => ErrorKind::NotFound,
        "ftuformnotfilled" => ErrorKind::Config,
        "accessdeniedexception"
        | "unrecognizedclientexception"
        | "invalidclienttokenid"
        | "invalidsignatureexception"
        | "signaturedoesnotmatch"
        | "expiredtokenexception"
        | "expiredtoken"
        | "requestexpired"
        | "requesttimetooskewed"
        | "incompletesignature"
        | "missingauthenticationtokenexception"
        | "missingauthenticationtoken"
        | "notauthorized" => ErrorKind::Auth,
        _ => return None,
    })
}

/// What the message of a validation error, in lower case, means. Front doors may leave the
/// error's name out, so this decides for every 400 without one.
#[must_use]
pub fn validation(message: &str) -> ErrorKind {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if phrases::is_too_long(message) {
        ErrorKind::ContextLength
    } else if says(&MISCONFIGURED) {
        ErrorKind::Config
    } else {
        ErrorKind::InvalidRequest
    }
}

/// What an exception frame of a stream means.
#[must_use]
pub fn exception(frame: &Frame<'_>) -> UpstreamError {
    let name = frame.header(":exception-type").or_else(|| frame.header(":error-code")).unwrap_or("exception");
    let body: Value = serde_json::from_slice(frame.payload).unwrap_or(Value::Null);
    let field = |names: [&str; 2]| names.iter().find_map(|name| text_in(&body, name)).unwrap_or("");
    let message = frame.header(":error-message").unwrap_or_else(|| field(["message", "Message"]));
    let original = count_at(&body, "/originalStatusCode").and_then(|code| u16::try_from(code).ok());
    let kind = match (name.to_ascii_lowercase().as_str(), field(["ErrorCode", "errorCode"])) {
        ("modelstreamerror", "ModelInvocationTimeExceeded") => ErrorKind::Timeout,
        ("modelstreamerror", _) => ErrorKind::StreamInterrupted,
        ("modelstreamerrorexception", _) => original.map_or(ErrorKind::ServerError, by_status),
        _ => error_kind(name, message).unwrap_or(ErrorKind::ServerError),
    };
    upstream_error(kind, None, &format!("{name}: {message}"))
}

/// A container's own bytes in a frame.
///
/// # Errors
/// The frame is an exception; its name decides what it means.
pub fn payload<'a>(frame: &Frame<'a>) -> Result<&'a [u8], UpstreamError> {
    match frame.header(":message-type") {
        None | Some("event") => {
            let part =
                frame.header(":event-type").is_none_or(|name| name.eq_ignore_ascii_case("PayloadPart"));
            Ok(if part { frame.payload } else { &[] }) // another event holds none of them
        }
        Some(_) => Err(exception(frame)),
    }
}
