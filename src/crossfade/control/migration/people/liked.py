"""Falling feedback on its way to the engine: alarms become signals of the snapshot, and end with it.

What the detectors have seen is kept in a file, so that a restart neither forgets a trend half told nor
tells one twice. It is written when something was voted: a crash loses the votes of some seconds.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from crossfade.control.migration.people.trends import Trend, Trends, merge
from crossfade.control.publish import Publisher
from crossfade.control.store.durable import replace_file

LOOK_S = 5.0  # an alarm takes thousands of requests: nobody waits for it
_KEPT: TypeAdapter[list[tuple[str, str, Trend]]] = TypeAdapter(list[tuple[str, str, Trend]])

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Liked:
    """Keeps the published signals equal to the alarms that hold. `place`: where the trends are kept."""

    trends: Trends
    publisher: Publisher
    place: Path
    kept: bytes = field(default=b"", init=False)

    def restore(self) -> None:
        """Go on from what was kept; where nothing was, or it cannot be read, the trends are learnt anew."""
        try:
            rows = _KEPT.validate_json(self.place.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValidationError):
            log.exception("%s cannot be read: what feedback was ordinary is learnt anew", self.place)
            return
        self.trends.restore(rows)

    def keep(self) -> None:
        """Write the trends down, whole or not at all, if they have moved; a full disk stops no alarm."""
        text = _KEPT.dump_json(self.trends.kept())
        if text == self.kept:
            return
        try:
            replace_file(self.place, text)
        except OSError as error:
            log.warning("trends of feedback cannot be kept: %s", error)
            return
        self.kept = text

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Keep what was learnt, and publish what has changed, if anything has."""
        await asyncio.to_thread(self.keep)
        present = dict(self.publisher.signals)
        wanted = merge(present, self.trends.signals(), self.trends.clock())
        if wanted == present:
            return
        said = [f"{name} at {one.endpoint}: {one.reason}" for name, each in wanted.items() for one in each]
        reason = "; ".join(said) or "feedback: what was said has ended"
        await self.publisher.signal(wanted, actor="control", reason=reason)
