"""The smallest number of units that meets the objective: galloping from a good guess, then bisection. Pure.

Inconclusive counts as "not enough": the answer errs towards more units, never towards fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from crossfade.domain.evidence import Verdict


@dataclass(frozen=True, slots=True)
class Search:
    """`too_few`: the most units known not to be enough. `enough`: the fewest known to be.

    `missing`: what the load seems to need, by the share that too few units refused.
    """

    first_guess: int
    most: int
    too_few: int = 0
    enough: int | None = None
    probes: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """Measure with so many units next."""

    units: int


@dataclass(frozen=True, slots=True)
class Found:
    """The answer, and what is known around it. `units` null: even `most` were not enough."""

    units: int | None
    interval: tuple[int, int]


def fluid_units(rate: float, tokens: tuple[float, float], per_unit_tpm: tuple[float, float]) -> int:
    """Units that carry the mean load of a metered unit: the scarcer of input and output tokens.

    `rate` in requests/s, `tokens` mean (input, output) of a request, `per_unit_tpm` what one unit
    carries a minute. Arrivals come in bursts, so the answer of a measurement lies above it.
    """
    shares = (60 * rate * each / most for each, most in zip(tokens, per_unit_tpm, strict=True))
    return max(1, math.ceil(max(shares)))


def next_probe(search: Search) -> Probe | Found:
    """What to measure next, or the answer. Steps double until the answer lies between two probes."""
    step = 2 ** max(0, search.probes - 1)
    if search.enough is None:
        if search.too_few >= search.most:
            return Found(None, (search.most + 1, search.most + 1))
        upwards = max(search.too_few + step, search.missing) if search.probes else search.first_guess
        return Probe(min(search.most, max(1, upwards)))
    if search.enough - search.too_few <= 1:
        return Found(search.enough, (search.enough, search.enough))
    if not search.too_few:
        return Probe(max(1, search.enough - step))
    return Probe((search.enough + search.too_few) // 2)


def after(search: Search, units: int, verdict: Verdict, refused: float = 0.0) -> Search:
    """What a probe taught. `refused`: the share turned away as too much; K / (1 - refused) may carry all."""
    counted = replace(search, probes=search.probes + 1)
    if verdict is Verdict.PASS:
        return replace(counted, enough=min(units, search.enough or units))
    missing = math.ceil(units / max(0.1, 1.0 - refused))
    return replace(counted, too_few=max(units, search.too_few), missing=missing)
