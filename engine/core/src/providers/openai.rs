//! OpenAI, and every server that speaks its Chat Completions or Responses.

use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::{Dialect, ProviderKind};
use crate::wire::aws_errors::error_kind;
use crate::wire::closing::upstream_error;
use crate::wire::translate::{Encoded, Place, outbound};
use crate::wire::{DecodeAs, Framing, openai_chat};

use super::amazon::envelope;
use super::{Asked, UpstreamCall, config_error, json_headers, place, sign, split_base};

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let (base, prefix) = match (&asked.provider.base_url, asked.provider.kind) {
        (Some(url), _) => split_base(url),
        (None, ProviderKind::Openai) => split_base("https://api.openai.com/v1"),
        (None, _) => return Err(config_error("the provider needs a base_url")),
    };
    at(asked, base, prefix, "")
}

/// A call below `prefix`; `query` with its question mark.
pub(super) fn at(
    asked: &Asked<'_>,
    base: &str,
    prefix: &str,
    query: &str,
) -> Result<UpstreamCall, UpstreamError> {
    let endpoint = asked.endpoint;
    // Servers that copied the API before the newer name know only the older one.
    let compatible = asked.provider.kind == ProviderKind::OpenaiCompatible;
    let limit = if compatible { "max_tokens" } else { "max_completion_tokens" };
    let Encoded { body, warnings } =
        outbound(asked.request, asked.set, Place { limit, ..place(endpoint) }, asked.stream)?;
    let operation = match endpoint.dialect {
        Dialect::OpenaiResponses => "responses",
        Dialect::OpenaiEmbeddings => "embeddings",
        _ => "chat/completions",
    };
    Ok(UpstreamCall {
        base: base.to_owned(),
        path: [prefix, "/", operation, query].concat(),
        headers: json_headers(),
        body,
        sign: sign(asked.provider, "", endpoint.region.as_deref().unwrap_or("")),
        decode: DecodeAs::new(endpoint.dialect, asked.stream, Framing::Sse),
        warnings,
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
