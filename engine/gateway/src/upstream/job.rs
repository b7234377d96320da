//! A request that has been planned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_core::domain::decision::Decision;
use crossfade_core::domain::limits::Limits;
use crossfade_core::domain::request::{ChatRequest, RequestFacts};
use crossfade_core::domain::snapshot::Snapshot;

use crate::edge::room::Held;
use crate::shared::{Moment, Shared};

/// What all attempts of one request have in common.
pub struct Job {
    pub shared: Arc<Shared>,
    pub snapshot: Arc<Snapshot>,
    pub facts: RequestFacts,
    pub request: Arc<ChatRequest>,
    pub decision: Decision,
    pub caller: Option<String>,
    /// What the caller's key has left, where it declares allowances: boxed, because most do not.
    pub allowances: Option<Box<Limits>>,
    pub include_usage: bool,
    /// The caller knows what to do with an answer that begins anew.
    pub accepts_restart: bool,
    pub began: Moment,
    pub request_text: Option<Arc<str>>,
    /// The request's own part of the room for bodies.
    pub held: Held,
}

impl Job {
    /// The request's deadline.
    #[must_use]
    pub fn end(&self) -> Instant {
        let total = self.decision.deadlines.total_ms;
        self.began.at + Duration::from_millis(self.facts.deadline_ms.map_or(total, |own| own.min(total)))
    }

    /// What remains until then.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.remaining_at(Instant::now())
    }

    /// As `remaining`, where the time is known.
    #[must_use]
    pub fn remaining_at(&self, now: Instant) -> Duration {
        self.end().saturating_duration_since(now)
    }
}
