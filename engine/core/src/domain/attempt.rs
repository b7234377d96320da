//! What goes up to control. Mirrors `crossfade.domain.attempt`, where every field is explained.

use serde::{Deserialize, Serialize};

use super::decision::{ArmKind, Role};
use super::outcome::{ErrorKind, OutcomeClass};
use super::request::Usage;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    pub queue_ms: f64,
    pub connect_ms: Option<f64>,
    pub header_ms: Option<f64>,
    pub first_content_ms: Option<f64>,
    pub gap_p50_ms: Option<f64>,
    pub gap_max_ms: Option<f64>,
    pub total_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    pub request: String,
    pub response: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptRecord {
    pub attempt_id: String,
    pub request_id: String,
    pub index: u32,
    pub gateway: String,
    pub snapshot_version: u64,
    pub started_unix_ms: u64,
    pub feature: String,
    pub caller: Option<String>,
    pub unit: String,
    pub arm: ArmKind,
    pub arm_name: Option<String>,
    pub share: Option<f64>,
    pub endpoint: String,
    pub provider: String,
    pub region: Option<String>,
    pub model: String,
    pub capacity_class: String,
    pub served_tier: Option<String>,
    pub role: Role,
    pub reason: String,
    pub next_reason: Option<String>,
    pub stream: bool,
    pub outcome: OutcomeClass,
    pub error_kind: Option<ErrorKind>,
    pub error_detail: Option<String>,
    pub http_status: Option<u16>,
    pub provider_request_id: Option<String>,
    pub pushback_ms: Option<u64>,
    pub committed: bool,
    #[serde(rename = "final")]
    pub is_final: bool,
    pub caller_error: bool,
    pub timings: Timings,
    pub usage: Option<Usage>,
    pub stop_reason: Option<String>,
    pub max_output_tokens: Option<u64>,
    pub content: Option<Content>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmCount {
    pub feature: String,
    pub arm: ArmKind,
    pub arm_name: Option<String>,
    pub share: Option<f64>,
    pub requests: u64,
    pub caller_errors: u64,
    pub first_hard: u64,
    pub bad_units: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointHealth {
    pub endpoint: String,
    pub state: String,
    pub share: f64,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureEffect {
    pub feature: String,
    pub candidate_share: f64,
    pub rollout_epoch: Option<u32>,
    pub local_rollback: Option<String>,
    pub killed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    pub gateway: String,
    pub sequence: u64,
    pub unix_ms: u64,
    pub snapshot_version: u64,
    pub arms: Vec<ArmCount>,
    pub health: Vec<EndpointHealth>,
    pub effects: Vec<FeatureEffect>,
    pub records_dropped: u64,
    pub shadows_dropped: u64,
    pub in_flight: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    pub gateway: String,
    pub snapshot_version: u64,
    pub unix_ms: u64,
    pub effects: Vec<FeatureEffect>,
}
