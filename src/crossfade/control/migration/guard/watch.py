"""Time as a migration sees it: it never runs backwards, and what the clock skips was watched by nobody.

A wall clock that is set forward would end a bake that never took place. So it is compared with a steady
clock, which nothing sets: the difference is logged, and moves what waits for time to pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]  # seconds

SKIP_S = 5.0  # less is how exactly two clocks are read and how fast a time source is followed


@dataclass(slots=True)
class Watch:
    """`latest_unix_s`: of the log and of what was decided. `at`: both clocks at the last look."""

    latest_unix_s: float = 0.0
    at: tuple[float, float] | None = None
    began_s: float | None = None  # by the steady clock

    def watched_s(self, steady: Clock) -> float:
        """Seconds since the first look of this process."""
        self.began_s = steady() if self.began_s is None else self.began_s
        return steady() - self.began_s

    def now(self, wall: Clock) -> float:
        """Unix seconds that never run backwards: a clock set back stops time, it does not undo it."""
        self.latest_unix_s = max(self.latest_unix_s, wall())
        return self.latest_unix_s

    def skipped_s(self, wall: Clock, steady: Clock) -> float:
        """By how much time went ahead of real time since the last look; 0 at the first.

        Of time as the migration sees it: a clock that was set back and is right again has skipped as long
        as it was wrong, in which nothing got older, and not the hour it was wrong by.
        """
        before, self.at = self.at, (self.now(wall), steady())
        if before is None:
            return 0.0
        ahead = (self.at[0] - before[0]) - (self.at[1] - before[1])
        return ahead if ahead >= SKIP_S else 0.0
