//! SageMaker's wrapping of a container's own bytes: payload parts in event-stream frames, cut at
//! any border, and exceptions beside them. The bytes inside are OpenAI-compatible.

use serde_json::Value;

use crate::domain::outcome::{ErrorKind, UpstreamError};

use super::closing::upstream_error;
use super::framing::aws_eventstream::Frame;

/// The container's bytes in a frame.
///
/// # Errors
/// The frame is an exception; its name decides what it means.
pub fn payload<'a>(frame: &Frame<'a>) -> Result<&'a [u8], UpstreamError> {
    match frame.header(":message-type") {
        None | Some("event") => Ok(frame.payload),
        Some(_) => {
            let name = frame
                .header(":exception-type")
                .or_else(|| frame.header(":error-code"))
                .unwrap_or("exception");
            Err(exception(name, frame))
        }
    }
}

fn exception(name: &str, frame: &Frame<'_>) -> UpstreamError {
    let body: Value = serde_json::from_slice(frame.payload).unwrap_or(Value::Null);
    let field = |names: [&str; 2]| {
        names.iter().find_map(|n| body.get(*n)).and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let code = field(["ErrorCode", "errorCode"]);
    let kind = match (name.to_ascii_lowercase().as_str(), code.as_str()) {
        ("modelstreamerror", "ModelInvocationTimeExceeded") => ErrorKind::Timeout,
        ("modelstreamerror", _) => ErrorKind::StreamInterrupted,
        ("throttlingexception", _) => ErrorKind::RateLimited,
        ("serviceunavailable", _) => ErrorKind::Capacity,
        _ => ErrorKind::ServerError,
    };
    upstream_error(kind, None, &format!("{name}: {}", field(["Message", "message"])))
}
