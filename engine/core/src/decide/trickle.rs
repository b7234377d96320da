//! Everything is open: refusing all would also refuse the moment of recovery. A trickle of requests
//! goes to the endpoint that failed least, each once; the rest is refused with the time to come back.

use std::borrow::Cow;

use crate::domain::by_name::{ByName, Names};
use crate::domain::decision::Candidate;
use crate::domain::snapshot::{Attempts, Snapshot, Target};

use super::health::breaker::Breaker;
use super::health::window::Window;

const DEMAND_S: u32 = 10;

/// One feature's trickle.
#[derive(Debug)]
pub struct Trickle {
    demand: Window,
    last: f64,
}

impl Default for Trickle {
    fn default() -> Self {
        Self { demand: Window::new(DEMAND_S), last: f64::NEG_INFINITY }
    }
}

impl Trickle {
    /// Whether this request is one of the few: so many a second, or a part of the demand.
    pub fn admits(&mut self, policy: &Attempts, now: f64) -> bool {
        self.demand.add(false, now);
        let per_s = f64::from(self.demand.counts(now).1) / f64::from(DEMAND_S);
        let admitted = (now - self.last) * policy.trickle_per_s.max(policy.trickle_share * per_s) >= 1.0;
        if admitted {
            self.last = now;
        }
        admitted
    }
}

/// The eligible endpoint that failed least of late. Quarantined and forced ones stay out.
pub fn least_bad(
    snapshot: &Snapshot,
    eligible: &Names,
    targets: &[(&Target, Cow<'static, str>)],
    breakers: &mut ByName<Breaker>,
    now: f64,
) -> Option<Candidate> {
    let mut best: Option<(f64, Candidate)> = None;
    for (index, (target, _)) in targets.iter().enumerate() {
        for name in snapshot.pools.get(&target.pool).into_iter().flat_map(|pool| &pool.endpoints) {
            let Some(breaker) = breakers.get_mut(name).filter(|one| one.is_tripped()) else {
                continue;
            };
            let failed = breaker.failed_share(now);
            let better = best.as_ref().is_none_or(|(least, _)| failed < *least);
            if better && eligible.contains(name) {
                let candidate = Candidate {
                    endpoint: name.clone(),
                    target: index,
                    set: target.set.clone(),
                    level: 0.0,
                    probe: false,
                    spilled: false,
                    first_content_ms: None,
                    slow_ms: None,
                    reason: "every endpoint is open: a trickle to the one that failed least".into(),
                };
                best = Some((failed, candidate));
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}
