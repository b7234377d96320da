//! Small pure pieces of a decision: the experiment's arm, the nearest known name, the value itself.

use crate::domain::decision::{ArmKind, AssignedArm, Candidate, Decision, ShadowPlan, Skipped};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Feature, Snapshot, Target};

use super::split::split_point;

pub(super) type Plan = (Vec<Candidate>, Vec<Skipped>, Option<ShadowPlan>);

pub(super) fn decision(
    snapshot: &Snapshot,
    feature: &Feature,
    request: &RequestFacts,
    arm: AssignedArm,
    plan: Plan,
) -> Decision {
    let (candidates, skipped, shadow) = plan;
    let capture = split_point("capture", &request.request_id) < feature.capture_share
        || shadow.as_ref().is_some_and(|shadow| shadow.capture);
    Decision {
        feature: request.feature.clone(),
        snapshot_version: snapshot.version,
        arm,
        candidates,
        skipped,
        deadlines: feature.deadlines,
        attempts: feature.attempts.clone(),
        hold: feature.hold,
        capture,
        shadow,
    }
}

/// The first of the feature's rules that is made for a request of this shape.
pub(super) fn rule_of(snapshot: &Snapshot, feature: &Feature, request: &RequestFacts) -> Option<usize> {
    if feature.rules.is_empty() {
        return None;
    }
    // As the model that is asked first counts: the rule decides before any other is known.
    let counting = snapshot.counting_of(&request.feature);
    let input = counting.map_or(request.input_tokens, |counting| request.tokens_by(&counting));
    feature.rules.iter().position(|rule| rule.when.fits(request, input))
}

/// The running experiment's arm for this unit, and its target (`None` = the hierarchy).
pub(super) fn experiment_arm<'a>(
    feature: &'a Feature,
    request: &RequestFacts,
) -> Option<(AssignedArm, Option<&'a Target>)> {
    let experiment = feature.experiment.as_ref()?;
    if experiment.until_unix_s.is_some_and(|until| request.unix_s >= until) {
        return None;
    }
    let point = split_point(&experiment.salt, &request.unit);
    let mut upper = 0.0;
    let arm = experiment.arms.iter().find(|arm| {
        upper += arm.share;
        point < upper
    });
    let arm = arm.or(experiment.arms.last())?;
    let name = format!("{}/{}", experiment.name, arm.name);
    Some((
        AssignedArm { kind: ArmKind::Experiment, name: Some(name), share: Some(arm.share) },
        arm.target.as_ref(),
    ))
}

/// The known name with the most letter pairs in common, if any comes close.
pub(super) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let pairs = |text: &str| -> Vec<(char, char)> { text.chars().zip(text.chars().skip(1)).collect() };
    let ours = pairs(wanted);
    let score = |name: &String| {
        let theirs = pairs(name);
        let shared = ours.iter().filter(|pair| theirs.contains(pair)).count();
        200 * shared / (ours.len() + theirs.len()).max(1)
    };
    known
        .map(|name| (score(name), name))
        .max()
        .filter(|(score, _)| *score >= 50)
        .map(|(_, name)| name.clone())
}
