//! The decide core: `choose` a plan, say what is `next`, `observe` outcomes, `apply` snapshots.
//!
//! State is plain `&mut` data: health by endpoint, retry budgets, latches, kill switches. Time and
//! chance are arguments, so a recorded request replays to the same decision.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::attempt::{EndpointHealth, FeatureEffect};
use crate::domain::by_name::ByName;
use crate::domain::decision::{ArmKind, AssignedArm, Candidate, Decision, Refusal, Role};
use crate::domain::limits::Limits;
use crate::domain::outcome::OutcomeClass;
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Feature, Rollout, Snapshot};

use super::able::{Common, ways};
use super::assign::{decision, nearest};
use super::budget::RetryBudget;
use super::capacity::fair::Claim;
use super::capacity::rooms::{Ended, Rooms};
use super::health::book::Book;
use super::health::breaker::{Breaker, Force};
use super::health::signal::{say_signals, signals_for};
use super::health::timeline::Timeline;
use super::keys::{KeyFull, Keys, Spent, Used};
use super::latch::Latch;
use super::measured::{choose_pinned, serves};
use super::next::Standing;
use super::pick::members::Member;
use super::pick::paces::Paces;
use super::rank::Ranking;
use super::trickle::Trickle;

mod arms;
mod steps;
mod unasked;

/// A closed attempt as health sees it. `index` 0 = the request's first attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation<'a> {
    pub feature: Cow<'a, str>,
    pub endpoint: Cow<'a, str>,
    pub request_id: Cow<'a, str>,
    pub arm: Cow<'a, AssignedArm>,
    pub role: Role,
    pub index: u32,
    pub level: f64,
    pub probe: bool,
    pub class: OutcomeClass,
    pub first_content_ms: Option<f64>,
    pub pushback_ms: Option<u64>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Tokens in and out as the provider counted them, or as the answer shows.
    pub used_tokens: Option<(u64, u64)>,
    pub stream: bool,
    /// The candidate's own mark: later than this is slow.
    pub slow_ms: Option<f64>,
    /// What the answer's head said of the provider's limits, and how many seconds ago.
    #[serde(default)]
    pub told: Option<(Limits, f64)>,
}

/// Everything the gateway knows that changes where a request goes.
#[derive(Debug)]
pub struct Engine {
    snapshot: Arc<Snapshot>,
    book: Book,
    rooms: Rooms,
    paces: Paces,
    trickles: BTreeMap<String, Trickle>,
    /// By feature and endpoint.
    budgets: ByName<ByName<RetryBudget>>,
    latches: BTreeMap<String, Latch>,
    killed: BTreeSet<String>,
    keys: Keys,
    /// Of the snapshot alone: what each feature's endpoints all take, and each pool's endpoints.
    common: ByName<Common>,
    members: ByName<Vec<Member>>,
    /// Room for how the candidates of the request at hand stand.
    standings: Vec<Standing>,
    /// Wall time as last told: only for what signals say of themselves.
    unix_s: u64,
}

impl Engine {
    #[must_use]
    pub fn new(snapshot: Snapshot, now: f64) -> Self {
        let mut engine = Self {
            snapshot: Arc::new(snapshot.clone()),
            book: Book::default(),
            rooms: Rooms::default(),
            paces: Paces::default(),
            trickles: BTreeMap::new(),
            budgets: ByName::default(),
            latches: BTreeMap::new(),
            killed: BTreeSet::new(),
            keys: Keys::default(),
            common: ByName::default(),
            members: ByName::default(),
            standings: Vec::new(),
            unix_s: 0,
        };
        engine.apply(snapshot, now);
        engine
    }

    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Replaces the snapshot. Health of endpoints that stay is kept; an endpoint whose place
    /// changed starts afresh; a new rollout epoch opens a closed latch.
    pub fn apply(&mut self, snapshot: Snapshot, now: f64) {
        self.book.apply(&self.snapshot, &snapshot, now);
        self.rooms.apply(&snapshot, now);
        self.paces.apply(&snapshot);
        self.keys.apply(&snapshot, now);
        self.common = Common::of(&snapshot);
        self.members = Member::of(&snapshot);
        self.latches
            .retain(|name, latch| rollout_of(&snapshot, name).is_some_and(|rollout| latch.is_of(rollout)));
        self.budgets.retain(|feature, budgets| {
            let ttl = snapshot.features.get(feature).map(|feature| feature.attempts.retry_ttl_s);
            budgets.retain(|_, budget| ttl.is_some_and(|ttl| budget.is_over(ttl)));
            !budgets.is_empty()
        });
        self.unix_s = self.unix_s.max(snapshot.issued_unix_s);
        self.snapshot = Arc::new(snapshot);
        self.close_latches(now);
    }

