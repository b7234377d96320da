//! Turns a feature's targets into an ordered list of endpoints: the compliance filter first and
//! never relaxed, then health, then the pool's own order; only where there is no other backup, those
//! that are recovering or were asked to rest. Everything left out is named.

use crate::domain::by_name::ByName;
use crate::domain::decision::{Candidate, Reason, Skipped};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Pool, Signal, Snapshot, Target};

use super::able::Ways;
use super::capacity::fair::Claim;
use super::capacity::rooms::Rooms;
use super::health::breaker::{Admission, Breaker};
use super::pick::Picking;
use super::pick::members::Member;
use super::pick::paces::Paces;
use super::split::split_point;

/// What `rank` reads, and the breakers whose probe slot it may take.
pub struct Ranking<'a> {
    pub snapshot: &'a Snapshot,
    pub ways: &'a Ways<'a>,
    /// Each pool's endpoints, as its order compares them.
    pub members: &'a ByName<Vec<Member>>,
    pub breakers: &'a mut ByName<Breaker>,
    pub rooms: &'a mut Rooms,
    pub paces: &'a mut Paces,
    pub request: &'a RequestFacts,
    pub claim: Claim,
    /// Endpoints that others go before, for this request.
    pub signals: Vec<&'a Signal>,
    /// How long a short rest of the preferred model may be waited out.
    pub wait_s: f64,
    pub now: f64,
    pub draw: f64,
}

/// So many ways to serve a request make last resorts needless: the first choice and one backup.
const ENOUGH: usize = 2;
/// Further siblings of one pool are not looked at.
const MOST_OF_A_POOL: usize = 8;

/// Ordered candidates, what was left out, and when the earliest of those may be asked again.
#[derive(Debug, Default)]
pub struct Ranked {
    pub candidates: Vec<Candidate>,
    pub skipped: Vec<Skipped>,
    pub retry_at: Option<f64>,
    last_resorts: Vec<LastResort>,
    /// Well by their breaker, yet liked less: the place each would have, and why it is not given.
    disliked: Vec<(usize, Candidate, String)>,
    /// Somebody is there who is wholly well.
    ready: bool,
    /// Endpoints that have no room now.
    full: Vec<String>,
}

/// An endpoint that serves only if too few others can; `until` is now unless it was asked to rest.
#[derive(Debug)]
struct LastResort {
    until: f64,
    /// Most of what is sent there is refused: nobody waits for it while another may serve.
    crowded: bool,
    candidate: Candidate,
    reason: String,
}

impl<'a> Ranking<'a> {
    /// Ranks the endpoints of the targets; `why` says what each target is.
    pub fn rank(&mut self) -> Ranked {
        let mut ranked = Ranked { candidates: Vec::with_capacity(ENOUGH), ..Ranked::default() };
        let ways = self.ways;
        for (index, (target, why)) in ways.targets.iter().enumerate() {
            let Some(pool) = self.snapshot.pools.get(&target.pool) else {
                continue;
            };
            let (order, chosen) = self.order(&target.pool, pool);
            let why = chosen.map_or_else(|| why.clone(), |chosen| format!("{why}; {chosen}").into());
            let before = ranked.candidates.len();
            for name in order {
                // Enough of them: a request makes a few attempts, and each of these may serve.
                if ranked.candidates.len() - before >= MOST_OF_A_POOL {
                    break;
                }
                self.consider(&mut ranked, name, index, (target, &why));
            }
            ranked.wait_out(index, self.now + self.wait_s);
        }
        ranked.place_disliked();
        ranked.fill_up();
        ranked.say_who_was_passed_over();
        ranked.say_who_was_full();
        ranked
    }

    fn order(&mut self, name: &str, pool: &'a Pool) -> (Vec<&'a String>, Option<String>) {
        let mut picking = Picking {
            snapshot: self.snapshot,
            members: self.members.get(name).map_or(&[], Vec::as_slice),
            eligible: &self.ways.able,
            breakers: self.breakers,
            rooms: self.rooms,
            paces: self.paces,
            request: self.request,
            now: self.now,
            draw: self.draw,
        };
        picking.order(pool)
    }

