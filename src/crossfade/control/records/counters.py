"""The live picture of the gateways: who is there, what took effect, counts for the guards."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from crossfade.control.records.backlog import Backlog
from crossfade.domain.attempt import Ack, ArmCount, Counters, EndpointHealth, FeatureEffect

LIVE_S = 5.0  # a gateway reports every second; five missed reports are silence
KEPT_COUNTS = 200_000  # about a day of one gateway with ten arms
KEPT_RECENT = 6_000  # ten minutes of three gateways with three arms


@dataclass(frozen=True, slots=True)
class GatewayState:
    """One gateway as last heard. `heard_s`: by control's steady clock, which nobody sets."""

    name: str
    heard_s: float
    snapshot_version: int
    effects: dict[str, FeatureEffect]
    health: tuple[EndpointHealth, ...]
    records_dropped: int
    in_flight: int


@dataclass(slots=True)
class Ended:
    """A feature's totals after each report: requests and caller-visible errors, as running sums."""

    at_s: list[float] = field(default_factory=list)
    totals: list[tuple[int, int]] = field(default_factory=list)
    before: tuple[int, int] = (0, 0)  # what was trimmed

    def add(self, now: float, requests: int, errors: int) -> None:
        """The totals now."""
        self.at_s.append(now)
        self.totals.append((requests, errors))
        if len(self.at_s) > 2 * KEPT_RECENT:
            self.before = self.totals[KEPT_RECENT - 1]
            del self.at_s[:KEPT_RECENT], self.totals[:KEPT_RECENT]

    def since(self, since_s: float) -> tuple[int, int]:
        """What came since then, as far back as it is kept."""
        if not self.totals:
            return 0, 0
        first = bisect_left(self.at_s, since_s)
        before = self.totals[first - 1] if first else self.before
        return self.totals[-1][0] - before[0], self.totals[-1][1] - before[1]


class CounterBoard:
    """Holds what gateways report. All in memory: a restart hears everything again in a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._gateways: dict[str, GatewayState] = {}
        self._in_order: tuple[GatewayState, ...] = ()
        self._counts: Backlog[ArmCount] = Backlog(KEPT_COUNTS)
        self._totals: dict[str, tuple[int, int]] = {}
        self._recent: dict[str, deque[tuple[float, ArmCount]]] = {}
        self._ended: dict[str, Ended] = {}
        self._failures: dict[str, int] = {}
        self._cut_off: frozenset[str] = frozenset()
        self._changed = asyncio.Event()

    def cut_off(self, gateways: Collection[str]) -> None:
        """For a drill: neither hear these gateways nor tell them anything, as if the network were broken."""
        self._cut_off = frozenset(gateways)

    def heal(self) -> None:
        """Hear and tell everybody again."""
        self._cut_off = frozenset()

    def is_cut_off(self, gateway: str) -> bool:
        """Whether nothing may reach this gateway now."""
        return gateway in self._cut_off

    def observe(self, report: Counters) -> None:
        """Take in a gateway's second. Of one that is cut off only the counts: a drill loses no traffic."""
        now = self._clock()
        if self.is_cut_off(report.gateway):
            self._count(report, now)
            return
        self._gateways[report.gateway] = GatewayState(
            name=report.gateway,
            heard_s=now,
            snapshot_version=report.snapshot_version,
            effects={effect.feature: effect for effect in report.effects},
            health=report.health,
            records_dropped=report.records_dropped,
            in_flight=report.in_flight,
        )
        self._count(report, now)
        self._wake()

    def _count(self, report: Counters, now: float) -> None:
        for count in report.arms:
            if count.arm_name is not None:
                self._counts.add(count.arm_name, count)
            bad = count.first_hard + count.caller_errors
            self._failures[count.feature] = self._failures.get(count.feature, 0) + bad
            requests, errors = self._totals.get(count.feature, (0, 0))
            self._totals[count.feature] = (requests + count.requests, errors + count.caller_errors)
            self._ended.setdefault(count.feature, Ended()).add(now, *self._totals[count.feature])
            self._recent.setdefault(count.feature, deque(maxlen=KEPT_RECENT)).append((now, count))

    def acknowledge(self, ack: Ack) -> None:
        """Take in that a snapshot took effect."""
        if self.is_cut_off(ack.gateway):
            return
        before = self._gateways.get(ack.gateway)
        self._gateways[ack.gateway] = GatewayState(
            name=ack.gateway,
            heard_s=self._clock(),
            snapshot_version=ack.snapshot_version,
            effects={effect.feature: effect for effect in ack.effects},
            health=before.health if before else (),
            records_dropped=before.records_dropped if before else 0,
            in_flight=before.in_flight if before else 0,
        )
        self._wake()

    def gateways(self) -> tuple[GatewayState, ...]:
        """Every gateway ever heard by this process, by name."""
        return self._in_order

    def live(self) -> tuple[GatewayState, ...]:
        """Those heard within the last five seconds."""
        return tuple(state for state in self.gateways() if self.silent_s(state) <= LIVE_S)

    def silent_s(self, state: GatewayState) -> float:
        """Seconds since it was heard."""
        return self._clock() - state.heard_s

    def since(self, migration: str, cursor: int) -> tuple[int, list[ArmCount]]:
        """Counts of a migration's arms after `cursor` and the new cursor; -1 = from now on."""
        return self._counts.since(migration, cursor)

    def failures(self, feature: str) -> int:
        """Failed first attempts and caller-visible errors of a feature since this process began."""
        return self._failures.get(feature, 0)

    def totals(self, feature: str) -> tuple[int, int]:
        """Requests and caller-visible errors of a feature since this process began."""
        return self._totals.get(feature, (0, 0))

    def recent(self, feature: str, over_s: float) -> list[ArmCount]:
        """A feature's counts of the last seconds, ten minutes at most."""
        now = self._clock()
        return [count for at, count in self._recent.get(feature, ()) if now - at <= over_s]

    def error_share(self, feature: str, over_s: float) -> tuple[int, int]:
        """Requests and caller-visible errors of a feature over the last seconds, ten minutes at most."""
        ended = self._ended.get(feature)
        return ended.since(self._clock() - over_s) if ended is not None else (0, 0)

    def rate(self, feature: str, over_s: float = 10.0) -> float:
        """Requests per second of a feature over the last seconds."""
        return sum(count.requests for count in self.recent(feature, over_s)) / over_s

    async def wait(self, timeout_s: float) -> None:
        """Return at the next report, or after the timeout."""
        changed = self._changed
        try:
            await asyncio.wait_for(changed.wait(), timeout_s)
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._in_order = tuple(self._gateways[name] for name in sorted(self._gateways))
        self._changed.set()
        self._changed = asyncio.Event()
