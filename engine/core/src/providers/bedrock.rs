//! Amazon Bedrock runtime: Converse and InvokeModel, plain and streamed.

use serde_json::Value;

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::domain::request::{Usage, UsageSource};
use crate::domain::snapshot::Dialect;
use crate::wire::anthropic_messages::as_hosted;
use crate::wire::aws_errors::{error_kind, validation};
use crate::wire::bedrock_invoke::is_messages;
use crate::wire::closing::upstream_error;
use crate::wire::translate::{Encoded, Place, outbound};
use crate::wire::{DecodeAs, Framing, openai_chat};

use super::amazon::{encode_segment, envelope};
use super::{Asked, UpstreamCall, config_error, json_headers, of_base, place, sign};

/// The version every region accepts for Messages bodies.
const MESSAGES_VERSION: &str = "bedrock-2023-05-31";

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let (provider, endpoint) = (asked.provider, asked.endpoint);
    let region = endpoint.region.as_deref().ok_or_else(|| config_error("the endpoint needs a region"))?;
    let (base, prefix) = match &provider.base_url {
        Some(url) => of_base(url),
        None => (format!("https://bedrock-runtime.{region}.amazonaws.com"), ""),
    };
    let embeds = matches!(endpoint.dialect, Dialect::CohereEmbeddings | Dialect::TitanEmbeddings);
    let invoke = embeds || endpoint.dialect == Dialect::BedrockInvoke;
    let messages = invoke && !embeds && is_messages(&endpoint.model);
    let mut place = Place { named: !embeds, ..place(endpoint) };
    if messages {
        place.dialect = Dialect::AnthropicMessages;
    }
    let Encoded { body, warnings } = outbound(asked.request, asked.set, place, asked.stream)?;
    let body =
        if messages { as_hosted(&body, MESSAGES_VERSION, false, &asked.request.opt_ins) } else { body };
    let (operation, framing) = match (invoke, asked.stream) {
        (true, true) => ("invoke-with-response-stream", Framing::AwsChunks),
        (true, false) => ("invoke", Framing::AwsChunks),
        (false, true) => ("converse-stream", Framing::AwsEvents),
        (false, false) => ("converse", Framing::AwsEvents),
    };
    Ok(UpstreamCall {
        base,
        path: format!("{prefix}/model/{}/{operation}", encode_segment(&endpoint.model)),
        headers: json_headers(),
        body,
        sign: sign(provider, "bedrock", region),
        decode: DecodeAs::new(place.dialect, asked.stream, framing),
        warnings,
    })
}

/// InvokeModel counts each whole answer in its head: some families' bodies say nothing of it.
pub(super) fn counted<'a>(head: impl Fn(&str) -> Option<&'a str>) -> Option<Usage> {
    let count = |name: &str| head(&format!("x-amzn-bedrock-{name}-token-count"))?.parse::<u64>().ok();
    Some(Usage {
        input_uncached: count("input")?,
        cache_read: count("cache-read-input").unwrap_or(0),
        cache_write: count("cache-write-input").unwrap_or(0),
        output: count("output")?,
        reasoning: 0,
        source: UsageSource::Provider,
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
