//! What an outcome counts as, and when the counts are evidence.

use crate::decide::health::bound::share_exceeds;
use crate::domain::outcome::OutcomeClass;

use super::{Breaker, Seen, State, ramp_share};

/// So many attempts say that an endpoint is not waited for. Fewer than a shortage needs: nothing is held
/// against it.
const CROWDED_LEAST: u32 = 6;

impl Breaker {
    /// Counts an attempt that has closed.
    pub fn observe(&mut self, seen: &Seen<'_>, now: f64) {
        match seen.class {
            OutcomeClass::Ok => self.count_good(seen, now),
            OutcomeClass::Hard => self.count_hard(seen, now),
            OutcomeClass::Overload => self.count_full(seen, now),
            OutcomeClass::Config => self.count_config(seen, now),
            OutcomeClass::Caller | OutcomeClass::Cancelled => self.free_probe(seen),
        }
    }

    fn count_good(&mut self, seen: &Seen<'_>, now: f64) {
        self.config_failures.clear();
        self.run = 0;
        self.run_requests.clear();
        self.load.add(false, now);
        match &mut self.state {
            State::Closed => {
                self.windows.iter_mut().for_each(|window| window.add_good(seen.slow, now));
                if let Some(reason) = self.slow_reason(now) {
                    let level = self.level_of(self.policy.slow_entry_share);
                    self.enter_level(level, now, &reason);
                }
            }
            State::Probe { successes, in_flight_since } if seen.probe => {
                *in_flight_since = None;
                *successes += u32::from(!seen.slow);
                if *successes >= self.policy.probe_successes {
                    let reason = format!("{successes} probes answered in time");
                    self.dwell_s = self.policy.ramp_dwell_s;
                    self.enter_level(0, now, &reason);
                }
            }
            State::Ramp(_) => self.count_at_level(seen, now),
            _ => {}
        }
    }

    fn count_hard(&mut self, seen: &Seen<'_>, now: f64) {
        self.load.add(false, now);
        match &mut self.state {
            State::Closed => {
                self.windows.iter_mut().for_each(|window| window.add(true, now));
                self.run += 1;
                if !self.run_requests.iter().any(|known| known == seen.request_id) {
                    self.run_requests.push(seen.request_id.to_owned());
                }
                if let Some(reason) = self.trip_reason(now) {
                    self.open(reason, now);
                }
            }
            State::Probe { .. } if seen.probe => self.open("the probe failed".to_owned(), now),
            State::Ramp(_) => self.count_at_level(seen, now),
            _ => {}
        }
    }

    /// Full is not broken, unless the provider refuses most of what we send while we use little of
    /// what was declared: then it is short itself, and the attempt counts as failed.
    fn count_full(&mut self, seen: &Seen<'_>, now: f64) {
        self.push_back(seen.pushback_ms, now);
        self.free_probe(seen);
        self.load.add(true, now);
        let short = self.is_refused(self.policy.shortage_min, now)
            && seen.used_share.is_some_and(|used| used < self.policy.shortage_used_share);
        if short && self.state == State::Closed {
            let (full, total) = self.load.counts(now);
            self.open(format!("a shortage of the provider: {full} of {total} attempts were refused"), now);
        } else if matches!(self.state, State::Ramp(_)) {
            self.count_at_level(seen, now);
        }
    }

    /// Whether most of what is sent there is refused as full: waiting for it is no brief wait.
    pub fn is_crowded(&mut self, now: f64) -> bool {
        self.is_refused(CROWDED_LEAST, now)
    }

    fn is_refused(&mut self, least: u32, now: f64) -> bool {
        let (full, total) = self.load.counts(now);
        total >= least && f64::from(full) >= self.policy.shortage_share * f64::from(total)
    }

    fn count_at_level(&mut self, seen: &Seen<'_>, now: f64) {
        if let State::Ramp(level) = &mut self.state
            && seen.level == ramp_share(&self.policy, level.index)
        {
            level.count(seen.class, seen.slow);
            self.move_level(now);
        }
    }

    fn trip_reason(&mut self, now: f64) -> Option<String> {
        let distinct = u32::try_from(self.run_requests.len()).unwrap_or(u32::MAX);
        if self.run >= self.policy.consecutive_hard && distinct >= self.policy.distinct_requests {
            return Some(format!("{} consecutive hard failures", self.run));
        }
        let policy = &self.policy;
        for (window, span) in self.windows.iter_mut().zip(&policy.windows_s) {
            let (hard, total) = window.counts(now);
            if hard >= policy.min_hard && share_exceeds(hard, total, policy.hard_share, policy.confidence) {
                return Some(format!("{hard} of {total} attempts failed within {span} s"));
            }
        }
        None
    }

    /// Slow is not dead: most of the load is shed, not all of it.
    fn slow_reason(&mut self, now: f64) -> Option<String> {
        let policy = &self.policy;
        for (window, span) in self.windows.iter_mut().zip(&policy.windows_s) {
            let (slow, total) = window.slow_counts(now);
            let looked_at = policy.slow_windows_s.contains(span) && total >= policy.min_slow;
            if looked_at && share_exceeds(slow, total, policy.slow_share, policy.slow_confidence) {
                return Some(format!("{slow} of {total} answers were slow within {span} s"));
            }
        }
        None
    }

    fn count_config(&mut self, seen: &Seen<'_>, now: f64) {
        self.free_probe(seen);
        if matches!(self.state, State::Quarantined { .. }) {
            return; // late answers to what was sent before must not prolong it
        }
        let policy = &self.policy;
        self.config_failures.retain(|&at| now - at < policy.quarantine_within_s);
        self.config_failures.push(now);
        let probing = seen.probe && matches!(self.state, State::Probe { .. });
        if probing || self.config_failures.len() >= policy.quarantine_after as usize {
            self.config_failures.clear();
            let reason = "quarantined: the provider refuses our credential or model id".to_owned();
            let until = now + policy.quarantine_s;
            self.become_state(State::Quarantined { until }, reason, now);
        }
    }

    fn free_probe(&mut self, seen: &Seen<'_>) {
        if let State::Probe { in_flight_since, .. } = &mut self.state
            && seen.probe
        {
            *in_flight_since = None;
        }
    }
}
