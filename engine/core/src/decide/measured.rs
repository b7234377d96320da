//! Traffic that measures and is not the feature's own: pins, which go past the ranking and the breaker
//! to exactly one endpoint, and shadows, copies that only a healthy endpoint gets. Neither goes past
//! the compliance filter.

use crate::domain::by_name::{ByName, Names};
use crate::domain::decision::{
    ArmKind, AssignedArm, Candidate, Decision, Next, Refusal, Role, ShadowPlan, Skipped,
};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Feature, Shadow, Snapshot, Target};

use super::assign::decision;
use super::health::breaker::Breaker;
use super::next::Tried;
use super::split::split_point;

pub(super) fn choose_pinned(
    snapshot: &Snapshot,
    feature: &Feature,
    request: &RequestFacts,
    pin: &str,
) -> Result<Decision, Refusal> {
    if !snapshot.endpoints.contains_key(pin) {
        return Err(Refusal::UnknownPin { endpoint: pin.to_owned() });
    }
    if !feature.eligible.contains(pin) {
        return Err(Refusal::NoEligibleEndpoint { feature: request.feature.clone() });
    }
    let target = feature.targets().find(|target| serves(snapshot, target, pin));
    let candidate = Candidate {
        endpoint: pin.to_owned(),
        target: 0,
        set: target.map(|target| target.set.clone()).unwrap_or_default(),
        level: 1.0,
        probe: false,
        spilled: false,
        first_content_ms: None,
        slow_ms: None,
        reason: "pinned for measuring".into(),
    };
    let arm = AssignedArm { kind: ArmKind::Pin, name: None, share: None };
    Ok(decision(snapshot, feature, request, arm, (vec![candidate], Vec::new(), None)))
}

/// A measurement is one attempt, at once: waiting or repeating would measure the gateway.
pub(super) fn next_of_pinned(decision: &Decision, tried: &[Tried]) -> Next {
    match (decision.candidates.first(), tried) {
        (Some(pinned), []) => {
            let reason = pinned.reason.clone();
            Next::Attempt { candidate: 0, role: Role::First, wait_ms: 0, backup: false, reason }
        }
        _ => Next::GiveUp { reason: "a measurement is not repeated".into() },
    }
}

/// Whether this request is within the shadow's share.
pub(super) fn is_copied(shadow: &Shadow, request: &RequestFacts) -> bool {
    split_point(&shadow.name, &request.request_id) < shadow.share
}

/// What decides where a copy may go.
pub(super) struct ShadowPlaces<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) eligible: &'a Names,
    pub(super) now: f64,
}

impl ShadowPlaces<'_> {
    /// The first healthy endpoint: a copy must neither test a recovering one nor add to a full one.
    pub(super) fn plan(
        &self,
        shadow: &Shadow,
        breakers: &ByName<Breaker>,
        skipped: &mut Vec<Skipped>,
    ) -> Option<ShadowPlan> {
        let name = &shadow.name;
        for endpoint in &self.snapshot.pools.get(&shadow.target.pool)?.endpoints {
            let breaker = breakers.get(endpoint)?;
            let healthy = breaker.is_closed() && breaker.pushed_back_until(self.now).is_none();
            if healthy && self.eligible.contains(endpoint) {
                return Some(plan(shadow, endpoint));
            }
            let why =
                if healthy { "not eligible for this feature" } else { "only a healthy one gets copies" };
            skipped.push(Skipped { endpoint: endpoint.clone(), reason: format!("shadow {name}: {why}") });
        }
        None
    }
}

fn plan(shadow: &Shadow, endpoint: &str) -> ShadowPlan {
    let candidate = Candidate {
        endpoint: endpoint.to_owned(),
        target: 0,
        set: shadow.target.set.clone(),
        level: 1.0,
        probe: false,
        spilled: false,
        first_content_ms: None,
        slow_ms: None,
        reason: format!("shadow {}", shadow.name).into(),
    };
    let (name, in_flight, capture) = (shadow.name.clone(), shadow.in_flight, shadow.capture);
    ShadowPlan { name, candidate, in_flight, capture }
}

/// Whether `target` leads to `endpoint`.
pub(super) fn serves(snapshot: &Snapshot, target: &Target, endpoint: &str) -> bool {
    snapshot.pools.get(&target.pool).is_some_and(|pool| pool.endpoints.iter().any(|name| name == endpoint))
}
