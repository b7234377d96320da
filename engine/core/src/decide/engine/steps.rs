//! The steps of a planned request: what is next, what each step books, and its copies.

use std::sync::Arc;

use crate::decide::capacity::fair::Claim;
use crate::decide::capacity::rooms::Booking;
use crate::decide::measured::{ShadowPlaces, is_copied, next_of_pinned};
use crate::decide::next::{Situation, Standing, Tried, next};
use crate::decide::pick::paces::Seen;
use crate::domain::by_name::{ByName, Names, kept};
use crate::domain::decision::{ArmKind, Decision, Next, ShadowPlan, Skipped};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::Feature;

use super::{Engine, Observation, RetryBudget, millis, seconds};

impl Engine {
    /// What follows the last of `tried`. Before any attempt: the first candidate.
    pub fn next(
        &mut self,
        request: &RequestFacts,
        decision: &Decision,
        tried: &[Tried],
        elapsed_ms: u64,
        now: f64,
    ) -> Next {
        let next = self.next_unbooked(request, decision, tried, elapsed_ms, now);
        if let Next::Attempt { candidate, .. } = &next
            && let Some(chosen) = decision.candidates.get(*candidate)
        {
            let index = u32::try_from(tried.len()).unwrap_or(u32::MAX);
            self.book_room(request, &chosen.endpoint, (index, false), now);
        }
        next
    }

    /// Books a copy that only measures: what it draws is gone for the others.
    pub fn book_copy(&mut self, request: &RequestFacts, endpoint: &str, now: f64) {
        self.book_room(request, endpoint, (0, true), now);
    }

    /// An answer under way has `written` tokens so far: what is longer than was booked is booked now, not
    /// at its end. `copy`: it only measures.
    pub fn progress(&mut self, request_id: &str, (index, copy): (u32, bool), written: u64, now: f64) {
        self.rooms.extend((request_id, index, copy), written, now);
    }

    fn book_room(&mut self, request: &RequestFacts, endpoint: &str, (index, copy): (u32, bool), now: f64) {
        if let Some(feature) = self.snapshot.features.get(&request.feature) {
            let ends_by = now + seconds(feature.deadlines.total_ms);
            let booking = Booking { request, claim: Claim::of(Some(feature)), index, copy, ends_by };
            self.rooms.reserve(endpoint, booking, now);
            if !copy {
                self.paces.begin(endpoint, request, index, ends_by);
            }
        }
    }

    /// A closed attempt is under way no more, and says how soon its endpoint's answers begin.
    pub(super) fn end_pace(&mut self, seen: &Observation<'_>, now: f64) {
        if seen.arm.kind != ArmKind::Shadow {
            let ended = Seen {
                feature: &seen.feature,
                request_id: &seen.request_id,
                index: seen.index,
                class: seen.class,
                stream: seen.stream,
                first_content_ms: seen.first_content_ms,
                pushback_ms: seen.pushback_ms,
                output_tokens: seen.output_tokens,
            };
            self.paces.end(ended, now);
        }
    }

    /// A first attempt earns its feature's retries there.
    pub(super) fn deposit(&mut self, seen: &Observation<'_>, now: f64) {
        let feature = self.snapshot.features.get(&*seen.feature);
        if let Some(ttl_s) = feature.map(|feature| feature.attempts.retry_ttl_s) {
            self.budget(&seen.feature, &seen.endpoint, ttl_s).deposit(now);
        }
    }

    fn budget(&mut self, feature: &str, endpoint: &str, ttl_s: f64) -> &mut RetryBudget {
        let budgets = kept(&mut self.budgets, feature, ByName::default);
        kept(budgets, endpoint, || RetryBudget::new(ttl_s))
    }

