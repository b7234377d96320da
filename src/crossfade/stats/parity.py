"""Is the candidate not worse than the incumbent by more than a margin?

Non-inferiority, never "no significant difference": the latter passes whatever was measured badly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from crossfade.domain.evidence import Verdict
from crossfade.stats import clopper
from crossfade.stats.ppi import PairedMean, PairedSample, estimate_difference

# At n = 50 to 400 a nominal 5 % test has a true error of 5.1 to 6.1 %; run at 4 % it has 4.1 to 5.2 %.
DEFAULT_ALPHA = 0.04
# Below this the t bound's normal approximation has no ground to stand on.
MINIMUM_CLUSTERS = 30
# With fewer differing labelled pairs than this the variance is itself unknown: exact bounds join in.
SPARSE_DIFFERENCES = 10


@dataclass(frozen=True, slots=True)
class Parity:
    """A verdict with the numbers behind it. `lower`, `upper`: one-sided (1-alpha) bounds each."""

    verdict: Verdict
    reason: str
    estimate: float
    lower: float
    upper: float
    margin: float
    alpha: float
    standard_error: float
    pairs: int
    labels: int
    clusters: int
    judge_weight: float
    judge_correlation: float


def decide_parity(sample: PairedSample, *, margin: float, alpha: float = DEFAULT_ALPHA) -> Parity:
    """Paired non-inferiority test with human correction.

    H0: delta <= -margin against H1: delta > -margin, delta = E[candidate - incumbent] (see `ppi`).
    L = delta - t_{1-alpha, G-1} SE, U likewise. Pass iff L > -margin; fail iff U < -margin; else, or
    with labels from fewer than 30 clusters, inconclusive.
    When fewer than 10 labelled pairs differ, L is capped by the exact bound -U_CP(losses, n)
    (and U by U_CP(wins, n)), because "no difference seen" in a small sample is not "no difference".

    Raises:
        ValueError: if the margin is not within (0, 1) or alpha not within (0, 0.5).
    """
    if not 0 < margin < 1 or not 0 < alpha < 0.5:
        raise ValueError(f"margin {margin} or alpha {alpha} out of range (hint: 0.05 is five points)")
    labelled = ~np.isnan(sample.human)
    clusters = int(np.unique(sample.clusters[labelled]).size)
    if clusters < MINIMUM_CLUSTERS:
        return _undecided(sample, margin, alpha, clusters)
    mean = estimate_difference(sample)
    lower, upper = _bounds(mean, sample, alpha)
    verdict, reason = _verdict(lower, upper, margin)
    return Parity(
        verdict=verdict,
        reason=reason,
        estimate=mean.estimate,
        lower=lower,
        upper=upper,
        margin=margin,
        alpha=alpha,
        standard_error=mean.standard_error,
        pairs=mean.pairs,
        labels=mean.labels,
        clusters=mean.clusters,
        judge_weight=mean.weight,
        judge_correlation=mean.correlation,
    )


def _bounds(mean: PairedMean, sample: PairedSample, alpha: float) -> tuple[float, float]:
    radius = float(stdtrit(mean.degrees, 1.0 - alpha)) * mean.standard_error
    lower, upper = mean.estimate - radius, mean.estimate + radius
    human = sample.human[~np.isnan(sample.human)]
    losses, wins = int((human < 0).sum()), int((human > 0).sum())
    if losses + wins < SPARSE_DIFFERENCES:
        lower = min(lower, -clopper.upper_bound(losses, human.size, alpha=alpha))
        upper = max(upper, clopper.upper_bound(wins, human.size, alpha=alpha))
    return lower, upper


def _verdict(lower: float, upper: float, margin: float) -> tuple[Verdict, str]:
    if lower > -margin:
        return Verdict.PASS, f"the lower bound {lower:+.3f} is above the margin {-margin:+.3f}"
    if upper < -margin:
        return Verdict.FAIL, f"the upper bound {upper:+.3f} is below the margin {-margin:+.3f}"
    text = (
        f"the interval [{lower:+.3f}, {upper:+.3f}] holds the margin {-margin:+.3f}: more labels are needed"
    )
    return Verdict.INCONCLUSIVE, text


def _undecided(sample: PairedSample, margin: float, alpha: float, clusters: int) -> Parity:
    return Parity(
        verdict=Verdict.INCONCLUSIVE,
        reason=f"labels come from {clusters} clusters; at least {MINIMUM_CLUSTERS} are needed",
        estimate=0.0,
        lower=-1.0,
        upper=1.0,
        margin=margin,
        alpha=alpha,
        standard_error=1.0,
        pairs=int(sample.human.size),
        labels=int((~np.isnan(sample.human)).sum()),
        clusters=clusters,
        judge_weight=0.0,
        judge_correlation=0.0,
    )
