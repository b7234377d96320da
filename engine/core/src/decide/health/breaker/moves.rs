//! How a breaker changes its state, each time with the evidence.

use crate::decide::health::level::{Level, Step};
use crate::decide::health::timeline::Transition;
use crate::decide::health::window::Window;
use crate::decide::split::split_point;

use super::{Breaker, State};

impl Breaker {
    pub(super) fn move_level(&mut self, now: f64) {
        let State::Ramp(level) = &self.state else {
            return;
        };
        let (index, evidence) = (level.index, level.evidence(now));
        match level.step(&self.policy, now) {
            Step::Stay => {}
            Step::Up => self.enter_level(index + 1, now, &evidence),
            Step::Again => self.enter_level(index, now, &evidence),
            Step::Down => {
                self.dwell_s = (self.dwell_s * 2.0).min(self.policy.ramp_dwell_cap_s);
                self.enter_level(index.saturating_sub(1), now, &evidence);
            }
            Step::Open => {
                let share = self.ramp_share(index) * 100.0;
                self.open(format!("failed again at {share:.0} % ({evidence})"), now);
            }
        }
    }

    pub(super) fn open(&mut self, reason: String, now: f64) {
        self.openings += 1;
        let base = if self.openings > self.policy.long_open_after {
            self.policy.long_open_s
        } else {
            let doublings = i32::try_from(self.openings - 1).unwrap_or(30).min(30);
            (self.policy.open_s * 2f64.powi(doublings)).min(self.policy.open_cap_s)
        };
        // The moment is part of the draw, so that gateways do not probe in step.
        let draw = split_point(&self.seed, &format!("{}@{:x}", self.openings, now.to_bits()));
        let wait = base * (1.0 + self.policy.jitter * (2.0 * draw - 1.0));
        let until = (now + wait).max(self.not_before);
        self.become_state(State::Open { until }, format!("breaker open: {reason}"), now);
        self.run = 0;
        self.run_requests.clear();
    }

    pub(super) fn enter_level(&mut self, index: usize, now: f64, evidence: &str) {
        if index >= self.policy.ramp_shares.len() {
            self.become_state(State::Closed, format!("closed: {evidence}"), now);
            "closed".clone_into(&mut self.reason);
            self.healthy_since = now;
            self.dwell_s = self.policy.ramp_dwell_s;
            self.windows.iter_mut().for_each(Window::clear);
            return;
        }
        let reason = format!("half-open: {:.0} % ({evidence})", self.ramp_share(index) * 100.0);
        self.become_state(State::Ramp(Level::enter(index, self.dwell_s, now)), reason, now);
    }

    pub(super) fn become_state(&mut self, state: State, reason: String, now: f64) {
        let from = self.report();
        let from = format!("{} {:.2}", from.0, from.1);
        self.state = state;
        self.changed_at = now;
        let to = self.report();
        let to = format!("{} {:.2}", to.0, to.1);
        self.timeline.note(Transition { at: now, from, to, reason: reason.clone() });
        self.reason = reason;
    }

    /// The highest level that admits at most `share`.
    pub(super) fn level_of(&self, share: f64) -> usize {
        self.policy.ramp_shares.iter().rposition(|&level| level <= share).unwrap_or(0)
    }
}
