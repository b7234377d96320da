"""How many requests a guard takes: the sample-size tables, reproduced.

One run draws bad events until the e-process crosses. Between two bad events the good requests of each
arm are drawn with them, so candidate requests are counted exactly without drawing every request.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfade.stats.sequential import RatioTest, harm_test, promotion_test

Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

ALPHA = 0.001  # of a hard guard
BETA = 0.05
FEWEST_EVENTS = 4000


@dataclass(frozen=True, slots=True)
class Case:
    """Control's bad rate, true rate ratio, the candidate's weight, and the null's ratio."""

    base: float
    ratio: float
    weight: float
    null_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Harm:
    """Candidate requests until the crossing (median, p90), bad ones among them (median); runs crossed."""

    median: float
    p90: float
    bad: float
    crossed: float


# (case, candidate requests median, p90, bad answers median) of docs/concepts/guards.md
TABLE: tuple[tuple[Case, float, float, float | None], ...] = (
    *(
        (Case(0.005, 2, w), median, p90, bad)
        for w, median, p90, bad in (
            (0.01, 3750, 7400, 40), (0.05, 3900, 7700, 41), (0.25, 6100, 10400, 64), (0.5, 8700, 15400, 89),
        )
    ),
    *(
        (Case(0.005, 4, w), median, p90, bad)
        for w, median, p90, bad in (
            (0.01, 660, 1320, 14), (0.05, 730, 1270, 15), (0.25, 920, 1600, 19), (0.5, 1450, 2700, 29),
        )
    ),
    *(
        (Case(0.005, 10, w), median, p90, bad)
        for w, median, p90, bad in (
            (0.01, 115, 223, 7), (0.05, 119, 242, 7), (0.25, 200, 370, 11), (0.5, 322, 546, 16),
        )
    ),
    *(
        (Case(0.02, 4, w), median, p90, bad)
        for w, median, p90, bad in (
            (0.01, 147, 290, 13), (0.05, 166, 309, 14), (0.25, 228, 414, 19), (0.5, 386, 660, 32),
        )
    ),
    *(
        (Case(0.02, 40, w), median, p90, bad)
        for w, median, p90, bad in ((0.01, 5, 9, 4), (0.05, 4, 10, 4), (0.25, 9, 15, 7), (0.5, 15, 26, 12))
    ),
    *(
        (Case(0.10, 2, w, 1.1), median, p90, None)
        for w, median, p90 in ((0.01, 267, 482), (0.05, 285, 499), (0.25, 365, 671), (0.5, 630, 1071))
    ),
    *(
        (Case(0.10, 1.5, w, 1.1), median, p90, None)
        for w, median, p90 in ((0.01, 1230, 2390), (0.05, 1100, 2210), (0.25, 1690, 3040), (0.5, 2580, 5170))
    ),
)  # fmt: skip

# (base, margin ratio, total requests median, p90) at weight 50 %, the candidate truly equal
PROMOTION: tuple[tuple[float, float, float, float], ...] = (
    (0.005, 2.0, 8400, 23000),
    (0.005, 1.5, 26500, 66500),
    (0.02, 2.0, 1600, 4500),
    (0.10, 1.5, 1200, 3300),
    (0.10, 1.25, 5100, 12000),
)


def measure_harm(case: Case, runs: int, seed: int) -> Harm:
    """Until the harm test rolls back at ALPHA."""
    return _measure(case, harm_test(case.null_ratio), -math.log(ALPHA), runs, seed)


def measure_promotion(base: float, margin_ratio: float, runs: int, seed: int) -> Harm:
    """Until an equal candidate is certified at BETA; the figures are of both arms together."""
    case = Case(base, 1.0, 0.5)
    found = _measure(case, promotion_test(margin_ratio), -math.log(BETA), runs, seed)
    return Harm(found.median / case.weight, found.p90 / case.weight, found.bad, found.crossed)


def _measure(case: Case, test: RatioTest, limit: float, runs: int, seed: int) -> Harm:
    draw = np.random.default_rng(seed)
    w, r, p = case.weight, case.ratio, case.base
    # A candidate at 1 % sees one bad event in fifty: the run must be long enough for both arms.
    events = int(max(FEWEST_EVENTS, 400.0 / (w * r))) if w < 0.05 and r < 2 else FEWEST_EVENTS
    bad_rate = p * (w * r + 1.0 - w)
    is_candidate = draw.random((runs, events)) < w * r / (w * r + 1.0 - w)
    crossing = _first_crossing(test, is_candidate, w, limit)
    crossed = crossing < events
    goods = draw.geometric(bad_rate, (runs, events)) - 1
    of_candidate = draw.binomial(goods, w * (1.0 - r * p) / (1.0 - bad_rate)) + is_candidate
    requests = np.cumsum(of_candidate, axis=1)
    rows, at = np.arange(runs), np.minimum(crossing, events - 1)
    needed = np.where(crossed, requests[rows, at], np.inf)
    bad = np.where(crossed, np.cumsum(is_candidate, axis=1)[rows, at], np.inf)
    median, p90 = np.quantile(needed, [0.5, 0.9], method="lower")
    return Harm(float(median), float(p90), float(np.median(bad)), float(crossed.mean()))


def _first_crossing(test: RatioTest, is_candidate: Bools, weight: float, limit: float) -> Indices:
    """Index of the first event at which ln E >= limit, the number of events if none; shape (runs,)."""
    hit = test.observe(1, 0, weight).log_wealth  # what one event of either arm adds to each alternative
    miss = test.observe(0, 1, weight).log_wealth
    hits = np.cumsum(is_candidate, axis=1)
    misses = np.arange(1, is_candidate.shape[1] + 1) - hits
    log_e = np.full(is_candidate.shape, -np.inf)
    for a, b in zip(hit, miss, strict=True):
        np.logaddexp(log_e, hits * a + misses * b, out=log_e)
    crossed = log_e - math.log(len(hit)) >= limit
    found: Indices = np.where(crossed.any(axis=1), np.argmax(crossed, axis=1), is_candidate.shape[1])
    return found
