"""When a credential is refreshed, and when its age is an alarm. Pure.

A third of its life before the end, at most 15 minutes (what the clouds' SDKs call advisory): late enough to
be rare, early enough that several tries fit before anything fails. The lead varies by up to a fifth, so
that a fleet does not ask at once.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_LEAD_S = 900.0
ALARM_LEAD_S = 600.0  # a refresh that should have come 5 minutes ago has failed a few times
RETRY_S, SLOWEST_RETRY_S = 1.0, 30.0
RECHECK_S = 300.0  # how often a source without expiry (a file, a variable) is read again


@dataclass(frozen=True, slots=True)
class Life:
    """When a credential was fetched and ends, in Unix seconds; no end = it does not expire."""

    since_unix_s: float
    until_unix_s: float | None

    @property
    def length_s(self) -> float | None:
        """Seconds from fetch to end."""
        return None if self.until_unix_s is None else max(0.0, self.until_unix_s - self.since_unix_s)

    def is_over(self, now: float) -> bool:
        """Whether it opens nothing any more."""
        return self.until_unix_s is not None and self.until_unix_s <= now


def refresh_at(life: Life, draw: float) -> float:
    """When to fetch the next one, in Unix seconds; `draw` in [0, 1)."""
    length = life.length_s
    if life.until_unix_s is None or length is None:
        return life.since_unix_s + RECHECK_S
    return life.until_unix_s - min(LONGEST_LEAD_S, length / 3) * (1 + 0.2 * draw)


def is_alarming(life: Life, now: float) -> bool:
    """Whether the end is so near that refreshing must be failing."""
    if life.until_unix_s is None or life.length_s is None:
        return False
    return now >= life.until_unix_s - min(ALARM_LEAD_S, life.length_s * 2 / 9)


def retry_after_s(failures: int, draw: float) -> float:
    """How long to wait after so many failures in a row: doubling, full jitter in its upper half."""
    wait = min(SLOWEST_RETRY_S, RETRY_S * 2.0 ** min(failures - 1, 10))
    return wait * (0.5 + 0.5 * draw)
