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
from dataclasses import dataclass

from scipy.stats import chi2

from crossfade.domain.migration import StageCounts
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
