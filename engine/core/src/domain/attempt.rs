//! What goes up to control each second. Mirrors `crossfade.domain.attempt`, where every field is explained.

use serde::{Deserialize, Serialize};

use super::decision::ArmKind;

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
