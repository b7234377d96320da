//! Anthropic's own API.

use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::AuthScheme;
use crate::wire::translate::{Encoded, outbound};
use crate::wire::{DecodeAs, Framing, anthropic_messages};

use super::{Asked, Sign, UpstreamCall, json_headers, opt_in, place, sign, split_base};

/// The version whose documents this engine reads.
const VERSION: &str = "2023-06-01";

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let (base, prefix) =
        split_base(asked.provider.base_url.as_deref().unwrap_or("https://api.anthropic.com"));
    let Encoded { body, warnings } = outbound(asked.request, asked.set, place(asked.endpoint), asked.stream)?;
    let mut headers = json_headers();
    headers.push(("anthropic-version".into(), VERSION.into()));
    headers.extend(opt_in(asked));
    let sign = match asked.provider.auth.scheme {
        AuthScheme::ApiKey => Sign::Key { header: "x-api-key" },
        _ => sign(asked.provider, "", ""),
    };
    Ok(UpstreamCall {
        base: base.to_owned(),
        path: format!("{prefix}/v1/messages"),
        headers,
        body,
        sign,
        decode: DecodeAs::new(asked.endpoint.dialect, asked.stream, Framing::Sse),
        warnings,
    })
}

pub(super) fn classify(status: u16, body: &[u8]) -> UpstreamError {
    anthropic_messages::error_in(status, body)
}
