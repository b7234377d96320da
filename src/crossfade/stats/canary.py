"""A guard of a rollout: does the candidate have more bad events than the control beside it?

Everything a guard decides is here, once: live, in rehearsals and in simulations. Within a stage the
arms' weights are constant, so totals per stage are sufficient and the order of looking is free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from crossfade.stats.clopper import lower_bound, upper_bound
from crossfade.stats.sequential import (
    HARM_RATIOS,
    LOSS_RATIOS,
    RatioTest,
    harm_test,
    loss_test,
    promotion_test,
    upkeep_test,
)

PROMOTION_E = 20.0  # beta = 5 %
WATCHED_E = 2.0  # below it the harm test leans to the candidate, so weak evidence may be accepted
FLOOR_RATE = 0.005  # no frozen control is taken to be better than this, one bad request in 200
DRIFT = 1.25  # a control that is not concurrent may have had a better hour: so much is no harm
BOUND_PART = 0.1  # part of a guard's alpha that pays for not knowing the frozen control's rate
RATIO_ALPHA = 0.001  # of the sample-ratio check
RATIO_MINIMUM = 50  # expected requests of the smaller arm, below it chi-square is not trusted


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """What a guard may spend and allow.

    `alpha`: probability of rolling an equal candidate back. `null_ratio`: rate ratio that is no harm
    yet. `margin_ratio`: ratio that promotion must refute. `is_hard`: promotion waits for it. `is_good`: its
    events are good ones, so that fewer are harm and `null_ratio` is below 1. `is_counted`: events are
    counted apart from requests; rates are per request.
    """

    name: str
    alpha: float
    null_ratio: float
    margin_ratio: float
    is_hard: bool
    is_good: bool = False
    is_counted: bool = False


@dataclass(frozen=True, slots=True)
class ArmTotals:
    """Measured and bad of both arms in one stage; `weight`: the candidate's part of both arms' units.

    Of a sticky unit at most one bad event a minute is counted; `measured` counts requests.
    """

    weight: float
    candidate_measured: int = 0
    candidate_bad: int = 0
    control_measured: int = 0
    control_bad: int = 0


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """`e_value` of harm; `is_crossed`: roll back. The rest is asked for where a stage may end.

    Rates are of the latest stage, the control's of all.
    """

    plan: GuardPlan
    stages: tuple[ArmTotals, ...]
    e_value: float
    is_crossed: bool

    @property
    def promotion_e_value(self) -> float:
        """Of "not worse than margin x max(control, FLOOR_RATE)".

        Refuted by either e-process, so by their mean; of good events there is the one.
        """
        plan, events = self.plan, _events(self.stages)
        if plan.is_good:
            return _exp(_tested(upkeep_test, plan.margin_ratio, events))
        rare = rare_log_e_value(self.stages, plan.margin_ratio * FLOOR_RATE)
        return _exp(_log_mean(_tested(promotion_test, plan.margin_ratio, events), rare))

    @property
    def candidate_rate(self) -> float | None:
        """Bad events per measured request of the candidate; null before the first."""
        latest = self._latest
        return latest.candidate_bad / latest.candidate_measured if latest.candidate_measured else None

    @property
    def control_rate(self) -> float:
        """Events per measured request of the control, as they were seen: no floor."""
        events, measured = _control(self.stages)
        return events / measured if measured else 0.0

    @property
    def measured(self) -> int:
        """Candidate requests; none where a source of good events tells of no event, for it may be broken."""
        latest = self._latest
        is_told = latest.candidate_bad or latest.control_bad or latest.weight >= 1.0
        return latest.candidate_measured if is_told or not self.plan.is_good else 0

    @property
    def is_strong(self) -> bool:
        """Shown to be within the margin."""
        return self.promotion_e_value >= PROMOTION_E

    @property
    def is_weakly_fine(self) -> bool:
        """No sign of harm, and the observed ratio within the margin."""
        if self.e_value >= WATCHED_E:
            return False
        if self.candidate_rate is None:
            return not self.plan.is_hard
        if self.plan.is_good:
            return self.candidate_rate * self.plan.margin_ratio >= self.control_rate
        return self.candidate_rate <= self.plan.margin_ratio * frozen_rate(self.stages)

    @property
    def _latest(self) -> ArmTotals:
        return self.stages[-1] if self.stages else ArmTotals(0.0)


def judge_guard(plan: GuardPlan, stages: Sequence[ArmTotals]) -> GuardVerdict:
    """The guard over all stages since the rollout began.

    With a concurrent control: the e-process of `sequential.harm_test`, of good events that of `loss_test`.
    At share 1 there is none; there the candidate's rate is tested against a bound of the frozen control's.
    The mean of two e-values is an e-value, and the bound's error is taken off alpha: one alpha pays for
    everything.
    """
    log_e, alpha = (
        _tested(loss_test if plan.is_good else harm_test, plan.null_ratio, _events(stages)),
        plan.alpha,
    )
    alone = [totals for totals in stages if totals.weight >= 1.0]
    if alone:
        log_e = _log_mean(log_e, _alone_log_e_value(plan, stages, alone))
        alpha *= 1.0 - BOUND_PART
    return GuardVerdict(plan, tuple(stages), _exp(log_e), log_e >= -math.log(alpha))


def _alone_log_e_value(plan: GuardPlan, stages: Sequence[ArmTotals], alone: Sequence[ArmTotals]) -> float:
    """Of the stages without a control, against the frozen one; ln 1 where it says nothing."""
    if not plan.is_good:
        null_rate = frozen_bound(stages, plan.alpha * BOUND_PART) * max(DRIFT, plan.null_ratio)
        return frozen_log_e_value(alone, min(0.9, null_rate))
    good, measured = _control(stages)
    if not measured:
        return 0.0
    lowest = lower_bound(min(good, measured), measured, alpha=plan.alpha * BOUND_PART)
    null_rate = lowest * min(1.0 / DRIFT, plan.null_ratio)
    return frozen_log_e_value(alone, null_rate, LOSS_RATIOS) if null_rate else 0.0


Events = tuple[tuple[int, int, float], ...]  # bad of the candidate, of the control, and the weight


def _events(stages: Iterable[ArmTotals]) -> Events:
    return tuple([(one.candidate_bad, one.control_bad, one.weight) for one in stages])


@lru_cache(maxsize=4096)  # bad events are few beside the requests, and only they move these tests
def _tested(begin: Callable[[float], RatioTest], ratio: float, events: Events) -> float:
    """Ln of the e-value of the test that `begin(ratio)` gives, after these events."""
    test = begin(ratio)
    for candidate_bad, control_bad, weight in events:
        test = test.observe(candidate_bad, control_bad, weight)
    return test.log_e_value


def frozen_rate(stages: Sequence[ArmTotals]) -> float:
    """The control's bad rate over all stages, at least FLOOR_RATE."""
    bad, measured = _control(stages)
    return min(1.0, max(FLOOR_RATE, bad / measured if measured else 0.0))


