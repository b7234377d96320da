"""Signed checkpoints of the event log, in a second place: after each row, what the log's head was.

A hash chain finds a changed row, but not a tail that was cut off, nor a log that was written anew from
the start, nor an old copy of the database put back. A checkpoint says how long the log was and what its
last hash was; it is signed and lies outside the database, so whoever shortens the log has to shorten it
there, too. `audit` compares the two.

No append waits for it: a second place that is away, or a service that does not sign, is told
(`crossfade_log_unsigned_seconds`) and tried again. Rows that come while one is written share the next.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from securesystemslib.dsse import Envelope

from crossfade.control.store.audit import FILE, PAYLOAD_TYPE, Audit, Checkpoint, audit, newest
from crossfade.control.store.durable import append_line
from crossfade.control.store.eventlog import EventLog, StoreError
from crossfade.control.store.signing import CONTROL, SigningError, SigningKeys

LOOK_S = 60.0  # rows of other processes have checkpoints of theirs: this is for those that died before
RETRY_S = 5.0
LAST_WITHIN_S = 5.0  # of the end of control: a second place that hangs keeps nobody

log = logging.getLogger(__name__)


class Checkpoints:
    """Keeps the second place up with one log. `folder`: the second place.

    `unsigned_since`: Unix seconds of the oldest row of this process that no checkpoint covers yet, null if
    there is none. `problem`: what was found wrong with the log since the last audit that found nothing.
    """

    def __init__(
        self, log: EventLog, keys: SigningKeys, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._log = log
        self._keys = keys
        self._folder = folder
        self._clock = clock
        self._grown = asyncio.Event()
        self._turn = asyncio.Lock()
        self._newest: Checkpoint | None = None
        self.unsigned_since: float | None = None
        self.problem: str | None = None
        log.listen(self._see_growth)

    async def run(self) -> None:
        """Follow the log, for ever, and be away when it or the second place is."""
        trouble = ""
        while True:
            failed = await self._try()
            if failed != trouble:
                log.log(
                    logging.ERROR if failed else logging.INFO, "checkpoints: %s", failed or "written again"
                )
            trouble = failed
            if failed:
                await asyncio.sleep(RETRY_S)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._grown.wait(), LOOK_S)

    async def look_back(self) -> None:
        """Audit the log once, as control starts: what was done to it meanwhile is told now."""
        await self.audit()

    async def close(self) -> None:
        """The last one, of the log as it is left."""
        try:
            failed = await asyncio.wait_for(self._try(), LAST_WITHIN_S)
        except TimeoutError:
            failed = f"{self._folder} did not answer within {LAST_WITHIN_S:.0f} s"
        if failed:
            log.error("checkpoints: the last rows are in none: %s", failed)

    async def write(self) -> Checkpoint | None:
        """Sign the log's head and add it; null if the newest checkpoint is of this head, or there is none.

        Raises:
            OSError: the second place does not take it.
            SigningError: no signature.
            StoreError: the database is away.
        """
        async with self._turn:
            self._grown.clear()
            before = self._newest or await asyncio.to_thread(newest, self._keys, self._folder)
            head, known = await self._log.head(before.seq if before is not None else 0)
            if before is not None and known != before.hash:
                self._tell(f"row {before.seq} is not the one that was signed, or is gone")
            fresh = None
            if head is not None and (before is None or (head.seq, head.hash) != (before.seq, before.hash)):
                fresh = Checkpoint(head.seq, head.hash, self._clock())
                await asyncio.to_thread(self._add, fresh)
            self._newest = fresh or before
            self.unsigned_since = self._clock() if self._grown.is_set() else None
            return fresh

    async def audit(self) -> Audit:
        """See `audit.audit`, with the head as it is signed first. Raises StoreError."""
        await self._try()
        found = await audit(self._log, self._keys, self._folder)
        if found.problem is None:
            self.problem = None
        else:
            self._tell(found.problem)
        return found

    async def _try(self) -> str:
        try:
            await self.write()
        except (OSError, SigningError, StoreError) as error:
            return str(error)
        return ""

    def _add(self, checkpoint: Checkpoint) -> None:
        envelope = Envelope(json.dumps(asdict(checkpoint)).encode(), PAYLOAD_TYPE, {})
        envelope.sign(self._keys.signer(CONTROL))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        append_line(self._folder / FILE, json.dumps(envelope.to_dict()))

    def _see_growth(self) -> None:
        self._grown.set()
        if self.unsigned_since is None:
            self.unsigned_since = self._clock()

    def _tell(self, problem: str) -> None:
        if self.problem is None:
            log.error("the event log does not hold: %s (hint: `crossfade audit verify`)", problem)
        self.problem = problem
