"""Notices to people: what a migration asks, why it holds, that it rolled back or was promoted.

They follow the event log, so that nothing is told that did not happen, and a restart goes on where the
last process stopped. A receiver that does not answer is tried again; it delays nobody but its own notices.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from crossfade.config.shape.control import NotifySection
from crossfade.control import outgoing
from crossfade.control.migration import history
from crossfade.control.migration.history import HistoryError, Kind
from crossfade.control.migration.ports import EventLogPort, LoggedLine
from crossfade.control.migration.report.attention import page_of
from crossfade.control.store.durable import replace_file
from crossfade.domain.migration import (
    Ask,
    Hold,
    Promote,
    RollBack,
)

LOOK_S = 1.0
ANSWERS_WITHIN_S = 5.0
TRIES = 8  # 1 + 2 + 4 + ... seconds: two minutes, then the notice is dropped and said so
QUIET_S = 600.0  # the same words about the same migration are told once in so long
LEASE, LEASE_S = "notify", 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `what`: ask, hold, rollback or promote; `page`: of docs/on-call, if there is one."""

    migration: str
    what: str
    reason: str
    page: str | None
    actor: str
    unix_s: float

    @property
    def text(self) -> str:
        """One line for people."""
        said = {
            "ask": "waits for people",
            "hold": "holds",
            "rollback": "rolls back",
            "promote": "is promoted",
        }
        page = f" (docs/on-call/{self.page}.md)" if self.page else ""
        return f"{self.migration} {said[self.what]}: {self.reason}{page}"


def notice_of(line: LoggedLine) -> Notice | None:
    """What a line of the log tells people; null if nothing. A hold is told if it wants a person."""
    prefix = history.stream_of("")
    if line.kind != Kind.ACTION or not line.stream.startswith(prefix):
        return None
    try:
        action = history.decode_action(line.payload)
    except HistoryError:
        return None
    what = {Ask: "ask", Hold: "hold", RollBack: "rollback", Promote: "promote"}.get(type(action))
    page = page_of(action)
    if what is None or (what == "hold" and (page is None or action.reason.startswith("rolled back"))):
        return None
    migration = line.stream.removeprefix(prefix)
    return Notice(migration, what, action.reason, page, line.actor, line.unix_s)


def body_of(notice: Notice, form: str) -> dict[str, Any]:
    """What is sent: every field, or what Slack and those that speak like it take."""
    return {"text": notice.text} if form == "slack" else {**asdict(notice), "text": notice.text}


@dataclass(slots=True)
class Notifier:
    """Tells the receivers. `place`: where the last told line is remembered."""

    receivers: Sequence[NotifySection]
    log: EventLogPort
    place: Path
    holder: str
    clock: Callable[[], float]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    told: dict[tuple[str, str], float] = field(default_factory=dict)

    async def run(self) -> None:
        """Follow the log, for ever; one process of several does, by lease."""
        while self.receivers:
            if await self.log.acquire_lease(LEASE, self.holder, LEASE_S):
                await self.look()
            await self.pause(LOOK_S)

    async def look(self) -> None:
        """Tell what was logged since the last look."""
        after = await asyncio.to_thread(self._read)
        lines = await self.log.read(None, after or 0)
        # Who begins to be told is not told the past.
        for line in lines if after is not None else ():
            notice = notice_of(line)
            if notice is not None and self._is_news(notice):
                await asyncio.gather(*(self._tell(one, notice) for one in self.receivers))
        if lines or after is None:
            await asyncio.to_thread(self._write, lines[-1].seq if lines else 0)

    def _is_news(self, notice: Notice) -> bool:
        key, now = (notice.migration, notice.text), self.clock()
        self.told = {known: at for known, at in self.told.items() if now - at < QUIET_S}
        is_news = key not in self.told
        self.told.setdefault(key, now)
        return is_news

    async def _tell(self, receiver: NotifySection, notice: Notice) -> None:
        if notice.what not in receiver.on:
            return
        url = receiver.url or os.environ.get(str(receiver.env), "")
        problem = f"the variable {receiver.env} is empty" if not url else ""
        for attempt in range(TRIES if url else 0):
            problem = await _post(url, body_of(notice, receiver.form))
            if not problem:
                return
            await self.pause(2.0**attempt)
        # The address may be a secret, so the log names only where it comes from.
        log.error("not told to %s: %s: %s", receiver.env or "control.notify.url", notice.text, problem)

    def _read(self) -> int | None:
        try:
            return int(json.loads(self.place.read_text())["seq"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, seq: int) -> None:
        replace_file(self.place, json.dumps({"seq": seq}).encode())


async def _post(url: str, body: dict[str, Any]) -> str:
    """Empty, or why it was not taken."""
    try:
        async with outgoing.client(ANSWERS_WITHIN_S) as client:
            answer = await client.post(url, json=body)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return "" if answer.status_code < 300 else f"answered {answer.status_code}"
