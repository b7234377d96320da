"""The guards there are, and how they share one rollout's alpha.

Hard guards are about answers that are plainly wrong: each has a fixed thousandth, promotion waits for
them. The others share what is left, evenly, so that adding one makes all of them a little slower
and the rollout as a whole never more trigger-happy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from crossfade.domain.migration_spec import MetricSpec, RolloutSpec
from crossfade.stats.canary import GuardPlan

HARD_ALPHA = 0.001
HARD_MARGIN, SOFT_MARGIN = 2.0, 1.5  # twice as many errors are few more; slow ones are a tenth of all
SLOW_NULL = 1.1  # a limit cut from a sample is off by some per cent, in either direction

HARD = ("errors", "failovers", "rejected", "schema", "refusals", "guardrail")
LIMITED = ("ttft", "tpot", "cost")  # bad beyond a frozen quantile of the control
SPARSE = ("judge", "thumbs")  # seen on few requests
KNOWN = (*HARD, *LIMITED, *SPARSE)
LIMIT_QUANTILES = {"ttft": 0.90, "tpot": 0.90, "cost": 0.95}


@lru_cache(maxsize=256)  # a migration's guards are the same for weeks
def plans_of(rollout: RolloutSpec) -> tuple[GuardPlan, ...]:
    """The migration's guards with their alphas, in the file's order, its business metrics last."""
    plans = share_alpha(rollout.watched, rollout.alpha)
    metrics = {metric.name: metric for metric in rollout.metrics}
    return tuple(_of_metric(plan, metrics[plan.name]) if plan.name in metrics else plan for plan in plans)


def _of_metric(plan: GuardPlan, metric: MetricSpec) -> GuardPlan:
    """By how much it may be worse is the migration's to say."""
    null = 1.0 - metric.margin if metric.is_good else 1.0 + metric.margin
    margin = max(SOFT_MARGIN, 1.0 / null if metric.is_good else null)
    return replace(plan, null_ratio=null, margin_ratio=margin, is_good=metric.is_good, is_counted=True)


def share_alpha(names: Sequence[str], alpha: float) -> tuple[GuardPlan, ...]:
    """Alphas that sum to at most `alpha`: HARD_ALPHA for hard guards, or an even part if that is less."""
    soft = [name for name in names if name not in HARD]
    hard_alpha = min(HARD_ALPHA, alpha / max(1, len(names)))
    left = alpha - hard_alpha * (len(names) - len(soft))
    return tuple(
        GuardPlan(
            name=name,
            alpha=hard_alpha if name in HARD else left / len(soft),
            null_ratio=SLOW_NULL if name in LIMITED else 1.0,
            margin_ratio=HARD_MARGIN if name in HARD else SOFT_MARGIN,
            is_hard=name in HARD,
        )
        for name in names
    )
