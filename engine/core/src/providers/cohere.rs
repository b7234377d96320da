//! Cohere's own API, version 2.

use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, outbound};
use crate::wire::{DecodeAs, Framing};

use super::{Asked, UpstreamCall, json_headers, place, sign, split_base};

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let (base, prefix) = split_base(asked.provider.base_url.as_deref().unwrap_or("https://api.cohere.com"));
    let Encoded { body, warnings } = outbound(asked.request, asked.set, place(asked.endpoint), asked.stream)?;
    let operation = if asked.endpoint.dialect == Dialect::CohereEmbeddings { "embed" } else { "chat" };
    Ok(UpstreamCall {
        base: base.to_owned(),
        path: format!("{prefix}/v2/{operation}"),
        headers: json_headers(),
        body,
        sign: sign(asked.provider, "", ""),
        decode: DecodeAs::new(asked.endpoint.dialect, asked.stream, Framing::Sse),
        warnings,
    })
}
