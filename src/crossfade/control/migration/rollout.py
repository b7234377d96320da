"""The ladder of shares: when a stage is done, what the next one is, and what its arms look like.

Time alone never ends a stage: it ends on strong evidence (the promotion test), or after its bake
on weak evidence, which up to `weak_up_to` is recorded as weak and above it needs a person.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.control.migration import guard
from crossfade.domain.migration import Advance, Close, Exposure, MigrationSpec, MigrationState, StageCounts
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.snapshot import Rollout, Shadow, Target

SHADOW_IN_FLIGHT = 64  # copies at once; more than a feature under a load test has in flight
DEAD_HARD, DEAD_OF = 5, 20  # the gateway's own fast path: 5 HARD of the first 20


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """Whether the present stage may end; `reason` is stable, `detail` counts."""

    is_done: bool
    is_weak: bool
    reason: str
    detail: str


def share_of(spec: MigrationSpec, stage: int) -> float:
    """Share of stage 1..n; stage 0 is share 0."""
    return spec.rollout.stages[stage - 1] if stage else 0.0


def baseline_share(share: float) -> float:
    """As many units of the incumbent as the candidate has, while there are that many."""
    return min(share, 1.0 - share)


def is_last(state: MigrationState) -> bool:
    """Whether there is no higher stage."""
    return state.stage == len(state.spec.rollout.stages)


def current_counts(state: MigrationState) -> StageCounts:
    """Counts of the present stage, zero if nothing was counted yet."""
    for counts in reversed(state.counts):
        if counts.share == state.share:
            return counts
    return StageCounts(state.share, baseline_share(state.share))


def decide_stage(state: MigrationState, now_unix_s: float) -> StageVerdict:
    """Whether the stage under way has baked long enough on enough evidence."""
    rollout = state.spec.rollout
    began = state.stage_began_unix_s if state.stage_began_unix_s is not None else now_unix_s
    approved = state.approvals.advance_unix_s is not None
    bake_s = rollout.bake_s + (rollout.soak_s if is_last(state) else 0.0)
    counts, verdict = current_counts(state), guard.decide_guard(state.counts)
    passed_s = now_unix_s - began
    detail = (
        f"{passed_s:.0f} of {bake_s:.0f} s, {counts.candidate_requests} of {rollout.at_least} requests, "
        f"e-value of harm {verdict.e_value:.3g}"
    )
    if counts.candidate_requests < rollout.at_least:
        return StageVerdict(False, True, "too few candidate requests", detail)
    ratio_p = guard.sample_ratio_p(counts, rollout.requests_per_unit)
    if ratio_p is not None and ratio_p < guard.RATIO_ALPHA:
        return StageVerdict(False, True, "the arms' traffic does not match the shares", detail)
    if passed_s < bake_s and not approved:
        return StageVerdict(False, True, "baking", detail)
    if verdict.promotion_e_value >= guard.PROMOTION_E:
        return StageVerdict(True, False, "not worse than the margin", detail)
    if not verdict.is_weakly_fine:
        return StageVerdict(False, True, "inconclusive: no proof of harm, none of parity", detail)
    if state.share > rollout.weak_up_to and not approved:
        return StageVerdict(False, True, "weak evidence, needs a person's `advance`", detail)
    return StageVerdict(True, True, "no sign of harm", detail)


def wanted_overlay(state: MigrationState, endpoints: tuple[str, ...]) -> FeatureOverlay | None:
    """What must lie over each feature in this state; null = nothing, the candidate is out of reach.

    A logged `Advance` is wanted from the moment it is logged; if it was overtaken, the last
    verified share is. The rollout stays at share 0 after a rollback, so that its effect can be seen.
    """
    going_up = state.pending if isinstance(state.pending, Advance) else None
    share = going_up.share if going_up is not None else state.share
    is_given_up = state.rolled_back is not None and isinstance(state.pending, Close)
    if is_given_up or (state.exposure is Exposure.NONE and share == 0.0):
        return None
    target = Target(pool=state.spec.candidate, set={})
    has_rollout = share > 0.0 or state.rolled_back is not None
    shadow = None
    if state.exposure is Exposure.SHADOW:
        quality = state.spec.quality
        shadow = Shadow(state.spec.name, target, quality.shadow_share, SHADOW_IN_FLIGHT, capture=True)
    live = live_rollout(state.spec.name, state.epoch, state.salt, share, target) if has_rollout else None
    return FeatureOverlay(rollout=live, shadow=shadow, extra_eligible=endpoints)


def live_rollout(name: str, epoch: int, salt: str, share: float, candidate: Target) -> Rollout:
    """A share with its equal-size control and the fast path's limits."""
    return Rollout(
        migration=name,
        epoch=epoch,
        salt=salt,
        share=share,
        baseline_share=baseline_share(share),
        candidate=candidate,
        dead_hard=DEAD_HARD,
        dead_of=DEAD_OF,
    )
