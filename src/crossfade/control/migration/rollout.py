"""The ladder of shares: when a stage is done, what the next one is, and what its arms look like.

Time alone never ends a stage: it ends on strong evidence (the promotion test), or after its bake
on weak evidence, which up to `weak_up_to` is recorded as weak and above it needs a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from crossfade.control.migration.guard.verdict import decide_guards, unfrozen, weight_of
from crossfade.domain.migration import (
    Advance,
    Close,
    Exposure,
    Hold,
    MigrationState,
    Observations,
    RollBack,
    StageCounts,
)
from crossfade.domain.migration_spec import FreezeWindow, MigrationSpec
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.route import Target
from crossfade.domain.snapshot import Rollout, Shadow
from crossfade.stats.canary import RATIO_ALPHA, sample_ratio_p

SHADOW_IN_FLIGHT = 64  # copies at once; more than a feature under a load test has in flight
PEAK_PART = 0.9  # of last week's busiest quarter of an hour: days differ
PEAK_SHARE = 0.5  # the first share that must not be reached without having seen a peak
DAY_S = 86400.0
DEAD_HARD, DEAD_OF = 5, 20  # the gateway's own fast path: 5 HARD of the first 20


NEEDS_A_PERSON = "weak evidence, needs a person's `advance`"


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
    counts, verdict = current_counts(state), decide_guards(state)
    passed_s = now_unix_s - began
    detail = (
        f"{passed_s:.0f} of {bake_s:.0f} s, {counts.candidate_requests} of {rollout.at_least} requests, "
        f"largest e-value of harm {verdict.e_value:.3g}"
    )
    if counts.candidate_requests < rollout.at_least:
        return StageVerdict(False, True, "too few candidate requests", detail)
    ratio_p = sample_ratio_p(
        weight_of(counts), counts.candidate_requests, counts.control_requests, rollout.requests_per_unit
    )
    if ratio_p is not None and ratio_p < RATIO_ALPHA:
        return StageVerdict(False, True, "the arms' traffic does not match the shares", detail)
    if passed_s < bake_s and not approved:
        return StageVerdict(False, True, "baking", detail)
    blind = tuple(dict.fromkeys((*unfrozen(state), *verdict.unmeasured)))
    if blind:
        return StageVerdict(False, True, f"no data for the guards {', '.join(blind)}", detail)
    if _lacks_peak(state, counts) and passed_s < DAY_S and not approved:
        return StageVerdict(False, True, "waiting for a daily peak of traffic", detail)
    if verdict.is_strong:
        return StageVerdict(True, False, "not worse than the margin", detail)
    if verdict.doubtful:
        which = ", ".join(verdict.doubtful)
        return StageVerdict(False, True, f"inconclusive: neither harm nor parity is shown by {which}", detail)
    if state.share > rollout.weak_up_to and not approved:
        return StageVerdict(False, True, NEEDS_A_PERSON, detail)
    return StageVerdict(True, True, "no sign of harm", detail)


def _lacks_peak(state: MigrationState, counts: StageCounts) -> bool:
    """Whether the next stage reaches half of the traffic and this one has seen no peak yet."""
    peak = state.frozen.peak_per_s if state.frozen is not None else None
    if not state.spec.rollout.needs_peak or peak is None or is_last(state):
        return False
    crosses = counts.share < PEAK_SHARE <= share_of(state.spec, state.stage + 1)
    return crosses and counts.busiest_per_s < PEAK_PART * peak


def decide_flag(state: MigrationState, seen: Observations) -> RollBack | None:
    """Where an external flag takes the share back to; null if it does not."""
    return _lowered_by_flag(state, seen) or _without_flag(state, seen)


def _lowered_by_flag(state: MigrationState, seen: Observations) -> RollBack | None:
    """To the highest stage that the flag allows. A flag that is lost keeps its last bound."""
    bound = seen.flag.at_most if seen.flag is not None else None
    share = state.pending.share if isinstance(state.pending, Advance) else state.share
    if bound is None or max(share, state.share) <= bound:
        return None
    stage = sum(1 for one in state.spec.rollout.stages if one <= bound)
    if isinstance(state.pending, RollBack) and state.pending.stage == stage:
        return None
    return RollBack(f"the flag allows {bound:.0%}", share=share_of(state.spec, stage), stage=stage)


def _without_flag(state: MigrationState, seen: Observations) -> RollBack | None:
    """Back to the incumbent where nobody could pull the flag for long, and most callers are there anyway."""
    flag = seen.flag
    if flag is None or flag.lost is None or flag.back_after_s is None or flag.lost_s < flag.back_after_s:
        return None
    if state.promoted_unix_s is not None or state.share >= PEAK_SHARE:
        return None
    return RollBack(f"the flag system was not readable for {flag.back_after_s / 60.0:.0f} min")


def kept_by_flag(state: MigrationState, seen: Observations) -> Hold | None:
    """Why the flag lets no share be raised now; null if it does, or there is none."""
    if seen.flag is None:
        return None
    if seen.flag.lost is not None or seen.flag.at_most is None:
        return Hold("the flag system cannot be read", seen.flag.lost or "")
    share = 1.0 if is_last(state) else share_of(state.spec, state.stage + 1)
    if share > seen.flag.at_most:
        return Hold(f"the flag allows {seen.flag.at_most:.0%}", f"the next stage is {share:.0%}")
    return None


def decide_freeze(spec: MigrationSpec, now_unix_s: float) -> str | None:
    """Why no share may be raised at this time of the week; null if it may."""
    for window in spec.rollout.freeze:
        if is_within(window, now_unix_s):
            return f"frozen: {window.text}"
    return None


def is_within(window: FreezeWindow, now_unix_s: float) -> bool:
    """Whether this moment lies in the window, by the clock on the wall of its zone."""
    local = datetime.fromtimestamp(now_unix_s, ZoneInfo(window.zone))
    minute = (local.weekday() * 24 + local.hour) * 60 + local.minute
    if window.begin <= window.end:
        return window.begin <= minute < window.end
    return minute >= window.begin or minute < window.end


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
    target = state.spec.target
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
