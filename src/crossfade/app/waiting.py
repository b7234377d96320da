"""What control does until it has read its log: it says why it waits, renews credentials, and tries again.

A control that ended instead would be started again and again, and while it is away the gateways' credentials
run out. Without the log it knows of no migration and may publish nothing, so the gateways serve on from their
last snapshot and keep their records. Only the way back is open: see `control.migration.unread`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from crossfade.config.load import ConfigError
from crossfade.control.store.eventlog import StoreError

AGAIN_S = 2.0

Parts = TypeVar("Parts")


@dataclass(slots=True)
class Door:
    """One listening address, whatever application is behind it now."""

    inside: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.inside(scope, receive, send)


@dataclass(slots=True)
class Waiting:
    """`why`: what keeps control from its log, empty before the first try; `tell` is told when it changes."""

    tell: Callable[[str], None]
    again_s: float = AGAIN_S
    why: str = ""

    async def until(self, enter: Callable[[], Awaitable[Parts]], stop: asyncio.Event) -> Parts | None:
        """What `enter` gives once the log can be reached; null if control is to stop before."""
        while not stop.is_set():
            try:
                return await enter()
            except (StoreError, ConfigError) as error:  # the file may change meanwhile
                if str(error) != self.why:
                    self.why = str(error)
                    self.tell(self.why)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.again_s)
        return None
