//! What the engine decided, with its reasons: values, so that they can be recorded and replayed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::snapshot::{Attempts, Deadlines, Hold};

/// Why something was decided: mostly words that need no copy.
pub type Reason = Cow<'static, str>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmKind {
    Main,
    Baseline,
    Candidate,
    Experiment,
    Shadow,
    Pin,
}

impl ArmKind {
    /// The name used in records and headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Baseline => "baseline",
            Self::Candidate => "candidate",
            Self::Experiment => "experiment",
            Self::Shadow => "shadow",
            Self::Pin => "pin",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    First,
    Retry,
    Spillover,
    Failover,
    Probe,
    Shadow,
    /// Goes on with a stream that broke.
    Rescue,
}

impl Role {
    /// The name used in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Spillover => "spillover",
            Self::Failover => "failover",
            Self::Probe => "probe",
            Self::Shadow => "shadow",
            Self::Rescue => "rescue",
        }
    }
}

/// Which side of which comparison serves the request; `share` is the candidate's when assigned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssignedArm {
    pub kind: ArmKind,
    pub name: Option<String>,
    pub share: Option<f64>,
}

/// One place that may serve the request, in order of preference. `target`: index of the target in
/// the request's own ordered list, so that siblings of one pool share a number.
/// `level`: the breaker's admitted share when chosen (1 = closed); `probe`: half-open probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub endpoint: String,
    pub target: usize,
    pub set: Map<String, Value>,
    pub level: f64,
    pub probe: bool,
    /// A better place was full.
    pub spilled: bool,
    /// Its learnt first-content deadline, and the mark above which it is slow, where known.
    pub first_content_ms: Option<u64>,
    pub slow_ms: Option<f64>,
    pub reason: Reason,
}

/// A shadow copy to send beside the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowPlan {
    pub name: String,
    pub candidate: Candidate,
    pub in_flight: u32,
    pub capture: bool,
}

/// Who may serve a request, in which order and within which limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub feature: String,
    pub snapshot_version: u64,
    pub arm: AssignedArm,
    pub candidates: Vec<Candidate>,
    pub skipped: Vec<Skipped>,
    pub deadlines: Deadlines,
    pub attempts: Attempts,
    pub hold: Hold,
    pub capture: bool,
    pub shadow: Option<ShadowPlan>,
}

/// An endpoint that was considered and left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub endpoint: String,
    pub reason: String,
}

/// Why no endpoint may serve: told to the caller at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "refusal")]
pub enum Refusal {
    UnknownFeature {
        feature: String,
        nearest: Option<String>,
    },
    UnknownPin {
        endpoint: String,
    },
    NoEligibleEndpoint {
        feature: String,
    },
    /// `lacks`: what each of its endpoints lacks, such as "reads no images".
    Incapable {
        feature: String,
        lacks: String,
    },
    AllOpen {
        feature: String,
        retry_after_ms: u64,
    },
}

/// What to do next after an attempt failed before any content reached the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "next")]
pub enum Next {
    /// `candidate`: index into `Decision::candidates`; wait first (pushback), then try. `backup`:
    /// should it fail, another is left to ask, and must be left time for its answer.
    Attempt {
        candidate: usize,
        role: Role,
        wait_ms: u64,
        backup: bool,
        reason: Reason,
    },
    GiveUp {
        reason: Reason,
    },
}
