//! How an attempt ended. One value feeds breaker, retry, record and guard, so that they cannot
//! disagree; it is closed at the provider's terminal event, not at the status line.

use serde::{Deserialize, Serialize};

use super::request::Usage;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    Ok,
    Hard,
    Overload,
    Config,
    Caller,
    Cancelled,
}

impl OutcomeClass {
    /// The name used in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Hard => "hard",
            Self::Overload => "overload",
            Self::Config => "config",
            Self::Caller => "caller",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    RateLimited,
    ProvisionedFull,
    Capacity,
    CapacityWarming,
    QuotaExhausted,
    Timeout,
    Connection,
    ServerError,
    StreamInterrupted,
    EmptyResponse,
    MalformedOutput,
    Auth,
    Config,
    NotFound,
    InvalidRequest,
    /// What the endpoint's dialect or model has no form for, as we know before it is asked.
    Unsupported,
    ContextLength,
    ContentFiltered,
    Conflict,
    ClientCancelled,
}

impl ErrorKind {
    /// The name used in records and in `error.code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::ProvisionedFull => "provisioned_full",
            Self::Capacity => "capacity",
            Self::CapacityWarming => "capacity_warming",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::ServerError => "server_error",
            Self::StreamInterrupted => "stream_interrupted",
            Self::EmptyResponse => "empty_response",
            Self::MalformedOutput => "malformed_output",
            Self::Auth => "auth",
            Self::Config => "config",
            Self::NotFound => "not_found",
            Self::InvalidRequest => "invalid_request",
            Self::Unsupported => "unsupported",
            Self::ContextLength => "context_length",
            Self::ContentFiltered => "content_filtered",
            Self::Conflict => "conflict",
            Self::ClientCancelled => "client_cancelled",
        }
    }

    /// What the kind means for health and for the rest of the request: the one table.
    #[must_use]
    pub fn class(self) -> OutcomeClass {
        match self {
            Self::Timeout
            | Self::Connection
            | Self::ServerError
            | Self::StreamInterrupted
            | Self::EmptyResponse
            | Self::MalformedOutput => OutcomeClass::Hard,
            Self::RateLimited
            | Self::ProvisionedFull
            | Self::Capacity
            | Self::CapacityWarming
            | Self::QuotaExhausted => OutcomeClass::Overload,
            Self::Auth | Self::Config | Self::NotFound => OutcomeClass::Config,
            Self::InvalidRequest
            | Self::Unsupported
            | Self::ContextLength
            | Self::ContentFiltered
            | Self::Conflict => OutcomeClass::Caller,
            Self::ClientCancelled => OutcomeClass::Cancelled,
        }
    }
}

impl ErrorKind {
    /// Whether the same request may pass at the same endpoint later.
    #[must_use]
    pub fn may_pass_here(self) -> bool {
        match self {
            Self::RateLimited
            | Self::ProvisionedFull
            | Self::Capacity
            | Self::CapacityWarming
            | Self::Timeout
            | Self::Connection
            | Self::ServerError
            | Self::StreamInterrupted
            | Self::EmptyResponse
            | Self::MalformedOutput
            | Self::Conflict => true,
            Self::QuotaExhausted
            | Self::Auth
            | Self::Config
            | Self::NotFound
            | Self::InvalidRequest
            | Self::Unsupported
            | Self::ContextLength
            | Self::ContentFiltered
            | Self::ClientCancelled => false,
        }
    }

    /// Whether the same request may pass at another endpoint now.
    #[must_use]
    pub fn may_pass_elsewhere(self) -> bool {
        match self.class() {
            OutcomeClass::Hard | OutcomeClass::Overload | OutcomeClass::Config => true,
            OutcomeClass::Caller => matches!(self, Self::Conflict | Self::ContextLength | Self::Unsupported),
            OutcomeClass::Ok | OutcomeClass::Cancelled => false,
        }
    }
}

/// A provider's refusal or failure, normalised. `detail` is safe to show: redacted and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamError {
    pub kind: ErrorKind,
    pub detail: String,
    pub http_status: Option<u16>,
    pub pushback_ms: Option<u64>,
}

/// The end of one attempt. `first_content_ms` and `total_ms` count from the attempt's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub error: Option<UpstreamError>,
    pub first_content_ms: Option<f64>,
    pub total_ms: f64,
    pub usage: Option<Usage>,
    pub committed: bool,
}

impl Outcome {
    /// `Ok` without an error, else what the error's kind means.
    #[must_use]
    pub fn class(&self) -> OutcomeClass {
        self.error.as_ref().map_or(OutcomeClass::Ok, |error| error.kind.class())
    }
}
