"""Feedback over the long run: is a feature liked less at an endpoint than it used to be?

A backstop: one request in fifty has a thumb, so it takes thousands of requests. The first votes say what
is ordinary, from then on a detector watches (`stats.detector`). An alarm holds for a while and the
detector begins again at once: votes that stay bad renew it, so it neither lasts for ever nor needs a
person to end it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from crossfade.domain.route import Signal
from crossfade.stats.clopper import upper_bound
from crossfade.stats.detector import Detector, watch

LEARNT_FROM = 400  # votes: the upper bound of 8 % is then 11 %, and a detector needs a rise above that
CERTAIN = 0.05  # that the bound is too low
LEAST_RATE, MOST_RATE = 0.005, 0.9  # a detector bets on rates between
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Consequence:
    """Of an alarm, for a feature: `keep` of its requests still ask the endpoint first, for `for_s`."""

    keep: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """Votes since the detector began, and how long the alarm holds."""

    votes: int
    bad: int
    until_unix_s: float


@dataclass(slots=True)
class Trend:
    """Of one feature at one endpoint. `detector`: null while its ordinary rate is learnt."""

    votes: int = 0
    bad: int = 0
    detector: Detector | None = None
    bad_since: int = 0
    alarm: Alarm | None = None

    def observe(self, *, bad: bool, alarm_until_unix_s: float) -> None:
        """One more vote."""
        self.votes += 1
        if self.detector is None:
            self.bad += bad
            if self.votes >= LEARNT_FROM:
                rate = upper_bound(self.bad, self.votes, alpha=CERTAIN)
                self.detector = watch(min(MOST_RATE, max(LEAST_RATE, rate)))
            return
        self.detector = self.detector.observe(float(bad))
        self.bad_since += bad
        if self.detector.is_alarmed():
            self.alarm = Alarm(self.detector.seen, self.bad_since, alarm_until_unix_s)
            self.detector, self.bad_since = watch(self.detector.ordinary), 0

    def alarm_at(self, now_unix_s: float) -> Alarm | None:
        """The alarm that holds now."""
        return self.alarm if self.alarm is not None and now_unix_s < self.alarm.until_unix_s else None


@dataclass(slots=True)
class Trends:
    """By feature and endpoint. Votes come in on several threads."""

    clock: Callable[[], float]  # Unix seconds
    consequence_of: Callable[[str], Consequence]  # of a feature
    by_place: dict[tuple[str, str], Trend] = field(default_factory=dict)
    heard: set[tuple[str, str, str]] = field(default_factory=set)  # who has voted in the present minute
    minute: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, feature: str, endpoint: str, unit: str, *, bad: bool) -> None:
        """One more vote about an answer. Of a unit one a minute counts: one customer is one voice."""
        with self.lock:
            now = self.clock()
            if now // MINUTE_S != self.minute:
                self.minute = int(now // MINUTE_S)
                self.heard.clear()
            if (feature, endpoint, unit) in self.heard:
                return
            self.heard.add((feature, endpoint, unit))
            until = now + self.consequence_of(feature).for_s
            self.by_place.setdefault((feature, endpoint), Trend()).observe(bad=bad, alarm_until_unix_s=until)

    def kept(self) -> list[tuple[str, str, Trend]]:
        """Everything learnt, by feature and endpoint, as it is now."""
        with self.lock:
            return [(*place, replace(trend)) for place, trend in sorted(self.by_place.items())]

    def restore(self, rows: Iterable[tuple[str, str, Trend]]) -> None:
        """Go on from what was learnt before."""
        with self.lock:
            self.by_place = {(feature, endpoint): trend for feature, endpoint, trend in rows}

    def signals(self) -> dict[str, tuple[Signal, ...]]:
        """What the engine shall make of the alarms that hold now, by feature."""
        found: dict[str, tuple[Signal, ...]] = {}
        with self.lock:
            now = self.clock()
            for (feature, endpoint), trend in sorted(self.by_place.items()):
                alarm, keep = trend.alarm_at(now), self.consequence_of(feature).keep
                if alarm is None or trend.detector is None or keep >= 1.0:
                    continue
                reason = (
                    f"users like its answers less: {alarm.bad / alarm.votes:.0%} of {alarm.votes} votes are "
                    f"bad, ordinary is below {trend.detector.ordinary:.0%}"
                )
                signal = Signal(endpoint, keep, int(alarm.until_unix_s), reason)
                found[feature] = (*found.get(feature, ()), signal)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """What is watched, as JSON. `ordinary`: the bound that is watched; `rate`: bad votes since.

        While an alarm holds, `rate` is that of its votes, `until_unix_s` its end and `keep` the share that
        still asks the endpoint first.
        """
        with self.lock:
            now = self.clock()
            return [
                _row(place, trend, trend.detector, trend.alarm_at(now), self.consequence_of(place[0]))
                for place, trend in sorted(self.by_place.items())
                if trend.detector is not None
            ]


def merge(
    present: dict[str, tuple[Signal, ...]], fresh: dict[str, tuple[Signal, ...]], now_unix_s: float
) -> dict[str, tuple[Signal, ...]]:
    """The present signals that have not ended, with the fresh ones over them.

    A restarted control has learnt nothing yet: it must not end what was said before.
    """
    merged: dict[str, tuple[Signal, ...]] = {}
    for feature in sorted({*present, *fresh}):
        lasting = {one.endpoint: one for one in present.get(feature, ()) if now_unix_s < one.until_unix_s}
        lasting |= {one.endpoint: one for one in fresh.get(feature, ())}
        if lasting:
            merged[feature] = tuple(lasting[endpoint] for endpoint in sorted(lasting))
    return merged


def _row(
    place: tuple[str, str], trend: Trend, detector: Detector, alarm: Alarm | None, then: Consequence
) -> dict[str, Any]:
    bad, votes = (trend.bad_since, detector.seen) if alarm is None else (alarm.bad, alarm.votes)
    return {
        "feature": place[0],
        "endpoint": place[1],
        "votes": trend.votes,
        "ordinary": detector.ordinary,
        "rate": bad / votes if votes else None,
        "is_worse": alarm is not None,
        "until_unix_s": alarm.until_unix_s if alarm is not None else None,
        "keep": then.keep,
    }