    fn next_unbooked(
        &mut self,
        request: &RequestFacts,
        decision: &Decision,
        tried: &[Tried],
        elapsed_ms: u64,
        now: f64,
    ) -> Next {
        if decision.arm.kind == ArmKind::Pin {
            return next_of_pinned(decision, tried);
        }
        let total = decision.deadlines.total_ms;
        let total = request.deadline_ms.map_or(total, |own| own.min(total));
        let mut standings = std::mem::take(&mut self.standings);
        standings.clear();
        let each = decision.candidates.iter();
        standings.extend(each.map(|one| self.standing(request, decision, &one.endpoint, now)));
        let last = tried.last().and_then(|last| decision.candidates.get(last.candidate));
        let refusing = last.and_then(|one| self.snapshot.endpoints.get(&one.endpoint));
        let snapshot = Arc::clone(&self.snapshot);
        let contexts = |index: usize| {
            let one = decision.candidates.get(index)?;
            snapshot.endpoints.get(&one.endpoint)?.takes.context
        };
        let situation = Situation {
            request_id: &request.request_id,
            decision,
            tried,
            elapsed_ms,
            remaining_ms: total.saturating_sub(elapsed_ms),
            contexts: &contexts,
            standings: &standings,
            pushback_ms: refusing.map_or(0, |endpoint| endpoint.breaker.pushback_ms),
        };
        let attempts = &decision.attempts;
        let next = next(&situation, |cost| {
            let endpoint = last.map_or("", |one| &one.endpoint);
            self.budget(&decision.feature, endpoint, attempts.retry_ttl_s).withdraw(cost, attempts, now)
        });
        self.standings = standings;
        next
    }

    /// How a candidate of an earlier decision stands now. One that a newer snapshot took from the
    /// feature is out: the compliance filter holds for the later attempts of a request too.
    fn standing(
        &mut self,
        request: &RequestFacts,
        decision: &Decision,
        endpoint: &String,
        now: f64,
    ) -> Standing {
        let feature = self.snapshot.features.get(&decision.feature);
        let claim = Claim::of(feature);
        let allowed = decision.snapshot_version == self.snapshot.version
            || feature.is_some_and(|feature| feature.eligible.contains(endpoint));
        let Some(breaker) = self.book.breakers.get_mut(endpoint).filter(|_| allowed) else {
            return Standing::Out;
        };
        match breaker.pushed_back_until(now) {
            _ if breaker.is_open() => Standing::Out,
            _ if breaker.is_crowded(now) => Standing::Crowded,
            Some(until) => Standing::Resting { wait_ms: millis(until - now) },
            None if breaker.is_closed() => match self.rooms.ready_at(endpoint, request, claim, now) - now {
                wait if wait > 0.0 => Standing::Resting { wait_ms: millis(wait) },
                _ => Standing::Closed,
            },
            None => Standing::HalfOpen,
        }
    }

    /// Where a copy of the request goes, if one is due. What the candidate itself serves is not
    /// copied: it would be compared with its like.
    pub(super) fn plan_copy(
        &mut self,
        (feature, able): (&Feature, &Names),
        request: &RequestFacts,
        arm: ArmKind,
        skipped: &mut Vec<Skipped>,
        now: f64,
    ) -> Option<ShadowPlan> {
        let snapshot = Arc::clone(&self.snapshot);
        let copied = feature.shadow.as_ref().filter(|_| arm != ArmKind::Candidate);
        let shadow = copied.filter(|shadow| is_copied(shadow, request))?;
        let places = ShadowPlaces { snapshot: &snapshot, eligible: able, now };
        let plan = places.plan(shadow, &self.book.breakers, skipped)?;
        let endpoint = &plan.candidate.endpoint;
        let most = snapshot.endpoints.get(endpoint).map_or(1.0, |one| one.capacity.shadow_at_most);
        if self.rooms.used(endpoint, now) < most {
            return Some(plan);
        }
        let reason = format!("shadow {}: what is left is for live traffic", plan.name);
        skipped.push(Skipped { endpoint: endpoint.clone(), reason });
        None
    }
}
