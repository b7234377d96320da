"""All guards of a migration together: who says roll back, and is there enough to go on?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from crossfade.control.migration.guard.plans import LIMITED, SPARSE, plans_of
from crossfade.domain.migration import GuardCount, MigrationState, StageCounts
from crossfade.domain.migration_spec import RolloutSpec
from crossfade.stats.canary import ArmTotals, GuardPlan, GuardVerdict, judge_guard

NOTHING = GuardCount("")  # of a guard that has not counted yet


@dataclass(frozen=True, slots=True)
class GuardsVerdict:
    """Every guard's verdict, in the file's order."""

    each: tuple[GuardVerdict, ...]

    @property
    def crossed(self) -> GuardVerdict | None:
        """The guard that says roll back, if one does."""
        return next((verdict for verdict in self.each if verdict.is_crossed), None)

    @property
    def is_strong(self) -> bool:
        """Every hard guard is shown to be within its margin, and none leans to harm."""
        hard = all(verdict.is_strong for verdict in self.each if verdict.plan.is_hard)
        return hard and not self.doubtful

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Guards that neither prove nor rule out harm, by name."""
        return tuple(
            verdict.plan.name for verdict in self.each if not (verdict.is_strong or verdict.is_weakly_fine)
        )

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Guards without one measured request in the present stage, those seen on few requests apart."""
        return tuple(
            verdict.plan.name
            for verdict in self.each
            if not verdict.measured and verdict.plan.name not in SPARSE
        )

    @property
    def nearest(self) -> GuardVerdict:
        """The guard that is nearest to rolling back."""
        return max(self.each, key=lambda verdict: verdict.e_value * verdict.plan.alpha)

    @property
    def e_value(self) -> float:
        """The largest e-value of harm."""
        return max((verdict.e_value for verdict in self.each), default=1.0)


def decide_guards(state: MigrationState) -> GuardsVerdict:
    """The guards over all stages since the epoch began."""
    return _decided(state.spec.rollout, state.counts)


@lru_cache(maxsize=256)  # a turn asks four times, and the counts change once a second
def _decided(rollout: RolloutSpec, stages: tuple[StageCounts, ...]) -> GuardsVerdict:
    plans = plans_of(rollout)
    by_stage = [_all_totals(rollout, counts) for counts in stages]
    return GuardsVerdict(
        tuple([judge_guard(plan, [totals[n] for totals in by_stage]) for n, plan in enumerate(plans)])
    )


@lru_cache(maxsize=1024)  # the stages that are over stay as they are
def _all_totals(rollout: RolloutSpec, counts: StageCounts) -> tuple[ArmTotals, ...]:
    """Every guard's totals in one stage, in the plans' order."""
    weight, known = weight_of(counts), {count.guard: count for count in counts.guards}
    return tuple([_totals(plan, counts, known.get(plan.name, NOTHING), weight) for plan in plans_of(rollout)])


def _totals(plan: GuardPlan, counts: StageCounts, count: GuardCount, weight: float) -> ArmTotals:
    """One guard's totals in one stage; of a business metric, events among all requests."""
    if plan.is_counted:
        measured = counts.candidate_requests, counts.control_requests
    else:
        measured = count.candidate_measured, count.control_measured
    return ArmTotals(weight, measured[0], count.candidate_bad, measured[1], count.control_bad)


def weight_of(counts: StageCounts) -> float:
    """The candidate's part of both arms' traffic; 1 = no concurrent control."""
    total = counts.share + counts.baseline_share
    return counts.share / total if total else 0.0


def unfrozen(state: MigrationState) -> tuple[str, ...]:
    """Guards that still lack the limit that makes an event bad."""
    wanted = [name for name in state.spec.rollout.guards if name in LIMITED]
    limits = state.frozen.limits if state.frozen is not None else {}
    return tuple(
        name for name in wanted if any(name not in limits.get(feature, {}) for feature in state.spec.features)
    )
