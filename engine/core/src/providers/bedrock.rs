//! Amazon Bedrock runtime: Converse and ConverseStream.

use serde_json::{Map, Value};

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::domain::request::ChatRequest;
use crate::domain::snapshot::{Dialect, Endpoint, Provider};
use crate::wire::aws_errors::{error_kind, validation};
use crate::wire::bedrock_converse::encode_request;
use crate::wire::closing::upstream_error;
use crate::wire::{DecodeAs, Framing, openai_chat};

use super::amazon::{encode_segment, envelope};
use super::{UpstreamCall, config_error, json_headers, sign, split_base};

pub(super) fn call(
    provider: &Provider,
    endpoint: &Endpoint,
    request: &ChatRequest,
    set: &Map<String, Value>,
    stream: bool,
) -> Result<UpstreamCall, UpstreamError> {
    let region = endpoint.region.as_deref().ok_or_else(|| config_error("the endpoint needs a region"))?;
    let (base, prefix) = match &provider.base_url {
        Some(url) => split_base(url),
        None => (format!("https://bedrock-runtime.{region}.amazonaws.com"), String::new()),
    };
    let (body, warnings) = encode_request(&request.body, set)?;
    let operation = if stream { "converse-stream" } else { "converse" };
    Ok(UpstreamCall {
        base,
        path: format!("{prefix}/model/{}/{operation}", encode_segment(&endpoint.model)),
        headers: json_headers(),
        body,
        sign: sign(provider, "bedrock", region),
        decode: DecodeAs::new(Dialect::BedrockConverse, stream, Framing::AwsEvents),
        warnings,
    })
}

pub(super) fn classify(status: u16, headers: &[(String, String)], body: &[u8]) -> UpstreamError {
    let (name, message, value) = envelope(headers, body);
    let original =
        value.get("originalStatusCode").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let kind = match (error_kind(&name, &message), original) {
        (Some(ErrorKind::ServerError), Some(original)) => openai_chat::by_status(original),
        (Some(kind), _) => kind,
        (None, Some(original)) if status == 424 => openai_chat::by_status(original),
        (None, _) if status == 424 => ErrorKind::ServerError,
        (None, _) if status == 400 => validation(&message.to_ascii_lowercase()),
        (None, _) => openai_chat::by_status(status),
    };
    upstream_error(kind, Some(status), &format!("{name}: {message}"))
}
