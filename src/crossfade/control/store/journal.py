"""The event log as one process reads it over and over: each line is fetched once.

Twenty migrations look at the log twice a second. What is new comes in one query for all who ask at about
the same time. Whoever appended here sees his own lines; those of other processes a moment later.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crossfade.control.store.eventlog import Event, EventLog

FRESH_S = 0.1


@dataclass(slots=True)
class Stream:
    """Lines in order, and their numbers in the whole log."""

    lines: list[Event] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)

    def add(self, line: Event) -> None:
        """One more line."""
        self.lines.append(line)
        self.seqs.append(line.seq)

    def after(self, seq: int) -> list[Event]:
        """Lines beyond that number."""
        return self.lines[bisect_right(self.seqs, seq) :]


@dataclass(slots=True)
class Journal:
    """`EventLog`, remembered. Not for audits: a row that is changed later is not seen here."""

    log: EventLog
    whole: Stream = field(default_factory=Stream)
    streams: dict[str, Stream] = field(default_factory=dict)
    steady: Callable[[], float] = time.monotonic
    fetched_s: float = float("-inf")
    appended: int = 0
    fetching: asyncio.Task[None] | None = None
    next_fetch: asyncio.Task[None] | None = None

    async def append(
        self,
        stream: str,
        kind: str,
        payload: dict[str, Any],
        *,
        actor: str,
        reason: str,
        expected_seq: int | None = None,
    ) -> Event:
        """See `EventLog.append`."""
        try:
            return await self.log.append(
                stream, kind, payload, actor=actor, reason=reason, expected_seq=expected_seq
            )
        finally:  # also where another process was faster: its lines are wanted now
            self.forget_freshness()

    async def read(self, stream: str | None = None, after: int = 0) -> list[Event]:
        """See `EventLog.read`."""
        if self.steady() - self.fetched_s > FRESH_S:
            # Never a query that began before this: it may not have seen what was appended meanwhile.
            if self.next_fetch is None:
                self.next_fetch = asyncio.create_task(self._fetch_after(self.fetching))
            await asyncio.shield(self.next_fetch)
        found = self.whole if stream is None else self.streams.get(stream)
        return found.after(after) if found is not None else []

    async def acquire_lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """See `EventLog.acquire_lease`."""
        return await self.log.acquire_lease(name, holder, ttl_s)

    def forget_freshness(self) -> None:
        """Something was appended past this: the next who reads waits for a query that begins now."""
        self.appended += 1
        self.fetched_s = float("-inf")

    async def _fetch_after(self, running: asyncio.Task[None] | None) -> None:
        """Wait for the query under way, then begin one: from then on, callers wait for another."""
        if running is not None:
            await asyncio.gather(running, return_exceptions=True)
        self.fetching, self.next_fetch = self.next_fetch, None
        began_s, appended = self.steady(), self.appended
        last = self.whole.seqs[-1] if self.whole.seqs else 0
        for line in await self.log.read(None, last):
            self.whole.add(line)
            self.streams.setdefault(line.stream, Stream()).add(line)
        if appended == self.appended:
            self.fetched_s = began_s
