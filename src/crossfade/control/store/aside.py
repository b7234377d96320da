"""Lines set aside while the log cannot be reached: a file of this machine, added to and never changed.

It is written and on the disk before what it says is done, and read again once the log is back.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossfade.control.store.durable import append_line


@dataclass(slots=True)
class Aside:
    """One file, of one process. Creating the value touches nothing; it is read once.

    `lock`: lines are written in threads, each with a number of its own.
    """

    path: Path
    rows: list[dict[str, Any]] | None = field(default=None, init=False)
    lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line, on the disk when this returns.

        Raises:
            OSError: it could not be kept.
        """
        with self.lock:
            self._add({"number": 1 + sum("line" in row for row in self._known()), "line": dict(line)})

    def unsettled(self) -> list[tuple[int, dict[str, Any]]]:
        """Lines that the log does not have yet, by number."""
        rows = self._known()
        settled = {row["settled"] for row in rows if "settled" in row}
        return [
            (row["number"], row["line"]) for row in rows if "line" in row and row["number"] not in settled
        ]

    def settle(self, number: int) -> None:
        """The log has it.

        Raises:
            OSError: it could not be kept.
        """
        with self.lock:
            self._add({"settled": number})

    def _known(self) -> list[dict[str, Any]]:
        if self.rows is None:
            self.rows = self._read()
        return self.rows

    def _read(self) -> list[dict[str, Any]]:
        """Whole lines; a torn one, of a machine that stopped while it was written, says nothing."""
        rows = []
        for text in self.path.read_bytes().splitlines() if self.path.exists() else ():
            try:
                row = json.loads(text)
            except ValueError:
                continue
            if isinstance(row, dict) and (
                isinstance(row.get("line"), dict) or isinstance(row.get("settled"), int)
            ):
                rows.append({"number": 0, **row})
        return rows

    def _add(self, row: dict[str, Any]) -> None:
        known = self._known()
        append_line(self.path, json.dumps(row))
        known.append(row)