    fn consider(&mut self, ranked: &mut Ranked, name: &str, index: usize, (target, why): (&Target, &Reason)) {
        if ranked.knows(name) {
            return;
        }
        if let Some(unable) = self.ways.unable.iter().find(|unable| unable.endpoint == name) {
            ranked.skipped.push(unable.clone());
            return;
        }
        if !self.ways.able.contains(name) {
            ranked.skip(name, "not eligible for this feature (no valid compliance verdict)".to_owned());
            return;
        }
        let Some(breaker) = self.breakers.get_mut(name) else {
            return;
        };
        let candidate = |level: f64, probe: bool, reason: Reason| {
            let (endpoint, set) = (name.to_owned(), target.set.clone());
            Candidate {
                endpoint,
                target: index,
                set,
                level,
                probe,
                spilled: false,
                first_content_ms: None,
                slow_ms: None,
                reason,
            }
        };
        breaker.tick(self.now);
        let half_open = !breaker.is_closed() && !breaker.is_open();
        let level = breaker.report().1;
        if let (Some(until), false) = (breaker.pushed_back_until(self.now), breaker.is_open()) {
            let reason = format!("asked to come back in {:.1} s", until - self.now);
            let crowded = breaker.is_crowded(self.now);
            let candidate = candidate(level, false, why.clone());
            ranked.last_resorts.push(LastResort { until, crowded, candidate, reason });
            return;
        }
        // An endpoint that is recovering serves as somebody's first choice or as a last resort: the
        // retry of a request that has already failed should not be its test.
        if half_open && !(ranked.candidates.is_empty() && ranked.disliked.is_empty()) {
            let reason = breaker.report().2.to_owned();
            ranked.later(self.now, candidate(level, false, why.clone()), reason);
            return;
        }
        if breaker.is_closed() {
            let ready_at = self.rooms.ready_at(name, self.request, self.claim, self.now);
            if ready_at > self.now {
                let used = 100.0 * self.rooms.used(name, self.now);
                ranked.full.push(name.to_owned());
                let reason = format!("full: {used:.0} % of its capacity is in use");
                return ranked.later(ready_at, candidate(level, false, why.clone()), reason);
            }
        }
        let point = split_point(&self.request.feature, &self.request.request_id);
        match breaker.admit(point, self.now) {
            Admission::No { reason, .. } if half_open => {
                ranked.later(self.now, candidate(level, false, why.clone()), reason);
            }
            Admission::No { reason, retry_at } => {
                ranked.retry_at = Some(ranked.retry_at.map_or(retry_at, |at: f64| at.min(retry_at)));
                ranked.skip(name, reason);
            }
            Admission::Yes { share, probe: true } => {
                let reason = format!("{why}; probe of a half-open endpoint");
                ranked.candidates.push(candidate(share, true, reason.into()));
            }
            Admission::Yes { share, probe: false } => {
                let candidate = candidate(share, false, why.clone());
                let signal = self.signals.iter().find(|signal| signal.endpoint == name);
                if let Some(signal) = signal.filter(|_| share >= 1.0) {
                    ranked.disliked.push((ranked.candidates.len(), candidate, signal.reason.clone()));
                } else {
                    ranked.ready |= share >= 1.0;
                    ranked.candidates.push(candidate);
                }
            }
        }
    }
}

impl Ranked {
    fn knows(&self, name: &str) -> bool {
        self.candidates.iter().any(|known| known.endpoint == name)
            || self.skipped.iter().any(|known| known.endpoint == name)
            || self.last_resorts.iter().any(|known| known.candidate.endpoint == name)
            || self.disliked.iter().any(|(_, known, _)| known.endpoint == name)
    }

    /// Those that users like less go behind one that is wholly well; where there is none, nothing changes.
    fn place_disliked(&mut self) {
        let disliked = std::mem::take(&mut self.disliked);
        if self.ready {
            if let (Some(first), Some((0, passed, why))) = (self.candidates.first_mut(), disliked.first()) {
                first.reason = format!("{}; {} goes last: {why}", first.reason, passed.endpoint).into();
            }
            self.candidates.extend(disliked.into_iter().map(|(_, candidate, _)| candidate));
        } else {
            for (place, candidate, _) in disliked.into_iter().rev() {
                self.candidates.insert(place, candidate);
            }
        }
    }

    fn later(&mut self, until: f64, candidate: Candidate, reason: String) {
        self.last_resorts.push(LastResort { until, crowded: false, candidate, reason });
    }

    /// A brief rest of the preferred model is better than another model: without a healthy sibling,
    /// the closed endpoint of `target` that is back soonest, by `latest`, keeps the target's place.
    fn wait_out(&mut self, target: usize, latest: f64) {
        let (ready, disliked) = (self.candidates.last(), self.disliked.last().map(|(_, known, _)| known));
        if [ready, disliked].into_iter().flatten().any(|known| known.target == target) {
            return;
        }
        let rests =
            |one: &LastResort| one.candidate.target == target && one.candidate.level >= 1.0 && !one.crowded;
        let soonest = (0..self.last_resorts.len())
            .filter(|&place| rests(&self.last_resorts[place]) && self.last_resorts[place].until <= latest)
            .min_by(|&a, &b| self.last_resorts[a].until.total_cmp(&self.last_resorts[b].until));
        if let Some(place) = soonest {
            let LastResort { mut candidate, reason, .. } = self.last_resorts.remove(place);
            candidate.reason = format!("{}; {reason}", candidate.reason).into();
            self.candidates.push(candidate);
        }
    }

    /// A first candidate that is not of the first target says why it is not.
    fn say_who_was_passed_over(&mut self) {
        if let (Some(first), Some(passed)) = (self.candidates.first_mut(), self.skipped.first())
            && first.target > 0
        {
            first.reason = format!("{}; {}: {}", first.reason, passed.endpoint, passed.reason).into();
        }
    }

    /// A first candidate whose better was full is a spill, and says of whom.
    fn say_who_was_full(&mut self) {
        if let (Some(first), Some(full)) = (self.candidates.first_mut(), self.full.first())
            && first.endpoint != *full
            && !first.probe
        {
            first.spilled = true;
            first.reason = format!("{}; spilled before {full} was over its ceiling", first.reason).into();
        }
    }

    /// Prefers serving: an endpoint that is merely recovering or resting is better than an error.
    fn fill_up(&mut self) {
        let mut left = std::mem::take(&mut self.last_resorts);
        left.sort_by(|a, b| a.until.total_cmp(&b.until));
        for LastResort { mut candidate, reason, .. } in left {
            if self.candidates.len() < ENOUGH {
                candidate.reason = format!("{}; last resort ({reason})", candidate.reason).into();
                self.candidates.push(candidate);
            } else {
                self.skip(&candidate.endpoint, reason);
            }
        }
    }

    fn skip(&mut self, endpoint: &str, reason: String) {
        self.skipped.push(Skipped { endpoint: endpoint.to_owned(), reason });
    }
}
