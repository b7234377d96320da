"""What was done at the gateways' own admin ports, as lines of the log.

The kill switch and a forced endpoint work without control, so control is told by nobody: it sees in a
gateway's reports that something is not as the log has it, and adds a line. What was pulled and released
again between two reports, or while control was away, is in the gateway's own log only. What control turned
itself is told by the same reports, as its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from crossfade.control.records.counters import LIVE_S, CounterBoard, GatewayState
from crossfade.control.records.own_turns import OwnTurns
from crossfade.control.store.eventlog import ConflictError, Event, EventLog

LOOK_S = 1.0  # as often as a gateway reports
KILL, FORCE = "gateway.kill", "gateway.force"
CONTROL, BY_HAND = "control", "gateway admin port"
NOTHING = ("", "")
FORCED = "forced_"  # begins the state of a breaker that was forced

Place = tuple[str, str]  # `KILL` and a feature, or `FORCE` and an endpoint
Found = dict[Place, tuple[str, str]]  # to what it is set (empty: nothing), and why


@dataclass(slots=True)
class ByHand:
    """`own`: the switches that control itself turned."""

    board: CounterBoard
    log: EventLog
    own: OwnTurns
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    known: dict[str, tuple[int, Found]] = field(
        default_factory=dict
    )  # last number of the stream, and what it says

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await self.pause(LOOK_S)

    async def look(self) -> None:
        """Add a line for each thing that is not as the log has it. Raises `StoreError`."""
        for gateway in self.board.gateways():
            if self.board.silent_s(gateway) > LIVE_S:
                continue
            try:
                await self._look_at(gateway)
            except ConflictError:
                del self.known[gateway.name]  # another control was faster: what is left is seen next time

    async def _look_at(self, gateway: GatewayState) -> None:
        if gateway.name not in self.known:
            lines = await self.log.read(stream_of(gateway.name))
            self.known[gateway.name] = (lines[-1].stream_seq if lines else 0, said_by(lines))
        for place, now in shown_by(gateway).items():
            last, known = self.known[gateway.name]
            if known.get(place, NOTHING) == now:
                continue
            line = await self._tell(gateway.name, place, now, last)
            self.known[gateway.name] = (line.stream_seq, {**known, place: now})
            if place[0] == KILL:
                self.own.shown(gateway.name, place[1], is_killed=bool(now[0]))
        self.own.forget_unseen(gateway.name)

    async def _tell(self, gateway: str, place: Place, now: tuple[str, str], last: int) -> Event:
        kind, about = place
        payload: dict[str, Any] = {"gateway": gateway, "about": about, "set": now[0], "said": now[1]}
        is_own = kind == KILL and self.own.has(gateway, about, is_killed=bool(now[0]))
        return await self.log.append(
            stream_of(gateway),
            kind,
            payload,
            actor=CONTROL if is_own else BY_HAND,
            reason=reason_of(place, now),
            expected_seq=last,
        )


def stream_of(gateway: str) -> str:
    """The event log's stream of a gateway."""
    return f"gateway/{gateway}"


def said_by(lines: list[Event]) -> Found:
    """How the log has it."""
    return {
        (line.kind, str(line.payload["about"])): (str(line.payload["set"]), str(line.payload["said"]))
        for line in lines
    }


def shown_by(gateway: GatewayState) -> Found:
    """How the gateway shows it. Before its first report nothing is known of its endpoints."""
    found: Found = {
        (KILL, effect.feature): ("pulled" if effect.killed else "", "") for effect in gateway.effects.values()
    }
    for one in gateway.health:
        is_forced = one.state.startswith(FORCED)
        found[FORCE, one.endpoint] = (one.state.removeprefix(FORCED), one.reason) if is_forced else NOTHING
    return found


def reason_of(place: Place, now: tuple[str, str]) -> str:
    """What was done, for people."""
    kind, about = place
    if kind == KILL:
        return (
            f"the kill switch of {about} is {'pulled' if now[0] else 'released, or forgotten in a restart'}"
        )
    if not now[0]:
        return f"{about} is not forced any more: released, run out, or forgotten in a restart"
    return f"{about} is forced {now[0]}: {now[1]}"
