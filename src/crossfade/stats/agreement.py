"""How far two raters agree beyond chance: the judge against the people, or two people.

An efficiency number: it says what the labels will cost, never whether the gate is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from crossfade.stats.ppi import Floats


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient with a two-sided 95 % jackknife interval; `observed` is plain agreement."""

    value: float
    lower: float
    upper: float
    observed: float
    items: int


def measure_kappa(first: Sequence[object], second: Sequence[object]) -> Agreement:
    """Cohen's kappa = (po - pe)/(1 - pe), pe = sum_k p1k p2k.

    Two sequences of n categorical ratings of the same items. 1 when both raters use one and the same
    category throughout (nothing was left to chance).
    Reference: Cohen, Educ. Psychol. Meas. 20 (1960), doi 10.1177/001316446002000104.

    Raises:
        ValueError: if the lengths differ or fewer than two items are given.
    """
    return _jackknife(_table(first, second), _kappa)


def measure_ac1(first: Sequence[object], second: Sequence[object]) -> Agreement:
    """Gwet's AC1 = (po - pe)/(1 - pe), pe = sum_k q_k (1 - q_k)/(K - 1), q_k the mean share of k.

    Stable where nearly everything passes, where kappa collapses although the raters agree.
    Reference: Gwet, Br. J. Math. Stat. Psychol. 61 (2008), doi 10.1348/000711006X126600.

    Raises:
        ValueError: if the lengths differ or fewer than two items are given.
    """
    return _jackknife(_table(first, second), _ac1)


def _table(first: Sequence[object], second: Sequence[object]) -> Floats:
    if len(first) != len(second) or len(first) < 2:
        raise ValueError("two raters must have rated the same two or more items")
    categories = sorted({*first, *second}, key=repr)
    place = {category: index for index, category in enumerate(categories)}
    table = np.zeros((len(categories), len(categories)))
    for left, right in zip(first, second, strict=True):
        table[place[left], place[right]] += 1
    return table


def _kappa(table: Floats) -> float:
    share = table / table.sum()
    chance = float(share.sum(axis=1) @ share.sum(axis=0))
    return _beyond(float(np.trace(share)), chance)


def _ac1(table: Floats) -> float:
    share = table / table.sum()
    if len(share) < 2:
        return 1.0
    mean = (share.sum(axis=0) + share.sum(axis=1)) / 2
    return _beyond(float(np.trace(share)), float(mean @ (1 - mean)) / (len(share) - 1))


def _beyond(observed: float, chance: float) -> float:
    return 1.0 if chance >= 1.0 else (observed - chance) / (1.0 - chance)


def _jackknife(table: Floats, coefficient: Callable[[Floats], float]) -> Agreement:
    """Leave-one-out variance: items of one cell are exchangeable, so each cell is computed once."""
    count = table.sum()
    value = coefficient(table)
    left_out, weights = [], []
    for row, column in zip(*np.nonzero(table), strict=True):
        smaller = table.copy()
        smaller[row, column] -= 1
        left_out.append(coefficient(smaller))
        weights.append(table[row, column])
    mean = np.average(left_out, weights=weights)
    variance = (count - 1) * float(np.average(np.square(np.array(left_out) - mean), weights=weights))
    radius = float(ndtri(0.975)) * variance**0.5
    observed = float(np.trace(table) / count)
    return Agreement(value, max(-1.0, value - radius), min(1.0, value + radius), observed, int(count))
