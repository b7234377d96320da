//! The health gate of one endpoint: CLOSED → OPEN → half-open (probe, then a ramp of shares) →
//! CLOSED, with QUARANTINED beside it for our own mistakes (wrong credential, wrong model id).
//!
//! It opens on evidence (a run of failures over distinct requests, or an exact lower bound of the
//! failure share) and closes on evidence *and* time: a pure time ramp jumps at low traffic. Full
//! is not broken: overload never opens it, it only sets `not_before`.

use crate::domain::outcome::OutcomeClass;
use crate::domain::snapshot::BreakerPolicy;

use super::bound::share_exceeds;
use super::split::split_point;
use super::window::Window;

/// CONFIG outcomes within `CONFIG_WITHIN_S` without a success that quarantine an endpoint.
const CONFIG_LIMIT: u32 = 2;
const CONFIG_WITHIN_S: f64 = 10.0;
/// How long a quarantined endpoint rests before one request may try whether it was mended.
const QUARANTINE_S: f64 = 60.0;
/// A probe whose outcome never comes (its caller vanished with us) frees the slot after this.
const PROBE_SLOT_S: f64 = 60.0;
/// How long closed forgives one opening, so that an old incident does not lengthen a new one.
const FORGIVE_S: f64 = 60.0;
/// Pushback when a provider says "too much" without saying until when: long enough to matter, short
/// enough to wait out.
pub const DEFAULT_PUSHBACK_MS: u64 = 1000;
const LONGEST_PUSHBACK_S: f64 = 300.0;

#[derive(Debug, Clone, PartialEq)]
enum State {
    Closed,
    Open { until: f64 },
    Probe { successes: u32, in_flight_since: Option<f64> },
    Ramp { level: usize, since: f64, total: u32, hard: u32, run: u32 },
    Quarantined { until: f64 },
}

/// May this request use the endpoint?
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// `share`: what the breaker admits now (1 = closed).
    Yes {
        share: f64,
        probe: bool,
    },
    No {
        reason: String,
        retry_at: f64,
    },
}

/// One endpoint's breaker. All times are monotonic seconds.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: BreakerPolicy,
    seed: String,
    state: State,
    windows: Vec<Window>,
    run: u32,
    run_requests: Vec<String>,
    openings: u32,
    healthy_since: f64,
    config_failures: Vec<f64>,
    not_before: f64,
    reason: String,
}

/// What the breaker needs to know of an outcome.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub request_id: &'a str,
    pub class: OutcomeClass,
    pub level: f64,
    pub probe: bool,
    pub pushback_ms: Option<u64>,
}

impl Breaker {
    /// `seed` makes the jitter of each endpoint its own.
    #[must_use]
    pub fn new(policy: BreakerPolicy, seed: &str, now: f64) -> Self {
        let windows = policy.windows_s.iter().map(|&span| Window::new(span)).collect();
        Self {
            policy,
            seed: seed.to_owned(),
            state: State::Closed,
            windows,
            run: 0,
            run_requests: Vec::new(),
            openings: 0,
            healthy_since: now,
            config_failures: Vec::new(),
            not_before: f64::NEG_INFINITY,
            reason: "closed".to_owned(),
        }
    }

    /// New rules for the same endpoint; its health stays.
    pub fn adopt(&mut self, policy: &BreakerPolicy) {
        if self.policy.windows_s != policy.windows_s {
            self.windows = policy.windows_s.iter().map(|&span| Window::new(span)).collect();
        }
        if self.policy != *policy {
            self.policy = policy.clone();
        }
    }

