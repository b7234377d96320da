"""Guards: when live counts say that the candidate harms, and whether the counts can be trusted.

The error guard is an e-process on which arm the bad requests fall to, so it may be looked at
every half second: the chance that an equal candidate is ever rolled back is at most ALPHA. Within
a stage the arms' weights are constant, so totals per stage are sufficient and a restart loses
nothing that was logged. At share 1 there is no concurrent control; there the candidate's rate is
tested against what the control's was, by a mixture of binomial likelihood ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy.stats import chi2

from crossfade.domain.attempt import ArmCount, ArmKind
from crossfade.domain.migration import MigrationState, StageCounts
from crossfade.stats.sequential import HARM_RATIOS, harm_test, promotion_test

ALPHA = 0.001  # of a hard guard: one false rollback in a thousand rollouts
MARGIN_RATIO = 2.0  # promotion: the candidate's bad rate is below twice the control's
PROMOTION_E = 20.0  # beta = 5 %
WATCHED_E = 2.0  # below it the harm test leans to the candidate, so weak evidence may be accepted
FLOOR_RATE = 0.005  # no frozen control is taken to be better than this, one bad request in 200
RATIO_ALPHA = 0.001  # of the sample-ratio check
RATIO_MINIMUM = 50  # expected requests of the smaller arm, below it chi-square is not trusted


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """`e_value` of harm; `is_crossed`: roll back. `promotion_e_value` of "not worse than the margin"."""

    e_value: float
    promotion_e_value: float
    is_crossed: bool
    candidate_rate: float | None
    control_rate: float | None

    @property
    def is_weakly_fine(self) -> bool:
        """No sign of harm, and the observed ratio within the margin."""
        if self.e_value >= WATCHED_E:
            return False
        if self.candidate_rate is None:
            return False
        return self.candidate_rate <= MARGIN_RATIO * max(self.control_rate or 0.0, FLOOR_RATE)


def weight_of(counts: StageCounts) -> float:
    """The candidate's part of both arms' traffic; 1 = no concurrent control."""
    total = counts.share + counts.baseline_share
    return counts.share / total if total else 0.0


def decide_guard(stages: Sequence[StageCounts]) -> GuardVerdict:
    """The error guard over all stages since the epoch began; rates are of the latest stage."""
    harm, promotion = harm_test(), promotion_test(MARGIN_RATIO)
    for counts in stages:
        weight = weight_of(counts)
        harm = harm.observe(counts.candidate_bad, counts.control_bad, weight)
        promotion = promotion.observe(counts.candidate_bad, counts.control_bad, weight)
    alone = [counts for counts in stages if weight_of(counts) >= 1.0]
    frozen = frozen_log_e_value(alone, frozen_rate(stages))
    # The mean of two e-values is an e-value: one alpha pays for both tests.
    log_e = harm.log_e_value if not alone else _log_mean(harm.log_e_value, frozen)
    latest = stages[-1] if stages else None
    return GuardVerdict(
        e_value=_exp(log_e),
        promotion_e_value=promotion.e_value,
        is_crossed=log_e >= -math.log(ALPHA),
        candidate_rate=_rate(latest.candidate_bad, latest.candidate_requests) if latest else None,
        control_rate=frozen_rate(stages),
    )


def frozen_rate(stages: Sequence[StageCounts]) -> float:
    """The control's bad rate over the epoch's stages, at least FLOOR_RATE."""
    bad = sum(counts.control_bad for counts in stages)
    requests = sum(counts.control_requests for counts in stages)
    return min(0.5, max(FLOOR_RATE, bad / requests if requests else 0.0))


def frozen_log_e_value(stages: Sequence[StageCounts], null_rate: float) -> float:
    """Ln of the mean over ratios r of prod (r)^bad ((1 - r p)/(1 - p))^good, r p < 1.

    Each term is a likelihood ratio against rate p and has expectation at most 1 below p.
    """
    bad = sum(counts.candidate_bad for counts in stages)
    good = sum(counts.candidate_requests for counts in stages) - bad
    logs = [
        bad * math.log(ratio) + good * math.log((1.0 - ratio * null_rate) / (1.0 - null_rate))
        for ratio in HARM_RATIOS
        if ratio * null_rate < 1.0
    ]
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs) / len(logs))


def sample_ratio_p(counts: StageCounts, requests_per_unit: float) -> float | None:
    """P-value of the arms' request counts under the shares set; null where it cannot be told.

    Chi-square with one degree of freedom, divided by the design effect of sticky units (requests
    of one unit fall to one arm together). Reference: Fabijan et al., KDD 2019, doi 10.1145/3292500.3330722.
    """
    weight = weight_of(counts)
    total = counts.candidate_requests + counts.control_requests
    if not 0.0 < weight < 1.0 or total * min(weight, 1.0 - weight) < RATIO_MINIMUM:
        return None
    expected = total * weight
    statistic = (counts.candidate_requests - expected) ** 2 / (total * weight * (1.0 - weight))
    return float(chi2.sf(statistic / max(1.0, requests_per_unit), df=1))


def _rate(bad: int, requests: int) -> float | None:
    return bad / requests if requests else None


def _log_mean(first: float, second: float) -> float:
    top = max(first, second)
    return top + math.log((math.exp(first - top) + math.exp(second - top)) / 2.0)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700.0 else math.inf


@dataclass(slots=True)
class Tally:
    """Live totals per stage of the present epoch. `cursor`: how far the counters were read.

    What was logged is the floor: after a restart the tally goes on from there. A request that ends
    after its stage was left still counts for the stage that sent it.
    """

    cursor: int = -1
    epoch: int = 0
    counts: tuple[StageCounts, ...] = ()
    is_moved: bool = False

    def take(self, state: MigrationState, cursor: int, news: Sequence[ArmCount]) -> None:
        """Follow the log's stages, then add what the gateways reported since."""
        self.cursor = cursor
        if self.epoch != state.epoch or len(state.counts) < len(self.counts):
            self.epoch, self.counts = state.epoch, state.counts
        elif len(state.counts) > len(self.counts):
            self.counts = (*self.counts, *state.counts[len(self.counts) :])
        for count in news:
            self._add(state, count)

    def _add(self, state: MigrationState, count: ArmCount) -> None:
        is_ours = count.feature in state.spec.features and count.arm in {ArmKind.CANDIDATE, ArmKind.BASELINE}
        if not is_ours or not self.counts or not count.requests:
            return
        place = self._stage_of(count.share)
        if place is None:
            return
        bad = min(count.requests, max(count.first_hard, count.caller_errors))
        before = self.counts[place]
        if count.arm is ArmKind.CANDIDATE:
            after = replace(
                before,
                candidate_requests=before.candidate_requests + count.requests,
                candidate_bad=before.candidate_bad + bad,
            )
        else:
            after = replace(
                before,
                control_requests=before.control_requests + count.requests,
                control_bad=before.control_bad + bad,
            )
        self.counts = (*self.counts[:place], after, *self.counts[place + 1 :])
        self.is_moved = True

    def _stage_of(self, share: float | None) -> int | None:
        """The latest stage of this share; a share nobody logged is of another epoch."""
        if share is None:
            return len(self.counts) - 1
        for place in range(len(self.counts) - 1, -1, -1):
            if abs(self.counts[place].share - share) < 1e-9:
                return place
        return None
