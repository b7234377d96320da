//! The health gate of one endpoint: CLOSED → OPEN → half-open (probe, then a ramp of shares) →
//! CLOSED, with QUARANTINED beside it for our own mistakes (wrong credential, wrong model id).
//!
//! It opens on evidence (a run of failures over distinct requests, or an exact lower bound of the
//! failure share) and closes on evidence *and* time: a pure time ramp jumps at low traffic. Full
//! is not broken: overload never opens it, it only sets `not_before`.

use crate::domain::outcome::OutcomeClass;
use crate::domain::snapshot::BreakerPolicy;

use super::level::Level;
use super::timeline::{Timeline, Transition};
use super::window::Window;

mod evidence;
mod moves;

/// A probe whose outcome never comes (its caller vanished with us) frees the slot after this.
const PROBE_SLOT_S: f64 = 60.0;
/// A healthy endpoint fails one request in hundreds: one in ten is an incident.
const FAILING_ONE_OF: u32 = 10;
/// Of the longest time open: the jitter and a probe come on top.
const RECOVERING: f64 = 1.5;

#[derive(Debug, Clone, PartialEq)]
enum State {
    Closed,
    Open { until: f64 },
    Probe { successes: u32, in_flight_since: Option<f64> },
    Ramp(Level),
    Quarantined { until: f64 },
}

/// An operator's word over the breaker's own, until it ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Force {
    pub open: bool,
    pub until: f64,
    pub reason: String,
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
    /// All attempts, the full ones as hard: for the shortage rule.
    load: Window,
    dwell_s: f64,
    force: Option<Force>,
    timeline: Timeline,
    run: u32,
    run_requests: Vec<String>,
    openings: u32,
    healthy_since: f64,
    changed_at: f64,
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
    /// Later than what is normal for such a request.
    pub slow: bool,
    /// Share of the endpoint's declared capacity that we used ourselves, where it is known.
    pub used_share: Option<f64>,
}

impl Breaker {
    /// `seed` makes the jitter of each endpoint its own.
    #[must_use]
    pub fn new(policy: BreakerPolicy, seed: &str, now: f64) -> Self {
        let windows = policy.windows_s.iter().map(|&span| Window::new(span)).collect();
        Self {
            load: Window::new(policy.shortage_window_s),
            dwell_s: policy.ramp_dwell_s,
            force: None,
            timeline: Timeline::default(),
            policy,
            seed: seed.to_owned(),
            state: State::Closed,
            windows,
            run: 0,
            run_requests: Vec::new(),
            openings: 0,
            healthy_since: now,
            changed_at: now,
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
        if let Some(force) = &self.force {
            let (name, share) = if force.open { ("forced_open", 0.0) } else { ("forced_closed", 1.0) };
            return (name, share, &force.reason);
        }
        let (name, share) = match &self.state {
            State::Closed => ("closed", 1.0),
            State::Open { .. } => ("open", 0.0),
            State::Probe { .. } => ("half_open", 0.0),
            State::Ramp(level) => ("half_open", self.ramp_share(level.index)),
            State::Quarantined { .. } => ("quarantined", 0.0),
        };
        (name, share, &self.reason)
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.force.as_ref().map_or(self.state == State::Closed, |force| !force.open)
    }

    /// Open or quarantined: no request may go there now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let own = matches!(self.state, State::Open { .. } | State::Quarantined { .. });
        self.force.as_ref().map_or(own, |force| force.open)
    }

