"""Feedback over the long run: is a feature liked less at an endpoint than it used to be?

A backstop: one request in fifty has a thumb, so it takes thousands of requests. The first votes say what
is ordinary, from then on a detector watches (`stats.detector`). All in memory: a restart learns anew.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from crossfade.stats.clopper import upper_bound
from crossfade.stats.detector import Detector, watch

LEARNT_FROM = 400  # votes: the upper bound of 8 % is then 11 %, and a detector needs a rise above that
CERTAIN = 0.05  # that the bound is too low
LEAST_RATE, MOST_RATE = 0.005, 0.9  # a detector bets on rates between


@dataclass(slots=True)
class Trend:
    """Of one feature at one endpoint. `detector`: null while its ordinary rate is learnt."""

    votes: int = 0
    bad: int = 0
    detector: Detector | None = None
    bad_since: int = 0
    is_alarmed: bool = False

    def observe(self, *, bad: bool) -> None:
        """One more vote."""
        if self.detector is None:
            self.votes, self.bad = self.votes + 1, self.bad + bad
            if self.votes >= LEARNT_FROM:
                rate = upper_bound(self.bad, self.votes, alpha=CERTAIN)
                self.detector = watch(min(MOST_RATE, max(LEAST_RATE, rate)))
            return
        self.detector = self.detector.observe(float(bad))
        self.bad_since += bad
        self.is_alarmed = self.is_alarmed or self.detector.is_alarmed()


@dataclass(slots=True)
class Trends:
    """By feature and endpoint. Votes come in on several threads."""

    by_place: dict[tuple[str, str], Trend] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, feature: str, endpoint: str, *, bad: bool) -> None:
        """One more vote about an answer."""
        with self.lock:
            self.by_place.setdefault((feature, endpoint), Trend()).observe(bad=bad)

    def rows(self) -> list[dict[str, Any]]:
        """What is watched, as JSON. `ordinary`: the bound that is watched; `rate`: bad votes since."""
        with self.lock:
            return [
                {
                    "feature": feature,
                    "endpoint": endpoint,
                    "votes": trend.votes + trend.detector.seen,
                    "ordinary": trend.detector.ordinary,
                    "rate": trend.bad_since / trend.detector.seen if trend.detector.seen else None,
                    "is_worse": trend.is_alarmed,
                }
                for (feature, endpoint), trend in sorted(self.by_place.items())
                if trend.detector is not None
            ]
