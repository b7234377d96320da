//! OpenAI, and every server that speaks its Chat Completions.

use serde_json::{Map, Value};

use crate::domain::outcome::UpstreamError;
use crate::domain::request::ChatRequest;
use crate::domain::snapshot::{Dialect, Endpoint, Provider, ProviderKind};
use crate::wire::aws_errors::error_kind;
use crate::wire::closing::upstream_error;
use crate::wire::{DecodeAs, Framing, openai_chat};

use super::amazon::envelope;
use super::{UpstreamCall, config_error, json_headers, sign, split_base};

pub(super) fn call(
    provider: &Provider,
    endpoint: &Endpoint,
    request: &ChatRequest,
    set: &Map<String, Value>,
    stream: bool,
) -> Result<UpstreamCall, UpstreamError> {
    let (base, prefix) = match (&provider.base_url, provider.kind) {
        (Some(url), _) => split_base(url),
        (None, ProviderKind::Openai) => split_base("https://api.openai.com/v1"),
        (None, _) => return Err(config_error("the provider needs a base_url")),
    };
    Ok(UpstreamCall {
        base,
        path: format!("{prefix}/chat/completions"),
        headers: json_headers(),
        body: openai_chat::encode_request(request, Some(&endpoint.model), set, stream),
        sign: sign(provider, "", endpoint.region.as_deref().unwrap_or("")),
        decode: DecodeAs::new(Dialect::OpenaiChat, stream, Framing::Sse),
        warnings: Vec::new(),
    })
}

/// A compatible surface of a cloud may still answer in the cloud's own words at its front door.
pub(super) fn classify(status: u16, headers: &[(String, String)], body: &[u8]) -> UpstreamError {
    let (name, message, _) = envelope(headers, body);
    match error_kind(&name, &message) {
        Some(kind) if !name.is_empty() => upstream_error(kind, Some(status), &format!("{name}: {message}")),
        _ => openai_chat::error_in(status, body),
    }
}
