//! Turns a feature's targets into an ordered list of endpoints: the compliance filter first and
//! never relaxed, then health, then the pool's own order. Everything left out is named.

use crate::domain::decision::{Candidate, Skipped};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Choose, Snapshot, Target};

use super::breaker::{Admission, Breaker};
use super::split::split_point;

use std::collections::BTreeMap;

/// What `rank` reads, and the breakers whose probe slot it may take.
pub struct Ranking<'a> {
    pub snapshot: &'a Snapshot,
    pub eligible: &'a [String],
    pub breakers: &'a mut BTreeMap<String, Breaker>,
    pub request: &'a RequestFacts,
    pub now: f64,
    pub draw: f64,
}

/// Ordered candidates, what was left out, and when the earliest of those may be asked again.
#[derive(Debug, Default)]
pub struct Ranked {
    pub candidates: Vec<Candidate>,
    pub skipped: Vec<Skipped>,
    pub retry_at: Option<f64>,
    pushed_back: Vec<(f64, Candidate)>,
}

impl Ranking<'_> {
    /// Ranks the endpoints of `targets`; `why` says what each target is.
    pub fn rank(&mut self, targets: &[(&Target, String)]) -> Ranked {
        let mut ranked = Ranked::default();
        for (index, (target, why)) in targets.iter().enumerate() {
            for name in self.pool_order(target) {
                self.consider(&mut ranked, &name, index, target, why);
            }
        }
        // All healthy ones are pushed back: the one that returns first is asked, rather than nobody.
        if ranked.candidates.is_empty() {
            ranked.pushed_back.sort_by(|a, b| a.0.total_cmp(&b.0));
            ranked.candidates.extend(ranked.pushed_back.drain(..).map(|(_, candidate)| candidate));
        }
        ranked
    }

    fn consider(&mut self, ranked: &mut Ranked, name: &str, index: usize, target: &Target, why: &str) {
        if ranked.candidates.iter().any(|known| known.endpoint == name) {
            return;
        }
        if !self.eligible.iter().any(|allowed| allowed == name) {
            ranked.skip(name, "not eligible for this feature (no valid compliance verdict)".to_owned());
            return;
        }
        let Some(breaker) = self.breakers.get_mut(name) else {
            return;
        };
        // An endpoint that is recovering serves as somebody's first choice or not at all: the
        // retry of a request that has already failed must not be its test.
        if !breaker.is_closed() && !breaker.is_open() && !ranked.candidates.is_empty() {
            ranked.skip(name, "half-open: not used as a backup".to_owned());
            return;
        }
        let point = split_point(&self.request.feature, &self.request.request_id);
        match breaker.admit(point, self.now) {
            Admission::No { reason, retry_at } => {
                ranked.retry_at = Some(ranked.retry_at.map_or(retry_at, |at: f64| at.min(retry_at)));
                ranked.skip(name, reason);
            }
            Admission::Yes { share, probe } => {
                let candidate = Candidate {
                    endpoint: name.to_owned(),
                    target: index,
                    set: target.set.clone(),
                    level: share,
                    probe,
                    reason: if probe {
                        format!("{why}; probe of a half-open endpoint")
                    } else {
                        why.to_owned()
                    },
                };
                if let Some(until) = breaker.pushed_back_until(self.now) {
                    ranked.skip(name, format!("asked to come back in {:.1} s", until - self.now));
                    ranked.pushed_back.push((until, candidate));
                } else {
                    ranked.candidates.push(candidate);
                }
            }
        }
    }

    fn pool_order(&self, target: &Target) -> Vec<String> {
        let Some(pool) = self.snapshot.pools.get(&target.pool) else {
            return Vec::new();
        };
        let mut order = pool.endpoints.clone();
        if pool.choose == Choose::Weighted {
            // Rotating to the drawn endpoint keeps the listed order for the backups behind it.
            let weight =
                |name: &String| self.snapshot.endpoints.get(name).map_or(0.0, |endpoint| endpoint.weight);
            let total: f64 = order.iter().map(weight).sum();
            let mut left = self.draw * total;
            let drawn = order.iter().position(|name| {
                left -= weight(name);
                left < 0.0
            });
            order.rotate_left(drawn.unwrap_or(0));
        }
        order
    }
}

impl Ranked {
    fn skip(&mut self, endpoint: &str, reason: String) {
        self.skipped.push(Skipped { endpoint: endpoint.to_owned(), reason });
    }
}
