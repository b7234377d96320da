"""How each side of a migration has served in the last minutes, second by second, in memory.

Kept as running totals, so that a look over any stretch is a subtraction: twenty migrations look twice a
second, over two windows each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from crossfade.control.migration.guard.incident import WINDOWS_S
from crossfade.domain.attempt import ArmKind, AttemptRecord
from crossfade.domain.migration import ArmHealth

KEPT_S = max(WINDOWS_S)
TRIMMED_AT = int(2 * KEPT_S)  # entries: trimmed rarely, so that trimming costs nothing
_SIDES = {ArmKind.CANDIDATE: 0, ArmKind.MAIN: 1, ArmKind.BASELINE: 1}


@dataclass(slots=True)
class Side:
    """One side's seconds in order, and everything up to the end of each. `before`: what was trimmed."""

    seconds: list[int] = field(default_factory=list)
    totals: list[ArmHealth] = field(default_factory=list)
    before: ArmHealth = field(default_factory=ArmHealth)
    spotted: int | None = None  # the latest second in which something was bad

    def add(self, second: int, health: ArmHealth) -> None:
        """Count in that second; what comes late counts in the newest."""
        if health.is_spotted:
            self.spotted = max(second, self.seconds[-1] if self.seconds else second)
        total = sum_of((self.totals[-1] if self.totals else self.before, health))
        if self.seconds and self.seconds[-1] >= second:
            self.totals[-1] = total
            return
        self.seconds.append(second)
        self.totals.append(total)
        if len(self.seconds) > TRIMMED_AT:
            old = bisect_left(self.seconds, second - KEPT_S)
            if old:
                self.before = self.totals[old - 1]
                del self.seconds[:old], self.totals[:old]

    def since(self, since_unix_s: float) -> ArmHealth:
        """Everything since then, as far back as it is kept."""
        if not self.totals:
            return ArmHealth()
        first = bisect_left(self.seconds, max(since_unix_s, self.seconds[-1] - KEPT_S))
        return _less(self.totals[-1], self.totals[first - 1] if first else self.before)


@dataclass(slots=True)
class Lately:
    """By feature, candidate and incumbent. A request counts when its attempt ended."""

    sides: dict[str, tuple[Side, Side]] = field(default_factory=dict)
    heard: set[tuple[str, int, str]] = field(default_factory=set)  # bad units of the present minute
    minute: int = 0

    def note(self, record: AttemptRecord, health: ArmHealth) -> None:
        """Count a first attempt."""
        side = _SIDES.get(record.arm)
        if side is None:
            return
        second = int((record.started_unix_ms + record.timings.total_ms) / 1000)
        if health.voices and not self._is_first(record.feature, side, record.unit, second // 60):
            health = replace(health, voices=0)
        self.sides.setdefault(record.feature, (Side(), Side()))[side].add(second, health)

    def since(self, feature: str, since_unix_s: float) -> tuple[ArmHealth, ArmHealth]:
        """Candidate and incumbent since then, five minutes back at most."""
        ours, theirs = self.sides.get(feature, (Side(), Side()))
        return ours.since(since_unix_s), theirs.since(since_unix_s)

    def is_well(self, feature: str, since_unix_s: float) -> bool:
        """Whether nothing of the incumbent's requests since then was bad, five minutes back at most."""
        sides = self.sides.get(feature)
        spotted = sides[1].spotted if sides is not None else None
        return spotted is None or spotted < since_unix_s

    def _is_first(self, feature: str, side: int, unit: str, minute: int) -> bool:
        """Whether this is the unit's first bad request of the minute, so that one unit is one voice."""
        if minute > self.minute:
            self.minute = minute
            self.heard.clear()
        key = (feature, side, unit)
        is_first = key not in self.heard
        self.heard.add(key)
        return is_first


def sum_of(healths: Iterable[ArmHealth]) -> ArmHealth:
    """Several stretches as one."""
    requests = kept_away = failed = answers = bad = voices = 0
    for one in healths:
        requests, kept_away, failed = requests + one.requests, kept_away + one.kept_away, failed + one.failed
        answers, bad, voices = answers + one.answers, bad + one.bad, voices + one.voices
    return ArmHealth(requests, kept_away, failed, answers, bad, voices)


def _less(whole: ArmHealth, part: ArmHealth) -> ArmHealth:
    return ArmHealth(
        whole.requests - part.requests,
        whole.kept_away - part.kept_away,
        whole.failed - part.failed,
        whole.answers - part.answers,
        whole.bad - part.bad,
        whole.voices - part.voices,
    )
