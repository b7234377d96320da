"""Whether the event log is what it was: its chain from row to row, and its checkpoints in a second place.

Reads only, and knows nothing of who writes: an auditor runs it beside a control that has stopped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from securesystemslib.dsse import Envelope

from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.signing import CONTROL, SigningKeys

PAYLOAD_TYPE = "application/vnd.crossfade.checkpoint+json"
FILE = "checkpoints.ndjson"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log had `seq` rows, the last with `hash`."""

    seq: int
    hash: str
    unix_s: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What an auditor wants to know. `problem`: what is wrong with the first bad row, null if all hold.

    `unsigned`: rows after the last that a checkpoint covers: of the moments before control was killed, or
    since the second place is away.
    """

    problem: str | None
    rows: int
    checkpoints: int
    unsigned: int

    def document(self) -> dict[str, Any]:
        """As JSON, with `ok`."""
        return {"ok": self.problem is None, **asdict(self)}


async def audit(log: EventLog, keys: SigningKeys, folder: Path) -> Audit:
    """Whether any row was changed, removed or reordered, the log cut short, written anew or put back.

    `folder`: the second place.

    Raises:
        StoreError: the database cannot be read, or is not there.
    """
    # First: what is signed is in the log already.
    try:
        lines = await asyncio.to_thread(_lines, folder)
    except OSError as error:
        return Audit(f"the second place cannot be read: {error}", 0, 0, 0)
    hashes, problem = await log.check_chain()
    return await asyncio.to_thread(_compare, lines, hashes, problem, keys, folder)


def newest(keys: SigningKeys, folder: Path) -> Checkpoint | None:
    """The last checkpoint that verifies. Raises OSError."""
    is_signed = keys.verifier(CONTROL)
    found = (_checkpoint(line, is_signed) for line in reversed(_lines(folder)))
    return next((one for one in found if one is not None), None)


def _compare(
    lines: list[str], hashes: list[str], problem: str | None, keys: SigningKeys, folder: Path
) -> Audit:
    is_signed = keys.verifier(CONTROL)
    longest = 0
    for number, line in enumerate(lines, 1):
        if not line.endswith("}"):
            continue  # torn by a crash in the middle of writing: the next one says as much
        found = _checkpoint(line, is_signed)
        if found is None:
            problem = problem or f"checkpoint {number} does not verify ({folder / FILE})"
            continue
        longest = max(longest, found.seq)
        if problem is None and found.seq <= len(hashes) and hashes[found.seq - 1] != found.hash:
            problem = f"row {found.seq} is not the one a signed checkpoint saw: the log was written anew"
    if longest > len(hashes):
        gone = f"row {len(hashes) + 1} is missing: the log had {longest} rows at a signed checkpoint"
        problem = problem or gone
    if hashes and not longest:
        hint = "is CROSSFADE_CHECKPOINTS what control has, and mounted?"
        problem = (
            problem or f"no signed checkpoint in {folder}: nothing says how long the log was (hint: {hint})"
        )
    return Audit(problem, len(hashes), len(lines), max(0, len(hashes) - longest))


def _checkpoint(line: str, is_signed: Callable[[Envelope], bool]) -> Checkpoint | None:
    try:
        envelope = Envelope.from_dict(json.loads(line))
        if envelope.payload_type != PAYLOAD_TYPE or not is_signed(envelope):
            return None
        return Checkpoint(**json.loads(envelope.payload))
    except (ValueError, KeyError, TypeError):
        return None


def _lines(folder: Path) -> list[str]:
    path = folder / FILE
    return path.read_text(errors="replace").splitlines() if path.exists() else []
