//! Requests that go no further than the edge, and how every error is said.

use crossfade_core::domain::limits::Limits as Left;
use crossfade_core::domain::outcome::ErrorKind;
use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::wire::translate::{Said, encode_error, error_status};
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};

use crate::edge::body::AnswerBody;
use crate::edge::truth::tell_allowances;

use super::identify::Stranger;
use super::json;

/// A request that went no further than the edge; said in its caller's dialect at the very end.
pub(super) struct Refused {
    status: u16,
    kind: ErrorKind,
    message: String,
    hint: String,
    retry_after_ms: Option<u64>,
    /// What the caller's key has left.
    left: Option<Box<Left>>,
    /// Its body was not read, so the connection ends with the answer, which says so.
    closes: bool,
}

pub(super) fn refuse(status: u16, kind: ErrorKind, message: &str, hint: &str) -> Refused {
    Refused {
        status,
        kind,
        message: message.to_owned(),
        hint: hint.to_owned(),
        retry_after_ms: None,
        left: None,
        closes: false,
    }
}

impl Refused {
    pub(super) fn unread(self) -> Self {
        Self { closes: true, ..self }
    }

    /// It may be tried again after `wait_ms`.
    pub(super) fn until(self, wait_ms: u64) -> Self {
        Self { retry_after_ms: Some(wait_ms), ..self }
    }

    /// What is `left` of the allowances of its caller's key.
    pub(super) fn leaves(self, left: Left) -> Self {
        Self { left: Some(Box::new(left)), ..self }
    }

    pub(super) fn answer(&self, dialect: Dialect) -> Response<AnswerBody> {
        let said = Said { message: &self.message, hint: &self.hint, request_id: "" };
        let body = encode_error(dialect, self.status, self.kind, said);
        let mut answer = json(StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST), body);
        if let Some(wait_ms) = self.retry_after_ms {
            answer.headers_mut().insert("retry-after-ms", HeaderValue::from(wait_ms));
            answer.headers_mut().insert("retry-after", HeaderValue::from(wait_ms.div_ceil(1000)));
            // A key that is full has room later; where everything fails, more would make it worse.
            let again = if self.status == 429 { "true" } else { "false" };
            answer.headers_mut().insert("x-should-retry", HeaderValue::from_static(again));
        }
        if self.closes {
            answer.headers_mut().insert("connection", HeaderValue::from_static("close"));
        }
        if let Some(left) = &self.left {
            tell_allowances(dialect, left, answer.headers_mut());
        }
        answer
    }
}

pub(super) fn unreadable(error: &impl ToString, hint: &str) -> Refused {
    refuse(400, ErrorKind::InvalidRequest, &error.to_string(), hint)
}

pub(super) fn turn_away(stranger: &Stranger) -> Refused {
    let refused = match stranger {
        Stranger::NoKey => {
            refuse(401, ErrorKind::Auth, "a virtual key is needed", "send Authorization: Bearer cf-…")
        }
        Stranger::WrongKey => refuse(
            401,
            ErrorKind::Auth,
            "the key is not known",
            "check the key, or create one: crossfade key create",
        ),
    };
    refused.unread()
}

pub(super) fn not_ready(reason: &'static str) -> Refused {
    let text = format!("the gateway is not ready: {reason}");
    refuse(503, ErrorKind::Capacity, &text, "try again in a second").unread()
}

/// An error whose status follows from its kind.
pub fn error_answer(
    dialect: Dialect,
    (kind, told): (ErrorKind, Option<u16>),
    message: &str,
    hint: &str,
    request_id: &str,
) -> Response<AnswerBody> {
    let status = error_status(dialect, kind, told);
    let body = encode_error(dialect, status, kind, Said { message, hint, request_id });
    let mut answer = json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), body);
    if let Ok(value) = request_id.parse() {
        answer.headers_mut().insert("x-crossfade-request-id", value);
    }
    answer
}
