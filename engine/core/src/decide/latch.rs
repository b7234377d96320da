//! The gateway's own rollback: a dead candidate loses its share here, at once, without statistics
//! and without control. It stays lost until control publishes a new rollout epoch.
//!
//! An outage of both sides opens the candidate's breaker an instant before or after the incumbent's.
//! So an open breaker alone only suspects the candidate; while it keeps callers away anyway, the
//! incumbent must answer `WITNESSES` requests in a row before the candidate is blamed.

use crate::domain::outcome::OutcomeClass;
use crate::domain::snapshot::Rollout;

/// An incumbent that fails a quarter of its requests answers so many in a row once in 300 times.
const WITNESSES: u32 = 20;

/// First attempts of one rollout epoch on the candidate.
#[derive(Debug, Clone)]
pub struct Latch {
    migration: String,
    epoch: u32,
    seen: u32,
    hard: u32,
    reason: Option<String>,
    /// Requests the incumbent has answered in a row since the candidate's breakers opened.
    witnesses: Option<u32>,
}

impl Latch {
    #[must_use]
    pub fn new(rollout: &Rollout) -> Self {
        Self {
            migration: rollout.migration.clone(),
            epoch: rollout.epoch,
            seen: 0,
            hard: 0,
            reason: None,
            witnesses: None,
        }
    }

    /// Whether this latch still speaks about `rollout`.
    #[must_use]
    pub fn is_of(&self, rollout: &Rollout) -> bool {
        self.migration == rollout.migration && self.epoch == rollout.epoch
    }

    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Counts a first attempt on the candidate. A refused credential is as dead as a dead server;
    /// overload, the caller's own errors and callers who left say nothing about life.
    pub fn observe(&mut self, rollout: &Rollout, class: OutcomeClass) {
        let failed = match class {
            OutcomeClass::Hard | OutcomeClass::Config => true,
            OutcomeClass::Ok => false,
            OutcomeClass::Overload | OutcomeClass::Caller | OutcomeClass::Cancelled => return,
        };
        if self.reason.is_some() || self.seen >= rollout.dead_of {
            return;
        }
        self.seen += 1;
        self.hard += u32::from(failed);
        if failed && self.hard >= rollout.dead_hard {
            let (hard, seen) = (self.hard, self.seen);
            self.reason = Some(format!("{hard} of the candidate's first {seen} attempts failed"));
        }
    }

    /// No endpoint of the candidate may serve. Closes once the incumbent has shown that it is well.
    pub fn suspect(&mut self) {
        if *self.witnesses.get_or_insert(0) >= WITNESSES {
            self.reason
                .get_or_insert_with(|| "the breaker is open on every endpoint of the candidate".to_owned());
        }
    }

    /// The candidate serves again.
    pub fn acquit(&mut self) {
        self.witnesses = None;
    }

    /// Counts an attempt on the incumbent while the candidate is suspected.
    pub fn witness(&mut self, class: OutcomeClass) {
        let Some(witnesses) = &mut self.witnesses else {
            return;
        };
        match class {
            OutcomeClass::Ok => *witnesses = witnesses.saturating_add(1),
            OutcomeClass::Hard | OutcomeClass::Config => *witnesses = 0,
            OutcomeClass::Overload | OutcomeClass::Caller | OutcomeClass::Cancelled => {}
        }
    }
}
