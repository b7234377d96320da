//! The two Google APIs: Gemini, and Vertex AI with its partner models. They share bodies and the
//! error envelope, and differ in address and proof.

use serde_json::Value;

use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::{AuthScheme, Dialect, ProviderKind};
use crate::wire::translate::{Encoded, outbound};
use crate::wire::{DecodeAs, Framing, anthropic_messages, gemini, openai_chat};

use super::amazon::encode_segment;
use super::{
    Asked, Sign, UpstreamCall, config_error, json_headers, of_base, opt_in, place, sign, split_base,
};

/// The version of Messages bodies that every location accepts.
const MESSAGES_VERSION: &str = "vertex-2023-10-16";

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let Encoded { body, warnings } = outbound(asked.request, asked.set, place(asked.endpoint), asked.stream)?;
    let messages = asked.endpoint.dialect == Dialect::AnthropicMessages;
    let body =
        if messages { anthropic_messages::as_hosted(&body, MESSAGES_VERSION, true, &[]) } else { body };
    let (base, path) =
        if asked.provider.kind == ProviderKind::Gemini { gemini(asked) } else { vertex(asked)? };
    let sign = match asked.provider.auth.scheme {
        AuthScheme::ApiKey => Sign::Key { header: "x-goog-api-key" },
        _ => sign(asked.provider, "", ""),
    };
    let mut headers = json_headers();
    if messages {
        headers.extend(opt_in(asked));
    }
    Ok(UpstreamCall {
        base,
        path,
        headers,
        body,
        sign,
        decode: DecodeAs::new(asked.endpoint.dialect, asked.stream, Framing::Sse),
        warnings,
    })
}

fn method(asked: &Asked<'_>) -> &'static str {
    match (asked.endpoint.dialect, asked.stream) {
        (Dialect::AnthropicMessages, false) => "rawPredict",
        (Dialect::AnthropicMessages, true) => "streamRawPredict",
        (Dialect::GeminiEmbeddings, _) => "batchEmbedContents",
        (Dialect::VertexEmbeddings, _) => "predict",
        (_, false) => "generateContent",
        (_, true) => "streamGenerateContent?alt=sse",
    }
}

fn gemini(asked: &Asked<'_>) -> (String, String) {
    let url = asked.provider.base_url.as_deref().unwrap_or("https://generativelanguage.googleapis.com");
    let (base, prefix) = split_base(url);
    let model = encode_segment(asked.endpoint.model.trim_start_matches("models/"));
    (base.to_owned(), format!("{prefix}/v1beta/models/{model}:{}", method(asked)))
}

fn vertex(asked: &Asked<'_>) -> Result<(String, String), UpstreamError> {
    let location = asked.endpoint.region.as_deref().unwrap_or("global");
    let project =
        asked.provider.project.as_deref().ok_or_else(|| config_error("the provider needs a project"))?;
    let (base, prefix) = match &asked.provider.base_url {
        Some(url) => of_base(url),
        None => (host(location), ""),
    };
    let root =
        format!("{prefix}/v1/projects/{}/locations/{}", encode_segment(project), encode_segment(location));
    if asked.endpoint.dialect == Dialect::OpenaiChat {
        return Ok((base, format!("{root}/endpoints/openapi/chat/completions")));
    }
    let publisher = if asked.endpoint.dialect == Dialect::AnthropicMessages { "anthropic" } else { "google" };
    let model = encode_model(&asked.endpoint.model);
    Ok((base, format!("{root}/publishers/{publisher}/models/{model}:{}", method(asked))))
}

/// A version is written `name@date` in these paths.
fn encode_model(model: &str) -> String {
    encode_segment(model).replace("%40", "@")
}

fn host(location: &str) -> String {
    match location {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

/// Partner models behind the envelope may answer in their own words.
pub(super) fn classify(status: u16, body: &[u8]) -> UpstreamError {
    let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if document.get("type").and_then(Value::as_str) == Some("error") {
        return anthropic_messages::error_in(status, body);
    }
    let inner = document.get(0).unwrap_or(&document);
    if inner.pointer("/error/status").is_none() && inner.pointer("/error/type").is_some() {
        return openai_chat::error_in(status, body);
    }
    gemini::error_in(status, &document)
}
