//! Requests the ranking does not place: the trickle while everything is open, and made-up probes.

use std::sync::Arc;

use crate::decide::able::{Ways, reasons};
use crate::decide::assign::decision;
use crate::decide::health::breaker::{Admission, Breaker};
use crate::decide::measured::choose_pinned;
use crate::decide::rank::Ranked;
use crate::decide::trickle::least_bad;
use crate::domain::decision::{AssignedArm, Decision, Refusal};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Feature, RequestClass};

use super::{Engine, millis};

impl Engine {
    /// Everything is open: one of a few goes out all the same, the others are told when to come back.
    pub(super) fn all_open(
        &mut self,
        feature: &Feature,
        request: &RequestFacts,
        (arm, ways): (AssignedArm, &Ways<'_>),
        mut ranked: Ranked,
        now: f64,
    ) -> Result<Decision, Refusal> {
        let snapshot = Arc::clone(&self.snapshot);
        let urgent = ranked.retry_at.is_some() && feature.request_class != RequestClass::Batch;
        if urgent && self.trickles.entry(request.feature.clone()).or_default().admits(&feature.attempts, now)
        {
            let breakers = &mut self.book.breakers;
            if let Some(one) = least_bad(&snapshot, &ways.able, ways.targets, breakers, now) {
                ranked.skipped.retain(|skipped| skipped.endpoint != one.endpoint);
                let plan = (vec![one], ranked.skipped, None);
                let mut decision = decision(&snapshot, feature, request, arm, plan);
                decision.attempts.max_attempts = 1;
                return Ok(decision);
            }
        }
        let Some(retry_at) = ranked.retry_at else {
            if !ways.unable.is_empty() {
                let lacks = reasons(&ways.unable);
                return Err(Refusal::Incapable { feature: request.feature.clone(), lacks });
            }
            return Err(Refusal::NoEligibleEndpoint { feature: request.feature.clone() });
        };
        let retry_after_ms = millis(retry_at - now);
        Err(Refusal::AllOpen { feature: request.feature.clone(), retry_after_ms })
    }

    /// Endpoints whose breaker waits for a probe that no request has been, each with a feature that
    /// may use it.
    #[must_use]
    pub fn canaries(&self, now: f64) -> Vec<(String, String)> {
        let waits = |name: &String, breaker: &Breaker| {
            let patience = self.snapshot.endpoints.get(name)?.breaker.canary_after_s;
            breaker.awaits_probe_since().filter(|since| now - since >= patience)?;
            let mut features = self.snapshot.features.iter();
            let (feature, _) = features.find(|(_, feature)| feature.eligible.contains(name))?;
            Some((feature.clone(), name.clone()))
        };
        self.book.breakers.iter().filter_map(|(name, breaker)| waits(name, breaker)).collect()
    }

    /// A made-up request that is `endpoint`'s probe, if it still waits for one.
    pub fn choose_canary(&mut self, request: &RequestFacts, endpoint: &str, now: f64) -> Option<Decision> {
        let snapshot = Arc::clone(&self.snapshot);
        let feature = snapshot.features.get(&request.feature)?;
        let pinned = choose_pinned(&snapshot, feature, request, endpoint).ok()?;
        let breaker = self.book.breakers.get_mut(endpoint)?;
        if breaker.pushed_back_until(now).is_some()
            || !matches!(breaker.admit(0.0, now), Admission::Yes { probe: true, .. })
        {
            return None;
        }
        let mut decision = pinned;
        decision.candidates.iter_mut().for_each(|one| {
            one.probe = true;
            one.level = 0.0;
            one.reason = "synthetic canary: no request came to probe with".into();
        });
        Some(decision)
    }
}