    /// Lets a request of about `tokens` in under its key's own allowance.
    ///
    /// # Errors
    /// What the key has used up.
    pub fn admit_key(
        &mut self,
        key: &str,
        request: &RequestFacts,
        now: f64,
    ) -> Result<Option<Limits>, Box<KeyFull>> {
        self.keys.admit(key, request.input_tokens, request.unix_s, now)
    }

    /// Charges a key what its request, let in for `reserved` tokens, has used.
    pub fn settle_key(&mut self, key: &str, reserved: u64, used: Used, now: f64) {
        self.keys.settle(key, reserved, used, now);
    }

    /// What each key whose money is limited has spent today, and may.
    pub fn spent(&self) -> impl Iterator<Item = (&String, Spent, f64)> {
        self.keys.spent()
    }

    /// What a key has spent before this engine was made.
    pub fn restore_spent(&mut self, key: &str, spent: Spent) {
        self.keys.restore(key, spent);
    }

    /// Plans a request.
    ///
    /// # Errors
    /// The refusal to tell the caller: unknown feature or pin, nobody eligible, everybody open.
    pub fn choose(&mut self, request: &RequestFacts, now: f64, draw: f64) -> Result<Decision, Refusal> {
        let snapshot = Arc::clone(&self.snapshot);
        self.unix_s = request.unix_s;
        let Some(feature) = snapshot.features.get(&request.feature) else {
            let nearest = nearest(&request.feature, snapshot.features.keys());
            return Err(Refusal::UnknownFeature { feature: request.feature.clone(), nearest });
        };
        if let Some(pin) = &request.pin {
            return choose_pinned(&snapshot, feature, request, pin);
        }
        let (arm, targets) = self.assign(feature, request);
        let ways =
            ways(&snapshot, (&feature.eligible, &targets), (request, self.common.get(&request.feature)));
        let mut ranking = Ranking {
            snapshot: &snapshot,
            ways: &ways,
            members: &self.members,
            breakers: &mut self.book.breakers,
            rooms: &mut self.rooms,
            paces: &mut self.paces,
            request,
            claim: Claim::of(Some(feature)),
            signals: signals_for(feature, request, &arm),
            // How long a rest of the preferred model is waited out rather than served by another.
            wait_s: seconds(feature.attempts.pushback_wait_ms),
            now,
            draw,
        };
        let mut ranked = ranking.rank();
        if ranked.candidates.is_empty() {
            return self.all_open(feature, request, (arm, &ways), ranked, now);
        }
        self.set_marks(feature, request, &mut ranked.candidates);
        let shadow = self.plan_copy((feature, &ways.able), request, arm.kind, &mut ranked.skipped, now);
        Ok(decision(&snapshot, feature, request, arm, (ranked.candidates, ranked.skipped, shadow)))
    }

