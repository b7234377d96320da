"""Mean paired difference from many judged pairs and few human labels (PPI++).

Why not the judge alone: a judge biased towards one arm declares parity at any drop. Why not the
labels alone: they are dear. The rectifier (the labelled part) removes the judge's bias whatever it
is, and the judge only lowers the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedSample:
    """Candidate minus incumbent per pair, in [-1, 1]; all arrays have shape (N,).

    `judge`: difference of the judge's outcomes (zeros where there is no judge).
    `human`: difference of the human outcomes, NaN where the pair was not labelled. The labelled
    pairs must be a simple random sample (one known probability), both arms labelled together.
    `clusters`: integer id of the conversation, user or workspace of each pair.
    """

    judge: Floats
    human: Floats
    clusters: Integers

    def __post_init__(self) -> None:
        shape = self.judge.shape
        if len(shape) != 1 or self.human.shape != shape or self.clusters.shape != shape:
            raise ValueError("judge, human and clusters must be one-dimensional and of equal length")
        if not np.all(np.isfinite(self.judge)) or np.any(np.isinf(self.human)):
            raise ValueError(
                "differences must be finite (hint: NaN is allowed only in human, for unlabelled)"
            )
        if np.any(np.abs(self.judge) > 1) or np.any(np.abs(self.human) > 1):
            raise ValueError("differences must lie in [-1, 1] (hint: scale the scores to [0, 1])")


@dataclass(frozen=True, slots=True)
class PairedMean:
    """Estimate of E[candidate - incumbent] with what it rests on. `weight` is lambda."""

    estimate: float
    standard_error: float
    degrees: int
    weight: float
    correlation: float
    pairs: int
    labels: int
    clusters: int


def estimate_difference(sample: PairedSample) -> PairedMean:
    """PPI++ estimate of the mean paired difference, cluster-robust.

    With F the judge's and D the human difference, n labelled of N pairs:
    delta = lambda * mean_unlabelled(F) + mean_labelled(D - lambda F),
    lambda* = Cov(D, F) / [Var(F) (1 + n/(N-n))], clipped to [0, 1]; 0 when all pairs are labelled.
    Each pair's influence is psi_i = lambda (F_i - mean_u F)/(N-n) if unlabelled and
    (r_i - mean r)/n with r = D - lambda F if labelled; Var = G/(G-1) * sum_g (sum_{i in g} psi_i)^2,
    where G counts the clusters that hold a label, degrees of freedom G-1. Summing both parts within
    a cluster keeps their covariance, which the two separate variances would lose.
    With singleton clusters this is the independent form of the same formula.
    Reference: Angelopoulos, Duchi, Zrnic, PPI++ (arXiv 2311.01453).

    Raises:
        ValueError: with labels in fewer than two clusters.
    """
    labelled = ~np.isnan(sample.human)
    total, count = int(labelled.size), int(labelled.sum())
    groups = int(np.unique(sample.clusters[labelled]).size)
    if groups < 2:
        raise ValueError("a variance needs labels in at least two clusters")
    human, judge = sample.human[labelled], sample.judge[labelled]
    unlabelled = sample.judge[~labelled]
    correlation, weight = _judge_weight(human, judge, unlabelled, total)
    residual = human - weight * judge
    influence = np.empty(total)
    influence[labelled] = (residual - residual.mean()) / count
    estimate = float(residual.mean())
    if unlabelled.size:
        estimate += weight * float(unlabelled.mean())
        influence[~labelled] = weight * (unlabelled - unlabelled.mean()) / unlabelled.size
    _, index = np.unique(sample.clusters, return_inverse=True)
    sums = np.bincount(index, weights=influence)
    variance = groups / (groups - 1) * float(np.square(sums).sum())
    return PairedMean(estimate, variance**0.5, groups - 1, weight, correlation, total, count, groups)


def _judge_weight(human: Floats, judge: Floats, unlabelled: Floats, total: int) -> tuple[float, float]:
    """corr(D, F) on the labelled pairs, and lambda*. F's variance is taken from all pairs."""
    spread = float(np.var(np.concatenate([judge, unlabelled])))
    if spread == 0.0:
        return 0.0, 0.0
    covariance = float(np.mean((human - human.mean()) * (judge - judge.mean())))
    scale = float(human.std() * judge.std())
    correlation = covariance / scale if scale > 0 else 0.0
    if not unlabelled.size:
        return correlation, 0.0
    ratio = 1.0 + (total - unlabelled.size) / unlabelled.size
    return correlation, min(1.0, max(0.0, covariance / (spread * ratio)))
