//! OpenAI, and every server that speaks its Chat Completions.

use serde_json::{Map, Value};

use crate::domain::outcome::UpstreamError;
use crate::domain::request::ChatRequest;
use crate::domain::snapshot::{Endpoint, Provider, ProviderKind};
use crate::wire::{DecodeAs, openai_chat};

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
        decode: if stream { DecodeAs::OpenaiSse } else { DecodeAs::OpenaiUnary },
        warnings: Vec::new(),
    })
}

pub(super) fn classify(status: u16, body: &[u8]) -> UpstreamError {
    openai_chat::error_in(status, body)
}
