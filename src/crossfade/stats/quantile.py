"""Is the candidate's latency quantile not above the incumbent's by more than a margin?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfade.domain.evidence import Verdict
from crossfade.stats.parity import DEFAULT_ALPHA
from crossfade.stats.ppi import Floats, Integers

# Fewer blocks and the bootstrap only resamples the same few stretches of weather.
MINIMUM_BLOCKS = 10
# Below this, a p90 rests on a handful of values.
MINIMUM_VALUES = 100
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's latencies: values > 0 and the integer block (minute) of each, both shape (n,)."""

    values: Floats
    blocks: Integers

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.shape != self.blocks.shape:
            raise ValueError("values and blocks must be one-dimensional and of equal length")
        if not np.all(np.isfinite(self.values)) or np.any(self.values <= 0):
            raise ValueError("latencies must be positive and finite")


@dataclass(frozen=True, slots=True)
class QuantileParity:
    """Ratio candidate/incumbent of one quantile; `lower`, `upper`: one-sided (1-alpha) bounds."""

    verdict: Verdict
    reason: str
    probability: float
    ratio: float
    lower: float
    upper: float
    margin: float
    alpha: float
    values: int
    blocks: int


@dataclass(frozen=True, slots=True)
class QuantileTest:
    """Which quantile, how much slower is still parity, and the bootstrap's size and seed."""

    probability: float
    margin: float = 0.10
    alpha: float = DEFAULT_ALPHA
    resamples: int = RESAMPLES
    seed: int = 0


def decide_quantile_parity(incumbent: Arm, candidate: Arm, test: QuantileTest) -> QuantileParity:
    """Non-inferiority of a ratio of quantiles by block bootstrap.

    H0: Q_B(p)/Q_A(p) >= 1 + margin. Blocks (minutes) are resampled with replacement, the same draw
    for both arms, which keeps autocorrelation within a block and the weather common to both arms.
    Bounds are basic-bootstrap on the log ratio: U = 2 ln r - q_alpha(ln r*), L likewise. Pass iff
    exp U <= 1 + margin, fail iff exp L > 1 + margin, else (or with too few values) inconclusive.
    Reference: Kuensch, Ann. Statist. 17 (1989), doi 10.1214/aos/1176347265; Davison & Hinkley (1997), 2.4.
    """
    blocks = np.unique(np.concatenate([incumbent.blocks, candidate.blocks]))
    fewest = int(min(incumbent.values.size, candidate.values.size))
    if blocks.size < MINIMUM_BLOCKS or fewest < MINIMUM_VALUES:
        need = f"at least {MINIMUM_BLOCKS} blocks and {MINIMUM_VALUES} values per arm are needed"
        reason = f"{blocks.size} blocks, {fewest} values: {need}"
        return _result(test, Verdict.INCONCLUSIVE, reason, (1.0, 0.0, float("inf")), (fewest, blocks.size))
    counts = np.random.default_rng(test.seed).multinomial(
        blocks.size, np.full(blocks.size, 1.0 / blocks.size), size=test.resamples
    )
    draws = _quantiles(candidate, blocks, counts, test.probability) - _quantiles(
        incumbent, blocks, counts, test.probability
    )
    once = np.ones((1, blocks.size), dtype=np.int64)
    seen = float(
        _quantiles(candidate, blocks, once, test.probability)[0]
        - _quantiles(incumbent, blocks, once, test.probability)[0]
    )
    draws = draws[np.isfinite(draws)]
    lower = float(np.exp(2 * seen - np.quantile(draws, 1 - test.alpha)))
    upper = float(np.exp(2 * seen - np.quantile(draws, test.alpha)))
    limit = 1 + test.margin
    if upper <= limit:
        verdict, reason = Verdict.PASS, f"the upper bound x{upper:.3f} is within x{limit:.3f}"
    elif lower > limit:
        verdict, reason = Verdict.FAIL, f"the lower bound x{lower:.3f} is above x{limit:.3f}"
    else:
        verdict, reason = Verdict.INCONCLUSIVE, f"[x{lower:.3f}, x{upper:.3f}] holds x{limit:.3f}"
    return _result(test, verdict, reason, (float(np.exp(seen)), lower, upper), (fewest, blocks.size))


def _quantiles(arm: Arm, blocks: Integers, counts: NDArray[np.int64], probability: float) -> Floats:
    """Ln of the weighted quantile for each row of block counts (resamples x blocks).

    The quantile is the smallest value whose cumulative weight reaches probability x total; NaN for a
    resample that drew none of this arm's values.
    """
    order = np.argsort(arm.values, kind="stable")
    logs = np.log(arm.values[order])
    column = np.searchsorted(blocks, arm.blocks[order])
    result = np.empty(counts.shape[0])
    for row, drawn in enumerate(counts):
        running = np.cumsum(drawn[column])
        total = running[-1]
        place = int(np.searchsorted(running, probability * total))
        result[row] = logs[min(place, logs.size - 1)] if total else np.nan
    return result


def _result(
    test: QuantileTest,
    verdict: Verdict,
    reason: str,
    ratio: tuple[float, float, float],
    size: tuple[int, int],
) -> QuantileParity:
    return QuantileParity(
        verdict=verdict,
        reason=reason,
        probability=test.probability,
        ratio=ratio[0],
        lower=ratio[1],
        upper=ratio[2],
        margin=test.margin,
        alpha=test.alpha,
        values=size[0],
        blocks=size[1],
    )
