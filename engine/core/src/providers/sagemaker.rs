//! Amazon SageMaker runtime: a container's OpenAI-compatible bodies behind InvokeEndpoint.

use serde_json::Value;

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::wire::closing::upstream_error;
use crate::wire::translate::{Encoded, Place, outbound};
use crate::wire::{DecodeAs, Framing, openai_chat};

use super::amazon::{encode_segment, envelope};
use super::{Asked, UpstreamCall, config_error, json_headers, of_base, place, sign};

/// The platform's own limit on a request body.
const MAX_BODY_BYTES: usize = 6_291_456;

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let (provider, endpoint) = (asked.provider, asked.endpoint);
    let region = endpoint.region.as_deref().ok_or_else(|| config_error("the endpoint needs a region"))?;
    let (base, prefix) = match &provider.base_url {
        Some(url) => of_base(url),
        None => (format!("https://runtime.sagemaker.{region}.amazonaws.com"), ""),
    };
    // The path routes; containers refuse a model name they were not started with. A component of
    // an endpoint is written after a slash.
    let (name, component) = match endpoint.model.split_once('/') {
        Some((name, component)) if !endpoint.model.starts_with("arn:") => (name, Some(component)),
        _ => (endpoint.model.as_str(), None),
    };
    let place = Place { named: false, limit: "max_tokens", ..place(endpoint) };
    let Encoded { body, warnings } = outbound(asked.request, asked.set, place, asked.stream)?;
    if body.len() > MAX_BODY_BYTES {
        let detail = format!("the request is larger than the {MAX_BODY_BYTES} bytes this endpoint takes");
        return Err(upstream_error(ErrorKind::ContextLength, None, &detail));
    }
    let mut headers = json_headers();
    if let Some(component) = component {
        headers.push(("x-amzn-sagemaker-inference-component".into(), component.to_owned().into()));
    }
    let operation = if asked.stream { "invocations-response-stream" } else { "invocations" };
    Ok(UpstreamCall {
        base,
        path: format!("{prefix}/endpoints/{}/{operation}", encode_segment(name)),
        headers,
        body,
        sign: sign(provider, "sagemaker", region),
        decode: DecodeAs::new(endpoint.dialect, asked.stream, Framing::AwsBytes),
        warnings,
    })
}

pub(super) fn classify(status: u16, headers: &[(String, String)], body: &[u8]) -> UpstreamError {
    let (name, message, value) = envelope(headers, body);
    let lower = message.to_ascii_lowercase();
    let kind = match name.as_str() {
        "ModelError" => return of_container(&value, &message),
        "ValidationError" if lower.contains("not found") => ErrorKind::NotFound,
        "ValidationError" => ErrorKind::Config,
        "ModelNotReadyException" => ErrorKind::CapacityWarming,
        "ServiceUnavailable" => ErrorKind::Capacity,
        "InternalFailure" | "InternalDependencyException" => ErrorKind::ServerError,
        "ThrottlingException" => ErrorKind::RateLimited,
        _ => crate::wire::aws_errors::error_kind(&name, &message)
            .unwrap_or_else(|| openai_chat::by_status(status)),
    };
    upstream_error(kind, Some(status), &format!("{name}: {message}"))
}

/// The container's own error, carried inside the platform's.
fn of_container(value: &Value, message: &str) -> UpstreamError {
    let status =
        value.get("OriginalStatusCode").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let original = value.get("OriginalMessage").and_then(Value::as_str).unwrap_or("");
    let inner = openai_chat::error_in(status.unwrap_or(500), original.as_bytes());
    let kind = match status {
        Some(429 | 503) => ErrorKind::Capacity,
        _ if message.to_ascii_lowercase().contains("timed out") => ErrorKind::Timeout,
        Some(400..=499) => inner.kind,
        _ => ErrorKind::ServerError,
    };
    let detail = if original.is_empty() { message.to_owned() } else { inner.detail };
    upstream_error(kind, None, &format!("ModelError: {detail}"))
}
