"""Signed checkpoints of the event log, in a second place.

A hash chain finds a changed row, but not a tail that was cut off, nor a log that was written anew
from the start. A checkpoint says how long the log was and what its last hash was; it is signed
and lies outside the database, so whoever rewrites the log has to rewrite it there, too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from securesystemslib.dsse import Envelope

from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.signing import CONTROL, SigningError, SigningKeys

PAYLOAD_TYPE = "application/vnd.crossfade.checkpoint+json"
EVERY_S = 60.0
FILE = "checkpoints.ndjson"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log had `seq` rows, the last with `hash`."""

    seq: int
    hash: str
    unix_s: float


@dataclass(frozen=True, slots=True)
class Audit:
    """`problem`: what is wrong with the first bad row, null if all hold."""

    problem: str | None
    rows: int
    checkpoints: int


class Checkpoints:
    """Writes and checks the checkpoints of one log. `folder`: the second place."""

    def __init__(
        self, log: EventLog, keys: SigningKeys, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._log = log
        self._keys = keys
        self._path = folder / FILE
        self._clock = clock
        self._last = -1

    async def run(self) -> None:
        """A checkpoint a minute, for ever, while the log grows."""
        while True:
            try:
                await self.write()
            except SigningError as error:
                log.error("no checkpoint: %s", error)  # noqa: TRY400 - the message says it all
            await asyncio.sleep(EVERY_S)

    async def write(self) -> Checkpoint | None:
        """Sign and append one; null if the log has not grown since."""
        last = await self._log.last()
        if last is None or last.seq == self._last:
            return None
        checkpoint = Checkpoint(last.seq, last.hash, self._clock())
        envelope = Envelope(json.dumps(asdict(checkpoint)).encode(), PAYLOAD_TYPE, {})
        await asyncio.to_thread(lambda: envelope.sign(self._keys.signer(CONTROL)))
        await asyncio.to_thread(self._append, json.dumps(envelope.to_dict()))
        self._last = last.seq
        return checkpoint

    async def audit(self) -> Audit:
        """Whether any row was changed, removed or reordered, the log cut short or written anew."""
        lines = await asyncio.to_thread(self._lines)
        hashes, problem = await self._log.check_chain()
        for number, line in enumerate(lines, 1):
            if not line.endswith("}"):
                continue  # torn by a crash in the middle of writing: the next one says as much
            found = self._read(line)
            if found is None:
                problem = problem or f"checkpoint {number} does not verify ({self._path})"
                continue
            if problem is None:
                problem = _compare(found, hashes)
        return Audit(problem, len(hashes), len(lines))

    def _read(self, line: str) -> Checkpoint | None:
        try:
            envelope = Envelope.from_dict(json.loads(line))
            if envelope.payload_type != PAYLOAD_TYPE or not self._keys.is_signed_by(CONTROL, envelope):
                return None
            return Checkpoint(**json.loads(envelope.payload))
        except (ValueError, KeyError, TypeError):
            return None

    def _append(self, line: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
        with self._path.open("a") as file:
            file.write("\n" * torn + line + "\n")

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []


def _compare(checkpoint: Checkpoint, hashes: list[str]) -> str | None:
    if checkpoint.seq > len(hashes):
        return f"row {len(hashes) + 1} is missing: the log had {checkpoint.seq} rows at a signed checkpoint"
    if hashes[checkpoint.seq - 1] != checkpoint.hash:
        return f"row {checkpoint.seq} is not the one a signed checkpoint saw: the log was written anew"
    return None