    /// The learnt first-content deadline and slow mark of each candidate; backups of a suspected
    /// group go behind the others.
    fn set_marks(&mut self, feature: &Feature, request: &RequestFacts, candidates: &mut [Candidate]) {
        let deadlines = &feature.deadlines;
        for candidate in candidates.iter_mut() {
            let least = deadlines.baseline_answers;
            let Some(normal) = self.book.normal(&candidate.endpoint, request, least) else {
                continue;
            };
            let learnt = whole_ms(normal.p99_ms * deadlines.first_content_factor);
            candidate.first_content_ms =
                Some(learnt.clamp(deadlines.first_content_floor_ms, deadlines.first_content_ms));
            candidate.slow_ms = Some(normal.p95_ms);
        }
        if let Some(backups) = candidates.get_mut(1..) {
            let endpoints = &self.snapshot.endpoints;
            backups
                .sort_by_key(|one| endpoints.get(&one.endpoint).is_some_and(|at| self.book.is_suspect(at)));
        }
    }

    /// Counts a closed attempt.
    pub fn observe(&mut self, seen: &Observation<'_>, now: f64) {
        let snapshot = Arc::clone(&self.snapshot);
        self.book.observe(&snapshot, seen, now);
        self.hear_witness(&snapshot, seen);
        let ended = Ended {
            request_id: &seen.request_id,
            index: seen.index,
            copy: seen.arm.kind == ArmKind::Shadow,
            refused: seen.class == OutcomeClass::Overload,
            used: seen.used_tokens,
        };
        self.rooms.settle(ended, now);
        self.end_pace(seen, now);
        if let Some((limits, age_s)) = &seen.told {
            self.rooms.told(&seen.endpoint, limits, *age_s, now);
        }
        if seen.index == 0 && !matches!(seen.arm.kind, ArmKind::Shadow | ArmKind::Pin) {
            self.deposit(seen, now);
            self.watch_candidate(seen, now);
        }
    }

    /// Time passes: called each second.
    pub fn tick(&mut self, now: f64) {
        let snapshot = Arc::clone(&self.snapshot);
        self.book.tick(&snapshot, now);
        self.rooms.tick(now);
        self.paces.tick(now);
        self.close_latches(now);
    }

    /// How much of its fullest allowance each endpoint that declares one uses, as a share.
    pub fn used_capacity(&mut self, now: f64) -> BTreeMap<String, f64> {
        self.rooms.all_used(now)
    }

    /// An operator's force (`None` releases). False if there is no such endpoint.
    pub fn force(&mut self, endpoint: &str, force: Option<Force>, now: f64) -> bool {
        self.book.force(endpoint, force, now)
    }

    /// The credential that an endpoint lacked has come.
    pub fn forgive(&mut self, endpoint: &str, now: f64) {
        self.book.forgive(endpoint, now);
    }

    /// Each endpoint's transitions, oldest first.
    pub fn timelines(&self) -> impl Iterator<Item = (&String, &Timeline)> {
        self.book.breakers.iter().map(|(name, breaker)| (name, breaker.timeline()))
    }

    /// The local kill switch: the candidate's share of `feature` is 0 here while it is on.
    pub fn kill(&mut self, feature: &str, killed: bool) {
        if killed {
            self.killed.insert(feature.to_owned());
        } else {
            self.killed.remove(feature);
        }
    }

    /// What is really done with each feature now.
    #[must_use]
    pub fn effects(&self) -> Vec<FeatureEffect> {
        let effect = |(name, feature): (&String, &Feature)| FeatureEffect {
            feature: name.clone(),
            candidate_share: self.candidate_share(name, feature),
            rollout_epoch: feature.rollout.as_ref().map(|rollout| rollout.epoch),
            local_rollback: self.latches.get(name).and_then(Latch::reason).map(str::to_owned),
            killed: self.killed.contains(name),
        };
        self.snapshot.features.iter().map(effect).collect()
    }

    /// Every breaker as people see it.
    #[must_use]
    pub fn health(&self) -> Vec<EndpointHealth> {
        let mut rows = self.book.rows();
        say_signals(&self.snapshot, self.unix_s, &mut rows);
        rows
    }

