//! Providers: where a call goes, how it proves who we are, what a refusal means. One small file
//! each; the dialect they speak is `wire`'s.

mod amazon;
mod anthropic;
mod azure;
mod bedrock;
mod cohere;
mod embeddings;
mod google;
mod limits;
mod openai;
mod sagemaker;

use std::borrow::Cow;

pub use limits::limits;
use serde_json::{Map, Value};

use crate::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};
use crate::domain::request::{ChatRequest, RequestFacts, Usage, UsageSource};
use crate::domain::snapshot::{AuthScheme, CapacityClass, Dialect, Endpoint, Provider, ProviderKind};
use crate::wire::DecodeAs;
use crate::wire::closing::upstream_error;
use crate::wire::translate::{Place, opt_in_header};

/// How the shell must authenticate a call; the secrets are the shell's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    None,
    Bearer,
    /// The key alone, in the provider's own header.
    Key {
        header: &'static str,
    },
    SigV4 {
        service: &'static str,
        region: String,
    },
}

/// A field of a call's head.
pub type Field = (Cow<'static, str>, Cow<'static, str>);

/// A call, ready but for its signature. `base`: `scheme://authority`; `path`: encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamCall {
    pub base: String,
    pub path: String,
    pub headers: Vec<Field>,
    pub body: Vec<u8>,
    pub sign: Sign,
    pub decode: DecodeAs,
    pub warnings: Vec<String>,
}

/// A request and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub provider: &'a Provider,
    pub endpoint: &'a Endpoint,
    pub request: &'a ChatRequest,
    /// The target's overrides, in the words of OpenAI Chat.
    pub set: &'a Map<String, Value>,
    pub stream: bool,
}

/// Prepares a request for an endpoint.
///
/// # Errors
/// `Unsupported` for what the endpoint's dialect cannot carry, `Config` for an endpoint that
/// lacks what its provider needs.
pub fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    if asked.request.dialect == Dialect::OpenaiEmbeddings {
        return embeddings::call(asked);
    }
    let mut call = by_kind(asked)?;
    if !asked.request.opt_ins.is_empty() && call.decode.dialect != asked.request.dialect {
        let names = asked.request.opt_ins.join(", ");
        call.warnings.push(format!("the opt-ins {names} have no form at this endpoint and were left out"));
    }
    Ok(call)
}

fn by_kind(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    match asked.provider.kind {
        ProviderKind::Bedrock => bedrock::call(asked),
        ProviderKind::Sagemaker => sagemaker::call(asked),
        ProviderKind::Vertex | ProviderKind::Gemini => google::call(asked),
        ProviderKind::Anthropic => anthropic::call(asked),
        ProviderKind::AzureOpenai => azure::call(asked),
        ProviderKind::Cohere => cohere::call(asked),
        ProviderKind::Openai | ProviderKind::OpenaiCompatible => openai::call(asked),
    }
}

/// What an answer will have used if it does not count that itself: what its head says, else the
/// estimate of its prompt. `head`: a field by its lower-case name.
#[must_use]
pub fn expected<'a>(
    (provider, endpoint): (&Provider, &Endpoint),
    facts: &RequestFacts,
    head: impl Fn(&str) -> Option<&'a str>,
) -> Usage {
    let told = if provider.kind == ProviderKind::Bedrock { bedrock::counted(head) } else { None };
    told.unwrap_or_else(|| Usage {
        source: UsageSource::Estimated,
        ..Usage::inclusive(facts.tokens_by(&endpoint.counting), 0, 0, 0, 0)
    })
}

/// What most addresses leave to the body.
fn place(endpoint: &Endpoint) -> Place<'_> {
    Place {
        dialect: endpoint.dialect,
        model: &endpoint.model,
        takes: &endpoint.takes,
        named: true,
        limit: "max_completion_tokens",
    }
}

/// What a status of 400 or more means. Header names are lower-case.
#[must_use]
pub fn classify(
    kind: ProviderKind,
    capacity: CapacityClass,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> UpstreamError {
    let mut error = match kind {
        ProviderKind::Bedrock => bedrock::classify(status, headers, body),
        ProviderKind::Sagemaker => sagemaker::classify(status, headers, body),
        ProviderKind::Vertex | ProviderKind::Gemini => google::classify(status, body),
        ProviderKind::Anthropic => anthropic::classify(status, body),
        ProviderKind::Openai
        | ProviderKind::AzureOpenai
        | ProviderKind::Cohere
        | ProviderKind::OpenaiCompatible => openai::classify(status, headers, body),
    };
    error.http_status = Some(status);
    let date = headers.iter().find(|(name, _)| name == "date").map(|(_, date)| date.as_str());
    let said = limits(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), date);
    // "Unavailable" is broken, unless it comes with a time to come back: then it is full.
    if status == 503 && error.kind == ErrorKind::ServerError && said.retry_after_ms.is_some() {
        error.kind = ErrorKind::Capacity;
    }
    let full = error.kind.class() == OutcomeClass::Overload;
    let returns = said.pushback_ms().filter(|_| full);
    error.pushback_ms = said.retry_after_ms.or(error.pushback_ms).or(returns);
    // On capacity we bought, "too many" means that it is full: the rest of the quota is no help.
    if error.kind == ErrorKind::RateLimited && capacity == CapacityClass::Provisioned {
        error.kind = ErrorKind::ProvisionedFull;
    }
    error
}

/// Base URL without a trailing slash, split into origin and path prefix.
pub fn split_base(base_url: &str) -> (&str, &str) {
    let trimmed = base_url.trim_end_matches('/');
    let scheme = trimmed.find(':').filter(|at| trimmed[*at..].starts_with("://"));
    let after_scheme = scheme.map_or(0, |at| at + 3);
    match trimmed.get(after_scheme..).and_then(|rest| rest.find('/')) {
        Some(slash) => trimmed.split_at(after_scheme + slash),
        None => (trimmed, ""),
    }
}

/// As `split_base`, where another base may have been built.
fn of_base(base_url: &str) -> (String, &str) {
    let (base, prefix) = split_base(base_url);
    (base.to_owned(), prefix)
}

fn sign(provider: &Provider, service: &'static str, region: &str) -> Sign {
    match provider.auth.scheme {
        AuthScheme::None => Sign::None,
        AuthScheme::Bearer | AuthScheme::ApiKey => Sign::Bearer,
        AuthScheme::Sigv4 => Sign::SigV4 { service, region: region.to_owned() },
    }
}

/// What the caller opts into, for an upstream of its own dialect.
fn opt_in(asked: &Asked<'_>) -> Option<Field> {
    let words = asked.request.opt_ins.join(",");
    let name = opt_in_header(asked.request.dialect)?;
    (!words.is_empty()).then(|| (name.into(), words.into()))
}

fn json_headers() -> Vec<Field> {
    vec![("content-type".into(), "application/json".into())]
}

fn config_error(detail: &str) -> UpstreamError {
    upstream_error(ErrorKind::Config, None, detail)
}

#[cfg(test)]
mod tests;
