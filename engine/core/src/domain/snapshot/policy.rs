//! The numbers by which an endpoint's health is judged and a request's attempts are bounded. Mirrors
//! `crossfade.domain.snapshot`, where each is explained.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerPolicy {
    pub consecutive_hard: u32,
    pub distinct_requests: u32,
    pub hard_share: f64,
    pub confidence: f64,
    pub min_hard: u32,
    pub windows_s: Vec<u32>,
    pub open_s: f64,
    pub open_cap_s: f64,
    pub long_open_s: f64,
    pub long_open_after: u32,
    pub jitter: f64,
    pub probe_successes: u32,
    pub ramp_shares: Vec<f64>,
    pub ramp_outcomes: Vec<u32>,
    pub ramp_dwell_s: f64,
    pub ramp_patience_s: f64,
    pub ramp_hard_share: f64,
    pub slow_share: f64,
    pub slow_confidence: f64,
    pub min_slow: u32,
    pub slow_windows_s: Vec<u32>,
    pub slow_entry_share: f64,
    pub ramp_slow_share: f64,
    pub down_slow_share: f64,
    pub down_overload_share: f64,
    pub ramp_dwell_cap_s: f64,
    pub shortage_share: f64,
    pub shortage_min: u32,
    pub shortage_window_s: u32,
    pub shortage_used_share: f64,
    pub probe_hedge_ms: u64,
    pub canary_after_s: f64,
    pub forgive_s: f64,
    pub ramp_hard_run: u32,
    pub ramp_confidence: f64,
    pub ramp_patient_outcomes: u32,
    pub quarantine_after: u32,
    pub quarantine_within_s: f64,
    pub quarantine_s: f64,
    pub pushback_ms: u64,
    pub pushback_cap_s: f64,
    pub group_openings: u32,
    pub group_within_s: f64,
    pub group_traffic: f64,
    pub group_share: f64,
    pub group_cleared_share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    pub connect_ms: u64,
    pub header_ms: u64,
    pub first_content_ms: u64,
    pub first_content_floor_ms: u64,
    pub first_content_factor: f64,
    pub baseline_answers: u64,
    pub liveness_ms: u64,
    pub progress_ms: u64,
    pub ping_progress_ms: u64,
    pub total_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    pub max_attempts: u32,
    pub same_endpoint_retries: u32,
    pub retry_within_ms: u64,
    pub retry_ratio: f64,
    pub retry_reserve_per_s: f64,
    pub retry_ttl_s: f64,
    pub pushback_wait_ms: u64,
    pub trickle_per_s: f64,
    pub trickle_share: f64,
}
