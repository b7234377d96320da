"""The event log in memory, with virtual time: what the controller writes before it acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crossfade.control.store.eventlog import ConflictError


@dataclass(frozen=True, slots=True)
class Line:
    """See `control.migration.ports.LoggedLine`."""

    seq: int
    stream: str
    stream_seq: int
    kind: str
    payload: dict[str, Any]
    actor: str
    reason: str
    unix_s: float


@dataclass(slots=True)
class MemoryLog:
    """`ports.EventLogPort` of one migration."""

    clock: Callable[[], float]
    lines: list[Line] = field(default_factory=list)

    async def append(
        self,
        stream: str,
        kind: str,
        payload: dict[str, Any],
        *,
        actor: str,
        reason: str,
        expected_seq: int | None = None,
    ) -> Line:
        """See `EventLogPort`."""
        number = len(self.lines)
        if expected_seq is not None and expected_seq != number:
            raise ConflictError(f"{stream} is at {number}, not {expected_seq}")
        line = Line(number + 1, stream, number + 1, str(kind), payload, actor, reason, self.clock())
        self.lines.append(line)
        return line

    async def read(self, stream: str | None = None, after: int = 0) -> Sequence[Line]:
        """See `EventLogPort`."""
        return [line for line in self.lines[after:] if stream is None or line.stream == stream]

    def write(self, line: Mapping[str, Any]) -> None:
        """See `AsidePort`: this log is never away."""
        raise OSError(f"nothing is set aside in a rehearsal: {line}")

    def unsettled(self) -> list[tuple[int, dict[str, Any]]]:
        """See `AsidePort`."""
        return []

    def settle(self, number: int) -> None:
        """See `AsidePort`."""
        raise OSError(f"nothing was set aside: {number}")

    async def acquire_lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """See `EventLogPort`: nobody else is there."""
        return bool(name and holder and ttl_s)
