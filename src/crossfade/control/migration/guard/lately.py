"""How each side of a migration has served in the last minutes, second by second, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from crossfade.control.migration.guard.incident import WINDOWS_S
from crossfade.domain.attempt import ArmKind, AttemptRecord
from crossfade.domain.migration import ArmHealth

Seconds = deque[tuple[int, ArmHealth]]
_SIDES = {ArmKind.CANDIDATE: 0, ArmKind.MAIN: 1, ArmKind.BASELINE: 1}


@dataclass(slots=True)
class Lately:
    """By feature, the seconds of candidate and incumbent. A request counts when its attempt ended."""

    seconds: dict[str, tuple[Seconds, Seconds]]
    heard: set[tuple[str, int, str]] = field(default_factory=set)  # bad units of the present minute
    minute: int = 0

    def note(self, record: AttemptRecord, health: ArmHealth) -> None:
        """Count a first attempt; one that came late counts in the newest second."""
        side = _SIDES.get(record.arm)
        if side is None:
            return
        second = int((record.started_unix_ms + record.timings.total_ms) / 1000)
        if health.voices and not self._is_first(record.feature, side, record.unit, second // 60):
            health = replace(health, voices=0)
        kept = self.seconds.setdefault(record.feature, (deque(), deque()))[side]
        known = ArmHealth()
        if kept and kept[-1][0] >= second:
            second, known = kept.pop()
        kept.append((second, sum_of((known, health))))
        while kept[0][0] < second - max(WINDOWS_S):
            kept.popleft()

    def since(self, feature: str, since_unix_s: float) -> tuple[ArmHealth, ArmHealth]:
        """Candidate and incumbent since then."""
        ours, theirs = self.seconds.get(feature, ((), ()))
        return (
            sum_of(health for second, health in ours if second >= since_unix_s),
            sum_of(health for second, health in theirs if second >= since_unix_s),
        )

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