    /// `(state, admitted share, reason)` as people and metrics name them.
    #[must_use]
    pub fn report(&self) -> (&'static str, f64, &str) {
        let (name, share) = match &self.state {
            State::Closed => ("closed", 1.0),
            State::Open { .. } => ("open", 0.0),
            State::Probe { .. } => ("half_open", 0.0),
            State::Ramp { level, .. } => ("half_open", self.ramp_share(*level)),
            State::Quarantined { .. } => ("quarantined", 0.0),
        };
        (name, share, &self.reason)
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Open or quarantined: no request may go there now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Quarantined { .. })
    }

    /// Until when the provider asked us to stay away, if that is still ahead.
    #[must_use]
    pub fn pushed_back_until(&self, now: f64) -> Option<f64> {
        (self.not_before > now).then_some(self.not_before)
    }

    /// Whether a request whose place is `point` (in [0, 1)) may use the endpoint now. A granted
    /// probe takes the one probe slot.
    pub fn admit(&mut self, point: f64, now: f64) -> Admission {
        self.tick(now);
        let reason = self.reason.clone();
        match &mut self.state {
            State::Closed => Admission::Yes { share: 1.0, probe: false },
            State::Open { until } | State::Quarantined { until } => {
                Admission::No { reason, retry_at: *until }
            }
            State::Probe { in_flight_since: Some(since), .. } if now - *since < PROBE_SLOT_S => {
                Admission::No {
                    reason: "half-open: its one probe is in flight".to_owned(),
                    retry_at: now + 1.0,
                }
            }
            State::Probe { in_flight_since, .. } => {
                *in_flight_since = Some(now);
                Admission::Yes { share: 0.0, probe: true }
            }
            State::Ramp { level, .. } => {
                let share = self.policy.ramp_shares.get(*level).copied().unwrap_or(1.0);
                if point < share {
                    return Admission::Yes { share, probe: false };
                }
                let reason = format!("half-open: admits {:.0} % of requests", share * 100.0);
                Admission::No { reason, retry_at: now + self.policy.ramp_dwell_s }
            }
        }
    }

    /// Time alone: OPEN ends in PROBE, a patient level goes up, a long healthy time forgives.
    pub fn tick(&mut self, now: f64) {
        match self.state {
            State::Open { until } | State::Quarantined { until } if now >= until.max(self.not_before) => {
                self.state = State::Probe { successes: 0, in_flight_since: None };
                "half-open: waiting for a successful probe".clone_into(&mut self.reason);
            }
            State::Ramp { .. } => self.climb(now),
            State::Closed if self.openings > 0 && now - self.healthy_since >= FORGIVE_S => {
                self.openings -= 1;
                self.healthy_since = now;
            }
            _ => {}
        }
    }

    /// Counts an attempt that has closed.
    pub fn observe(&mut self, seen: &Seen<'_>, now: f64) {
        match seen.class {
            OutcomeClass::Ok => self.count_good(seen, now),
            OutcomeClass::Hard => self.count_hard(seen, now),
            OutcomeClass::Overload => {
                self.push_back(seen.pushback_ms, now);
                self.free_probe(seen);
            }
            OutcomeClass::Config => self.count_config(seen, now),
            OutcomeClass::Caller | OutcomeClass::Cancelled => self.free_probe(seen),
        }
    }

    fn count_good(&mut self, seen: &Seen<'_>, now: f64) {
        self.config_failures.clear();
        self.run = 0;
        self.run_requests.clear();
        match &mut self.state {
            State::Closed => self.windows.iter_mut().for_each(|window| window.add(false, now)),
            State::Probe { successes, in_flight_since } if seen.probe => {
                *in_flight_since = None;
                *successes += 1;
                if *successes >= self.policy.probe_successes {
                    self.enter_level(0, now);
                }
            }
            State::Ramp { level, total, run, .. } if seen.level == ramp_share(&self.policy, *level) => {
                *total += 1;
                *run = 0;
                self.climb(now);
            }
            _ => {}
        }
    }

    fn count_hard(&mut self, seen: &Seen<'_>, now: f64) {
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
            State::Ramp { level, total, hard, run, .. } if seen.level == ramp_share(&self.policy, *level) => {
                *total += 1;
                *hard += 1;
                *run += 1;
                if *run >= 3 || share_exceeds(*hard, *total, self.policy.hard_share, 0.99) {
                    let reason = format!("failed again at {:.0} %", seen.level * 100.0);
                    self.open(reason, now);
                }
            }
            _ => {}
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

    fn open(&mut self, reason: String, now: f64) {
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
        self.reason = format!("breaker open: {reason}");
        self.state = State::Open { until: (now + wait).max(self.not_before) };
        self.run = 0;
        self.run_requests.clear();
    }

    fn enter_level(&mut self, level: usize, now: f64) {
        if level >= self.policy.ramp_shares.len() {
            self.state = State::Closed;
            "closed".clone_into(&mut self.reason);
            self.healthy_since = now;
            self.windows.iter_mut().for_each(Window::clear);
            return;
        }
        self.reason = format!("half-open: {:.0} % after recovery", self.ramp_share(level) * 100.0);
        self.state = State::Ramp { level, since: now, total: 0, hard: 0, run: 0 };
    }

    /// Up one level when both time and evidence allow it; little traffic is enough evidence only
    /// after `ramp_patience_s`, with three successes and no failure.
    fn climb(&mut self, now: f64) {
        let State::Ramp { level, since, total, hard, .. } = self.state else {
            return;
        };
        let needed = self.policy.ramp_outcomes.get(level).copied().unwrap_or(1);
        let healthy = f64::from(hard) <= self.policy.ramp_hard_share * f64::from(total);
        let enough = now - since >= self.policy.ramp_dwell_s && total >= needed && healthy;
        let patient = now - since >= self.policy.ramp_patience_s && total >= 3 && hard == 0;
        if enough || patient {
            self.enter_level(level + 1, now);
        } else if hard > 0 && now - since >= self.policy.ramp_patience_s {
            // Failures too few to open and too many to go up: they must not hold it for ever.
            self.enter_level(level, now);
        }
    }

    /// Stays away until the provider wants us back; believed up to five minutes.
    pub fn push_back(&mut self, pushback_ms: Option<u64>, now: f64) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
        let wait = pushback_ms.unwrap_or(DEFAULT_PUSHBACK_MS) as f64 / 1000.0;
        self.not_before = self.not_before.max(now + wait.min(LONGEST_PUSHBACK_S));
    }

    fn count_config(&mut self, seen: &Seen<'_>, now: f64) {
        self.free_probe(seen);
        if matches!(self.state, State::Quarantined { .. }) {
            return; // late answers to what was sent before must not prolong it
        }
        self.config_failures.retain(|&at| now - at < CONFIG_WITHIN_S);
        self.config_failures.push(now);
        let probing = seen.probe && matches!(self.state, State::Probe { .. });
        if probing || self.config_failures.len() >= CONFIG_LIMIT as usize {
            self.config_failures.clear();
            self.state = State::Quarantined { until: now + QUARANTINE_S };
            "quarantined: the provider refuses our credential or model id".clone_into(&mut self.reason);
        }
    }

    fn free_probe(&mut self, seen: &Seen<'_>) {
        if let State::Probe { in_flight_since, .. } = &mut self.state
            && seen.probe
        {
            *in_flight_since = None;
        }
    }

    fn ramp_share(&self, level: usize) -> f64 {
        ramp_share(&self.policy, level)
    }
}

fn ramp_share(policy: &BreakerPolicy, level: usize) -> f64 {
    policy.ramp_shares.get(level).copied().unwrap_or(1.0)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
