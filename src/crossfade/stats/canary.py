"""A guard of a rollout: does the candidate have more bad events than the control beside it?

Everything a guard decides is here, once: live, in rehearsals and in simulations. Within a stage the
arms' weights are constant, so totals per stage are sufficient and the order of looking is free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crossfade.stats.clopper import lower_bound, upper_bound
from crossfade.stats.sequential import (
    HARM_RATIOS,
    LOSS_RATIOS,
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
    """`e_value` of harm; `is_crossed`: roll back. Rates are of the latest stage, the control's of all."""

    plan: GuardPlan
    e_value: float
    promotion_e_value: float
    is_crossed: bool
    candidate_rate: float | None
    control_rate: float
    measured: int

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
        return self.candidate_rate <= self.plan.margin_ratio * self.control_rate


def judge_guard(plan: GuardPlan, stages: Sequence[ArmTotals]) -> GuardVerdict:
    """The guard over all stages since the rollout began.

    With a concurrent control: the e-process of `sequential.harm_test`. At share 1 there is none; there
    the candidate's rate is tested against an upper bound of the frozen control's. The mean of two
    e-values is an e-value, and the bound's error is taken off alpha: one alpha pays for everything.
    """
    if plan.is_good:
        return _judge_good(plan, stages)
    harm, promotion = harm_test(plan.null_ratio), promotion_test(plan.margin_ratio)
    for totals in stages:
        harm = harm.observe(totals.candidate_bad, totals.control_bad, totals.weight)
        promotion = promotion.observe(totals.candidate_bad, totals.control_bad, totals.weight)
    # "Not worse than margin x max(control, FLOOR_RATE)": refuted by either e-process, so by their mean.
    log_promotion = _log_mean(promotion.log_e_value, rare_log_e_value(stages, plan.margin_ratio * FLOOR_RATE))
    alone = [totals for totals in stages if totals.weight >= 1.0]
    log_e, alpha = harm.log_e_value, plan.alpha
    if alone:
        null_rate = frozen_bound(stages, plan.alpha * BOUND_PART) * max(DRIFT, plan.null_ratio)
        log_e = _log_mean(log_e, frozen_log_e_value(alone, min(0.9, null_rate)))
        alpha *= 1.0 - BOUND_PART
    latest = stages[-1] if stages else ArmTotals(0.0)
    measured = latest.candidate_measured
    return GuardVerdict(
        plan=plan,
        e_value=_exp(log_e),
        promotion_e_value=_exp(log_promotion),
        is_crossed=log_e >= -math.log(alpha),
        candidate_rate=latest.candidate_bad / measured if measured else None,
        control_rate=frozen_rate(stages),
        measured=measured,
    )


def _judge_good(plan: GuardPlan, stages: Sequence[ArmTotals]) -> GuardVerdict:
    """The mirror: harm is that the candidate has fewer good events than `null_ratio` of the control's."""
    harm, upkeep = loss_test(plan.null_ratio), upkeep_test(plan.margin_ratio)
    for totals in stages:
        harm = harm.observe(totals.candidate_bad, totals.control_bad, totals.weight)
        upkeep = upkeep.observe(totals.candidate_bad, totals.control_bad, totals.weight)
    alone = [totals for totals in stages if totals.weight >= 1.0]
    log_e, alpha = harm.log_e_value, plan.alpha
    good, measured = _control(stages)
    if alone:
        lowest = (
            lower_bound(min(good, measured), measured, alpha=plan.alpha * BOUND_PART) if measured else 0.0
        )
        null_rate = lowest * min(1.0 / DRIFT, plan.null_ratio)
        log_e = _log_mean(log_e, frozen_log_e_value(alone, null_rate, LOSS_RATIOS) if null_rate else 0.0)
        alpha *= 1.0 - BOUND_PART
    latest = stages[-1] if stages else ArmTotals(0.0)
    requests = latest.candidate_measured
    return GuardVerdict(
        plan=plan,
        e_value=_exp(log_e),
        promotion_e_value=_exp(upkeep.log_e_value),
        is_crossed=log_e >= -math.log(alpha),
        candidate_rate=latest.candidate_bad / requests if requests else None,
        control_rate=good / measured if measured else 0.0,
        # A source that tells of no event at all may be broken: it has measured nothing.
        measured=requests if latest.candidate_bad + latest.control_bad or latest.weight >= 1.0 else 0,
    )


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
