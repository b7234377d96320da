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

#[cfg(test)]
impl BreakerPolicy {
    /// That of a config without a `breaker`.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            consecutive_hard: 5,
            distinct_requests: 3,
            hard_share: 0.10,
            confidence: 0.999,
            min_hard: 4,
            windows_s: vec![10, 30, 120],
            open_s: 5.0,
            open_cap_s: 30.0,
            long_open_s: 300.0,
            long_open_after: 6,
            jitter: 0.2,
            probe_successes: 3,
            ramp_shares: vec![0.02, 0.05, 0.10, 0.25, 0.50],
            ramp_outcomes: vec![5, 5, 10, 20, 40],
            ramp_dwell_s: 10.0,
            ramp_patience_s: 120.0,
            ramp_hard_share: 0.05,
            slow_share: 0.30,
            slow_confidence: 0.99,
            min_slow: 6,
            slow_windows_s: vec![30, 120],
            slow_entry_share: 0.25,
            ramp_slow_share: 0.15,
            down_slow_share: 0.30,
            down_overload_share: 0.20,
            ramp_dwell_cap_s: 80.0,
            shortage_share: 0.5,
            shortage_min: 20,
            shortage_window_s: 60,
            shortage_used_share: 0.6,
            probe_hedge_ms: 1000,
            canary_after_s: 10.0,
            forgive_s: 60.0,
            ramp_hard_run: 3,
            ramp_confidence: 0.99,
            ramp_patient_outcomes: 3,
            quarantine_after: 2,
            quarantine_within_s: 10.0,
            quarantine_s: 60.0,
            pushback_ms: 1000,
            pushback_cap_s: 300.0,
            group_openings: 2,
            group_within_s: 30.0,
            group_traffic: 0.6,
            group_share: 0.1,
            group_cleared_share: 0.25,
        }
    }
}
