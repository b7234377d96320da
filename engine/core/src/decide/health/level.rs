//! One level of the ramp: its outcomes, and when they and the time passed say up, down or open.

use crate::domain::outcome::OutcomeClass;
use crate::domain::snapshot::BreakerPolicy;

use super::bound::share_exceeds;

/// What has happened at the level since it was entered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    pub(super) index: usize,
    pub(super) since: f64,
    pub(super) dwell_s: f64,
    total: u32,
    hard: u32,
    slow: u32,
    overload: u32,
    run: u32,
}

/// Where the level leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    Up,
    Down,
    Again,
    Open,
}

impl Level {
    pub(super) fn enter(index: usize, dwell_s: f64, now: f64) -> Self {
        Self { index, since: now, dwell_s, total: 0, hard: 0, slow: 0, overload: 0, run: 0 }
    }

    pub(super) fn count(&mut self, class: OutcomeClass, slow: bool) {
        match class {
            OutcomeClass::Ok => {
                self.slow += u32::from(slow);
                self.run = 0;
            }
            OutcomeClass::Hard => {
                self.hard += 1;
                self.run += 1;
            }
            OutcomeClass::Overload => self.overload += 1,
            OutcomeClass::Config | OutcomeClass::Caller | OutcomeClass::Cancelled => return,
        }
        self.total += 1;
    }

    /// Up needs evidence *and* time; down and open need evidence alone.
    pub(super) fn step(&self, policy: &BreakerPolicy, now: f64) -> Step {
        let above = |count: u32, share: f64| f64::from(count) > share * f64::from(self.total);
        if self.run >= policy.ramp_hard_run
            || share_exceeds(self.hard, self.total, policy.hard_share, policy.ramp_confidence)
        {
            return Step::Open;
        }
        let strained =
            above(self.slow, policy.down_slow_share) || above(self.overload, policy.down_overload_share);
        if self.total >= policy.min_slow && strained {
            return Step::Down;
        }
        let needed = policy.ramp_outcomes.get(self.index).copied().unwrap_or(1);
        let quick = !above(self.slow, policy.ramp_slow_share);
        let waited = now - self.since;
        let patient = waited >= policy.ramp_patience_s.max(self.dwell_s);
        if waited >= self.dwell_s
            && self.total >= needed
            && !above(self.hard, policy.ramp_hard_share)
            && quick
        {
            return Step::Up;
        }
        if patient && self.total >= policy.ramp_patient_outcomes && self.hard == 0 && quick {
            return Step::Up;
        }
        // Failures too few to open and too many to go up: they must not hold it for ever.
        if patient && (self.hard > 0 || !quick) { Step::Again } else { Step::Stay }
    }

    /// The evidence, as people read it.
    pub(super) fn evidence(&self, now: f64) -> String {
        let Self { total, hard, slow, overload, .. } = self;
        format!("{total} outcomes, {hard} failed, {slow} slow, {overload} full in {:.0} s", now - self.since)
    }
}
