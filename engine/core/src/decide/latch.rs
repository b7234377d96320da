//! The gateway's own rollback: a dead candidate loses its share here, at once, without statistics
//! and without control. It stays lost until control publishes a new rollout epoch.

use crate::domain::outcome::OutcomeClass;
use crate::domain::snapshot::Rollout;

/// First attempts of one rollout epoch on the candidate.
#[derive(Debug, Clone)]
pub struct Latch {
    migration: String,
    epoch: u32,
    seen: u32,
    hard: u32,
    reason: Option<String>,
}

impl Latch {
    #[must_use]
    pub fn new(rollout: &Rollout) -> Self {
        Self { migration: rollout.migration.clone(), epoch: rollout.epoch, seen: 0, hard: 0, reason: None }
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

    /// Counts a candidate's first attempt; `all_open`: no candidate endpoint can serve any more.
    pub fn observe(&mut self, rollout: &Rollout, class: OutcomeClass, all_open: bool) {
        if self.reason.is_some() {
            return;
        }
        let failed = matches!(class, OutcomeClass::Hard | OutcomeClass::Config);
        if self.seen < rollout.dead_of
            && matches!(class, OutcomeClass::Ok | OutcomeClass::Hard | OutcomeClass::Config)
        {
            self.seen += 1;
            self.hard += u32::from(failed);
            if self.hard >= rollout.dead_hard {
                self.reason =
                    Some(format!("{} of the candidate's first {} attempts failed", self.hard, self.seen));
                return;
            }
        }
        if all_open {
            self.reason = Some("the breaker is open on every endpoint of the candidate".to_owned());
        }
    }
}
