"""Unit-hours of bought capacity: how many units stood at which endpoint, from when to when.

Bought capacity is paid by the hour whether it is used or not, so the ledger needs its history, not
only its present number. Every change is a line in the log: the config's number at start and on
reload, and each move of a load test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crossfade.config.features import Config
from crossfade.control.store.eventlog import EventLog

STREAM = "units"


@dataclass(frozen=True, slots=True)
class UnitsChange:
    """From `unix_s` on, `units` are bought at `endpoint`."""

    unix_s: float
    endpoint: str
    units: int


def unit_hours(changes: Iterable[UnitsChange], until_unix_s: float) -> dict[str, float]:
    """Unit-hours by endpoint from its first change to `until_unix_s`. `changes` are in order of time."""
    hours: dict[str, float] = {}
    standing: dict[str, UnitsChange] = {}
    for change in changes:
        before = standing.get(change.endpoint)
        if before is not None:
            hours[change.endpoint] += before.units * (change.unix_s - before.unix_s) / 3600
        hours.setdefault(change.endpoint, 0.0)
        standing[change.endpoint] = change
    for endpoint, last in standing.items():
        hours[endpoint] += last.units * max(0.0, until_unix_s - last.unix_s) / 3600
    return hours


class UnitsBook:
    """The history of bought units, kept in the event log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def note(self, units: Mapping[str, int], *, actor: str, reason: str) -> None:
        """Endpoints now have so many units; only what differs from the last note is written."""
        standing = {change.endpoint: change.units for change in await self._changes()}
        for endpoint, number in units.items():
            if standing.get(endpoint) != number:
                payload = {"endpoint": endpoint, "units": number}
                await self._log.append(STREAM, "units", payload, actor=actor, reason=reason)

    async def note_config(self, config: Config, *, actor: str, reason: str) -> None:
        """What the config says is bought. An endpoint that left the config is given back."""
        bought = {
            name: endpoint.capacity.units[0]
            for name, endpoint in config.endpoints.items()
            if endpoint.capacity.units is not None
        }
        gone = {change.endpoint: 0 for change in await self._changes() if change.endpoint not in bought}
        await self.note({**gone, **bought}, actor=actor, reason=reason)

    async def hours(self, until_unix_s: float) -> dict[str, float]:
        """See `unit_hours`."""
        return unit_hours(await self._changes(), until_unix_s)

    async def _changes(self) -> list[UnitsChange]:
        return [
            UnitsChange(event.unix_s, event.payload["endpoint"], event.payload["units"])
            for event in await self._log.read(STREAM)
        ]
