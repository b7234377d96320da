//! Error names of the service, at the front door and inside a stream. Compared without case: the
//! same error is `ThrottlingException` in a header and `throttlingException` in a stream.

use crate::domain::outcome::ErrorKind;

/// What an error name and its message mean; `None` for a name we do not know.
#[must_use]
pub fn error_kind(name: &str, message: &str) -> Option<ErrorKind> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    Some(match name.to_ascii_lowercase().as_str() {
        "throttlingexception" if says(&["per day"]) => ErrorKind::QuotaExhausted,
        "throttlingexception" => ErrorKind::RateLimited,
        "servicequotaexceededexception" => ErrorKind::QuotaExhausted,
        "modelnotreadyexception" | "mpagreementbeingcreated" => ErrorKind::CapacityWarming,
        "serviceunavailableexception" | "overloaded_error" => ErrorKind::Capacity,
        "modeltimeoutexception" => ErrorKind::Timeout,
        "modelerrorexception"
        | "modelstreamerrorexception"
        | "internalserverexception"
        | "internalfailure" => ErrorKind::ServerError,
        "validationexception"
            if says(&["input is too long", "input tokens exceeded", "prompt is too long"]) =>
        {
            ErrorKind::ContextLength
        }
        "validationexception" if says(&["on-demand throughput", "model identifier is invalid"]) => {
            ErrorKind::Config
        }
        "validationexception" | "conflictexception" => ErrorKind::InvalidRequest,
        "resourcenotfoundexception" => ErrorKind::NotFound,
        "ftuformnotfilled" => ErrorKind::Config,
        "accessdeniedexception"
        | "unrecognizedclientexception"
        | "invalidclienttokenid"
        | "invalidsignatureexception"
        | "expiredtokenexception"
        | "expiredtoken"
        | "requestexpired"
        | "incompletesignature"
        | "missingauthenticationtokenexception"
        | "notauthorized" => ErrorKind::Auth,
        _ => return None,
    })
}
