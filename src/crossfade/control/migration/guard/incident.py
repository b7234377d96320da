"""Is the incumbent in trouble itself? Then no share is raised, and the arms are compared otherwise.

An outage of both sides is not the candidate's fault, but the arms stop being comparable by their
shares: the busier side's breaker opens first and shields it. So while the incumbent is in trouble the
guards pause, shares stay, and what the candidate must answer for is the failed part of the attempts
that were really made, on each side: above `TIMES` that of the incumbent's it is rolled back.

Trouble is measured against the incumbent's own ordinary hours, so that one that is often full, or
that always fails a little, is no incident for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crossfade.domain.migration import (
    ArmHealth,
    Compared,
    Frozen,
    MigrationState,
)
from crossfade.stats.sequential import RatioTest, harm_test

WINDOWS_S = (30.0, 300.0)  # a sharp beginning, and a slow burn
LEAST_BAD = 10  # by chance an ordinary endpoint has not so many within a window
TIMES = 3.0  # ordinary to trouble; the incumbent's failures to a candidate's own
ORDINARY_AT_MOST = 0.05  # what was measured in the middle of an outage is nobody's ordinary
BLOCK_S = 10.0  # so long both sides are taken to meet the same outage
ALPHA = 0.001  # of blaming a candidate no worse than that

Healths = Mapping[str, Sequence[ArmHealth]]  # by feature, one for each window


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the incumbent is in trouble, in a text that is stable while it lasts.

    `is_shielded`: its requests fail, so that its breaker may keep them away and the arms' shares say
    nothing about how many each side was asked.
    """

    reason: str
    is_shielded: bool


def look_for_trouble(
    state: MigrationState,
    is_well: Callable[[float], bool],
    health: Callable[[float], Mapping[str, tuple[ArmHealth, ArmHealth]]],
) -> Trouble | None:
    """What ails the incumbent; null at share 1, where nothing is seen of it.

    `health(over_s)`: candidate and incumbent by feature over the last seconds; `is_well(over_s)`: nothing at
    all is known against the incumbent.
    """
    if not 0.0 < state.share < 1.0:
        return None
    if is_well(max(WINDOWS_S)):
        return None  # nor is any shorter stretch of it
    looks = [health(over_s) for over_s in WINDOWS_S]
    healths = {feature: [look[feature][1] for look in looks] for feature in looks[0]}
    return decide_trouble(state.frozen, healths, state.spec.rollout.errors_at_most)


def decide_trouble(frozen: Frozen | None, healths: Healths, errors_at_most: float) -> Trouble | None:
    """Whether the incumbent is in trouble now."""
    ordinary = frozen.ordinary if frozen is not None else {}
    for feature, windows in healths.items():
        known = ordinary.get(feature, {})
        fails_at_most = max(errors_at_most, TIMES * known.get("failed", 0.0))
        bad_at_most = max(errors_at_most, TIMES * known.get("bad", 0.0))
        for health in windows:
            failed = health.kept_away + health.failed
            if failed >= LEAST_BAD and failed > fails_at_most * health.requests:
                said = f"{feature}: the incumbent fails more than {fails_at_most:.1%} of its requests"
                return Trouble(said, is_shielded=True)
        for health in windows:
            if health.bad >= LEAST_BAD and health.bad > bad_at_most * health.answers:
                said = f"{feature}: more than {bad_at_most:.1%} of the incumbent's answers are bad"
                return Trouble(said, is_shielded=False)
    return None


def ordinary_of(health: ArmHealth) -> dict[str, float]:
    """What the incumbent does in an ordinary hour, as shares: the line that trouble is measured from."""
    failed = (health.kept_away + health.failed) / health.requests if health.requests else 0.0
    bad = health.bad / health.answers if health.answers else 0.0
    return {"failed": min(ORDINARY_AT_MOST, failed), "bad": min(ORDINARY_AT_MOST, bad)}


def decide_calm(state: MigrationState, now_unix_s: float) -> str | None:
    """Why no share may be raised because of an incident; null if the incumbent has been well long enough.

    Outages come back: those published pause for up to forty minutes. An `advance` asked for after its
    end says that a person knows better.
    """
    incident = state.incident
    if incident is None:
        return None
    if incident.ended_unix_s is None:
        return incident.reason
    asked = state.approvals.advance_unix_s
    is_overruled = asked is not None and asked >= incident.ended_unix_s
    if is_overruled or now_unix_s >= incident.ended_unix_s + state.spec.rollout.calm_s:
        return None
    return f"the incumbent was in trouble less than {state.spec.rollout.calm_s / 60.0:.0f} min ago"


@dataclass(frozen=True, slots=True)
class Beside:
    """Both sides' attempts while the incumbent was in trouble, block by block of `BLOCK_S`.

    In a block the weight is the candidate's part of the attempts made. Given how many of them fail, its
    number is hypergeometric, which the binomial test dominates (Hoeffding 1963, theorem 4,
    doi 10.1080/01621459.1963.10500830), so the e-process holds; where a side was not asked nothing is
    learnt. All in memory: a restart begins at 1, which is as valid.
    """

    test: RatioTest = field(default_factory=lambda: harm_test(TIMES))
    asked: tuple[int, int] = (0, 0)  # candidate, incumbent
    failed: tuple[int, int] = (0, 0)

    def observe(self, blocks: Iterable[tuple[ArmHealth, ArmHealth]]) -> Beside:
        """After one more block of each feature: candidate, incumbent."""
        after = self
        for ours, theirs in blocks:
            asked = ours.requests - ours.kept_away, theirs.requests - theirs.kept_away
            if not all(asked):
                continue
            test = after.test.observe(ours.voices, theirs.voices, asked[0] / sum(asked))
            after = replace(
                after,
                test=test,
                asked=(after.asked[0] + asked[0], after.asked[1] + asked[1]),
                failed=(after.failed[0] + ours.voices, after.failed[1] + theirs.voices),
            )
        return after

    def compared(self) -> Compared | None:
        """What it says; null before both sides were asked."""
        if not all(self.asked):
            return None
        shares = (failed / asked for failed, asked in zip(self.failed, self.asked, strict=True))
        return Compared(min(self.test.e_value, 1e300), *shares)


def decide_beside(compared: Compared | None, share: float) -> str | None:
    """Why the candidate is to blame although the incumbent fails too; null if it is not."""
    if compared is None or compared.e_value < 1.0 / ALPHA:
        return None
    return (
        f"worse than {TIMES:g} times a failing incumbent at {share:.0%}: e-value {compared.e_value:.3g} >= "
        f"{1.0 / ALPHA:g}, of the attempts made it failed {compared.candidate_failed:.1%}, the incumbent "
        f"{compared.incumbent_failed:.1%}"
    )