def frozen_bound(stages: Sequence[ArmTotals], alpha: float) -> float:
    """Upper (1 - alpha) Clopper-Pearson bound of the control's bad rate; 1 if it was never measured."""
    bad, measured = _control(stages)
    return max(FLOOR_RATE, upper_bound(min(bad, measured), measured, alpha=alpha)) if measured else 1.0


def _control(stages: Sequence[ArmTotals]) -> tuple[int, int]:
    return sum(totals.control_bad for totals in stages), sum(totals.control_measured for totals in stages)


def frozen_log_e_value(
    stages: Sequence[ArmTotals], null_rate: float, ratios: Sequence[float] = HARM_RATIOS
) -> float:
    """Ln of the mean over ratios r of prod (r)^bad ((1 - r p)/(1 - p))^good, r p < 1.

    Each term is a likelihood ratio against rate p and has expectation at most 1 below p (above it where
    r < 1). Ratios that would make a rate of one or more are left out; if none is left, ln 1.
    """
    bad = sum(totals.candidate_bad for totals in stages)
    good = max(0, sum(totals.candidate_measured for totals in stages) - bad)
    logs = [
        bad * math.log(ratio) + good * math.log((1.0 - ratio * null_rate) / (1.0 - null_rate))
        for ratio in ratios
        if ratio * null_rate < 1.0
    ]
    if not logs:
        return 0.0
    top = max(logs)
    return top + math.log(sum(math.exp(value - top) for value in logs) / len(logs))


def rare_log_e_value(stages: Sequence[ArmTotals], null_rate: float) -> float:
    """Ln of the likelihood ratio of a quarter of `null_rate` against it: bad events are rare enough.

    Expectation at most 1 for every rate of `null_rate` or above, so that a candidate without any
    error need not wait for the control's.
    """
    bad = sum(totals.candidate_bad for totals in stages)
    good = max(0, sum(totals.candidate_measured for totals in stages) - bad)
    hoped = null_rate / 4.0
    return bad * math.log(hoped / null_rate) + good * math.log((1.0 - hoped) / (1.0 - null_rate))


def sample_ratio_p(weight: float, candidate: int, control: int, requests_per_unit: float) -> float | None:
    """P-value of the arms' request counts under the shares set; null where it cannot be told.

    Chi-square with one degree of freedom, divided by the design effect of sticky units (requests
    of one unit fall to one arm together). Reference: Fabijan et al., KDD 2019, doi 10.1145/3292500.3330722.
    """
    total = candidate + control
    if not 0.0 < weight < 1.0 or total * min(weight, 1.0 - weight) < RATIO_MINIMUM:
        return None
    statistic = (candidate - total * weight) ** 2 / (total * weight * (1.0 - weight))
    # Of chi-square with one degree of freedom: both tails of a normal beyond its root.
    return math.erfc(math.sqrt(statistic / max(1.0, requests_per_unit) / 2.0))


def _log_mean(first: float, second: float) -> float:
    top = max(first, second)
    return top + math.log((math.exp(first - top) + math.exp(second - top)) / 2.0)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700.0 else math.inf
