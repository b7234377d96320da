//! Which side of which comparison serves a request, and its targets in order.

use crate::decide::assign::{experiment_arm, rule_of};
use crate::decide::split::split_point;
use crate::domain::decision::{ArmKind, AssignedArm, Reason};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Feature, Target};

use super::{Engine, candidate_endpoints};

/// Targets in order, each with what it is.
type Targets<'a> = Vec<(&'a Target, Reason)>;

impl Engine {
    /// The candidate's share as it really is: none when killed, rolled back here, or with no
    /// endpoint that the compliance filter lets through.
    pub(super) fn candidate_share(&self, name: &str, feature: &Feature) -> f64 {
        let latched = self.latches.get(name).is_some_and(|latch| latch.reason().is_some());
        match &feature.rollout {
            Some(rollout)
                if !latched
                    && !self.killed.contains(name)
                    && candidate_endpoints(&self.snapshot, feature, rollout).next().is_some() =>
            {
                rollout.share
            }
            _ => 0.0,
        }
    }

    /// The request's arm and its targets in order, each with what it is. Where a rule's primary is
    /// not the feature's own, there is nothing to compare with: such a request takes no part.
    pub(super) fn assign<'a>(
        &self,
        feature: &'a Feature,
        request: &RequestFacts,
    ) -> (AssignedArm, Targets<'a>) {
        let rule = rule_of(&self.snapshot, feature, request);
        let hierarchy = rule.map_or(&feature.hierarchy, |place| &feature.rules[place].hierarchy);
        let rule = rule.map(|place| format!("rule {}", place + 1));
        let own = targets(hierarchy, rule.as_deref());
        let main = AssignedArm { kind: ArmKind::Main, name: None, share: None };
        if hierarchy.first().map(|target| &target.pool)
            != feature.hierarchy.first().map(|target| &target.pool)
        {
            return (AssignedArm { name: rule, ..main }, own);
        }
        if let Some(rollout) = &feature.rollout {
            let share = self.candidate_share(&request.feature, feature);
            let point = split_point(&rollout.salt, &request.unit);
            let arm = |kind| AssignedArm { kind, name: Some(rollout.migration.clone()), share: Some(share) };
            if point < share {
                let why = format!("candidate at {:.1} %: the unit is at {:.3}", share * 100.0, point);
                let backups = own
                    .into_iter()
                    .map(|(target, why)| (target, format!("incumbent as backup: {why}").into()));
                return (
                    arm(ArmKind::Candidate),
                    std::iter::once((&rollout.candidate, why.into())).chain(backups).collect(),
                );
            }
            let kind = if point < share + rollout.baseline_share { ArmKind::Baseline } else { ArmKind::Main };
            return (arm(kind), own);
        }
        if let Some((arm, target)) = experiment_arm(feature, request) {
            let why = format!("experiment arm {}", arm.name.as_deref().unwrap_or(""));
            let first = target.map(|target| (target, why.into()));
            return (arm, first.into_iter().chain(own).collect());
        }
        (main, own)
    }
}

fn targets<'a>(hierarchy: &'a [Target], rule: Option<&str>) -> Targets<'a> {
    let named = |(index, target)| {
        let why = match (index, rule) {
            (0, None) => Reason::Borrowed("primary of the hierarchy"),
            (1, None) => Reason::Borrowed("backup 1 of the hierarchy"),
            (0, Some(rule)) => Reason::Owned(format!("primary of {rule}")),
            _ => Reason::Owned(format!("backup {index} of {}", rule.unwrap_or("the hierarchy"))),
        };
        (target, why)
    };
    hierarchy.iter().enumerate().map(named).collect()
}
