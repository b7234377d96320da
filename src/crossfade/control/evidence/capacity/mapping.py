"""The smallest number of units that meets the objective: bracketing, then bisection. Pure.

Inconclusive counts as "not enough": the answer errs towards more units, never towards fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossfade.domain.evidence import Verdict


@dataclass(frozen=True, slots=True)
class Search:
    """`too_few`: the most units known not to be enough. `enough`: the fewest known to be."""

    first_guess: int
    most: int
    too_few: int = 0
    enough: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """Measure with so many units next."""

    units: int


@dataclass(frozen=True, slots=True)
class Found:
    """The answer, and what is known around it. `units` null: even `most` were not enough."""

    units: int | None
    interval: tuple[int, int]


def next_probe(search: Search) -> Probe | Found:
    """What to measure next, or the answer."""
    if search.enough is None:
        if search.too_few >= search.most:
            return Found(None, (search.most + 1, search.most + 1))
        upwards = max(search.first_guess, search.too_few + 1, round(search.too_few * 1.5))
        return Probe(min(search.most, upwards))
    if search.enough - search.too_few <= 1:
        return Found(search.enough, (search.enough, search.enough))
    return Probe((search.enough + search.too_few) // 2)


def after(search: Search, units: int, verdict: Verdict) -> Search:
    """What a probe taught."""
    if verdict is Verdict.PASS:
        return replace(search, enough=min(units, search.enough or units))
    return replace(search, too_few=max(units, search.too_few))