    /// A candidate request that had to go to the incumbent says nothing about the candidate.
    fn watch_candidate(&mut self, seen: &Observation<'_>, now: f64) {
        let Some(rollout) = rollout_of(&self.snapshot, &seen.feature) else {
            return;
        };
        let is_ours = seen.arm.kind == ArmKind::Candidate
            && seen.arm.name.as_ref() == Some(&rollout.migration)
            && serves(&self.snapshot, &rollout.candidate, &seen.endpoint);
        if is_ours && !incumbent_fails(&self.snapshot, &mut self.book, &seen.feature, now) {
            let latch =
                self.latches.entry(seen.feature.clone().into_owned()).or_insert_with(|| Latch::new(rollout));
            latch.observe(rollout, seen.class);
        }
        self.close_latches(now);
    }

    /// What an incumbent's attempt says about a suspected candidate.
    fn hear_witness(&mut self, snapshot: &Snapshot, seen: &Observation<'_>) {
        for (name, latch) in &mut self.latches {
            let primary = snapshot.features.get(name).and_then(|feature| feature.hierarchy.first());
            if primary.is_some_and(|primary| serves(snapshot, primary, &seen.endpoint)) {
                latch.witness(seen.class);
            }
        }
    }

    /// Takes the share from every candidate none of whose endpoints may serve, whoever's traffic
    /// opened their breakers, unless the incumbent fails too: then it is no fault of the candidate,
    /// and its open breakers keep callers away as they do for everyone.
    fn close_latches(&mut self, now: f64) {
        for (name, feature) in &self.snapshot.features {
            let Some(rollout) = feature.rollout.as_ref().filter(|rollout| rollout.share > 0.0) else {
                continue;
            };
            let endpoints = candidate_endpoints(&self.snapshot, feature, rollout);
            let breakers: Vec<_> = endpoints.map(|one| self.book.breakers.get(one)).collect();
            let admits = |breaker: &Option<&Breaker>| breaker.is_none_or(|one| one.report().1 > 0.0);
            if breakers.iter().any(admits) {
                self.latches.entry(name.clone()).and_modify(Latch::acquit);
                continue;
            }
            let is_dead = !breakers.is_empty() && breakers.iter().flatten().all(|one| one.is_open());
            if is_dead && !incumbent_fails(&self.snapshot, &mut self.book, name, now) {
                self.latches.entry(name.clone()).or_insert_with(|| Latch::new(rollout)).suspect();
            }
        }
    }
}

/// Whether no endpoint of the feature's own primary is well at this moment.
fn incumbent_fails(snapshot: &Snapshot, book: &mut Book, feature: &str, now: f64) -> bool {
    let primary = snapshot.features.get(feature).and_then(|feature| feature.hierarchy.first());
    let pool = primary.and_then(|target| snapshot.pools.get(&target.pool));
    let breakers = pool.into_iter().flat_map(|pool| &pool.endpoints);
    breakers.fold(pool.is_some(), |all, name| {
        all && book.breakers.get_mut(name).is_some_and(|breaker| breaker.is_failing(now))
    })
}

/// The endpoints that the candidate may use.
fn candidate_endpoints<'a>(
    snapshot: &'a Snapshot,
    feature: &'a Feature,
    rollout: &Rollout,
) -> impl Iterator<Item = &'a String> {
    let pool = snapshot.pools.get(&rollout.candidate.pool);
    let named = pool.into_iter().flat_map(|pool| &pool.endpoints);
    named.filter(|name| feature.eligible.contains(*name))
}

fn rollout_of<'a>(snapshot: &'a Snapshot, feature: &str) -> Option<&'a Rollout> {
    snapshot.features.get(feature).and_then(|feature| feature.rollout.as_ref())
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour at most")]
fn whole_ms(ms: f64) -> u64 {
    ms.clamp(0.0, 3_600_000.0).ceil() as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded and not negative")]
fn millis(seconds: f64) -> u64 {
    (seconds.clamp(0.0, 3600.0) * 1000.0).ceil() as u64
}