    /// Whether the breaker itself is closed, whatever an operator says: only then it is learnt from.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.state == State::Closed
    }

    /// Open by its own evidence: not quarantined, not by an operator's word.
    #[must_use]
    pub fn is_tripped(&self) -> bool {
        matches!(self.state, State::Open { .. }) && self.force.is_none()
    }

    /// Share of failures in the longest window.
    pub fn failed_share(&mut self, now: f64) -> f64 {
        let (hard, total) = self.windows.last_mut().map_or((0, 0), |window| window.counts(now));
        f64::from(hard) / f64::from(total.max(1))
    }

    /// Not closed or only lately so again, or a tenth of its latest attempts failed or were refused as
    /// full. "Lately": so long may another endpoint of the same incident stay open.
    pub fn is_failing(&mut self, now: f64) -> bool {
        let shortest = self.windows.first_mut().map_or((0, 0), |window| window.counts(now));
        let fails = |(bad, total): (u32, u32)| bad > 0 && bad * FAILING_ONE_OF >= total;
        let recovers = self.openings > 0 && now - self.changed_at < self.policy.long_open_s * RECOVERING;
        !self.is_closed() || recovers || fails(shortest) || fails(self.load.counts(now))
    }

    /// First attempts of the longest window.
    pub fn traffic(&mut self, now: f64) -> u32 {
        self.windows.last_mut().map_or(0, |window| window.counts(now).1)
    }

    /// Since when a probe has been awaited that nobody has sent.
    #[must_use]
    pub fn awaits_probe_since(&self) -> Option<f64> {
        match self.state {
            State::Probe { in_flight_since: None, .. } if self.force.is_none() => Some(self.changed_at),
            _ => None,
        }
    }

    /// What quarantined it was missing here, and has come: it says nothing against the provider.
    pub fn forgive(&mut self, now: f64) {
        self.config_failures.clear();
        if matches!(self.state, State::Quarantined { .. }) {
            self.become_state(State::Closed, "closed: its credential has come".to_owned(), now);
        }
    }

    /// An operator's force, or its release.
    pub fn force(&mut self, force: Option<Force>, now: f64) {
        let from = self.report().0;
        self.force = force;
        let (to, _, reason) = self.report();
        let reason = if self.force.is_some() { reason.to_owned() } else { "released".to_owned() };
        self.timeline.note(Transition { at: now, from: from.to_owned(), to: to.to_owned(), reason });
    }

    /// Something happened beside the breaker that readers of its timeline want to know.
    pub fn note(&mut self, reason: String, now: f64) {
        let (name, share, _) = self.report();
        let state = format!("{name} {share:.2}");
        self.timeline.note(Transition { at: now, from: state.clone(), to: state, reason });
    }

    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Drops a healthy endpoint to the highest level that is at most `share`.
    pub fn suspect(&mut self, reason: &str, now: f64) {
        if self.state == State::Closed {
            self.enter_level(self.level_of(self.policy.group_share), now, reason);
        }
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
        if let Some(Force { open, until, reason }) = &self.force {
            return if *open {
                Admission::No { reason: format!("forced open: {reason}"), retry_at: *until }
            } else {
                Admission::Yes { share: 1.0, probe: false }
            };
        }
        match &mut self.state {
            State::Closed => Admission::Yes { share: 1.0, probe: false },
            State::Open { until } | State::Quarantined { until } => {
                Admission::No { reason: self.reason.clone(), retry_at: *until }
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
            State::Ramp(level) => {
                let share = self.policy.ramp_shares.get(level.index).copied().unwrap_or(1.0);
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
        if self.force.as_ref().is_some_and(|force| now >= force.until) {
            self.force(None, now);
        }
        match self.state {
            State::Open { until } | State::Quarantined { until } if now >= until.max(self.not_before) => {
                let state = State::Probe { successes: 0, in_flight_since: None };
                self.become_state(state, "half-open: waiting for a successful probe".to_owned(), now);
            }
            State::Ramp(_) => self.move_level(now),
            State::Closed if self.openings > 0 && now - self.healthy_since >= self.policy.forgive_s => {
                self.openings -= 1;
                self.healthy_since = now;
            }
            _ => {}
        }
    }

    /// Stays away until the provider wants us back; believed up to the policy's cap.
    pub fn push_back(&mut self, pushback_ms: Option<u64>, now: f64) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
        let wait = pushback_ms.unwrap_or(self.policy.pushback_ms) as f64 / 1000.0;
        self.not_before = self.not_before.max(now + wait.min(self.policy.pushback_cap_s));
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
