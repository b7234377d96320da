"""Falling feedback on its way to the engine: alarms become signals of the snapshot, and end with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from crossfade.control.migration.people.trends import Trends, merge
from crossfade.control.publish import Publisher

LOOK_S = 5.0  # an alarm takes thousands of requests: nobody waits for it


@dataclass(frozen=True, slots=True)
class Liked:
    """Keeps the published signals equal to the alarms that hold."""

    trends: Trends
    publisher: Publisher

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Publish what has changed, if anything has."""
        present = dict(self.publisher.signals)
        wanted = merge(present, self.trends.signals(), self.trends.clock())
        if wanted == present:
            return
        said = [f"{name} at {one.endpoint}: {one.reason}" for name, each in wanted.items() for one in each]
        reason = "; ".join(said) or "feedback: what was said has ended"
        await self.publisher.signal(wanted, actor="control", reason=reason)
