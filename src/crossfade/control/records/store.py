"""Attempt records: idempotent intake, SQL over all of them."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from pydantic import TypeAdapter, ValidationError

from crossfade.control.records.files import RecordFiles
from crossfade.domain.attempt import AttemptRecord

_RECORD: TypeAdapter[AttemptRecord] = TypeAdapter(AttemptRecord)
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
CONVERT_EVERY_S = 5.0
KEPT_IDS = 200_000  # a gateway resends within seconds of a lost answer: minutes at 1,000 attempts/s
CONVERT_AT_BYTES = 16 << 20


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a batch. `refused`: rows that are not attempt records, kept in `refused.ndjson`."""

    accepted: int
    duplicates: int
    refused: int


@dataclass(frozen=True, slots=True)
class AnsweredTwice:
    """One request's answer and its shadow's, both complete and captured. Latencies in ms."""

    request_id: str
    unit: str
    request: str
    live_response: str
    shadow_response: str
    live_ttft_ms: float | None
    shadow_ttft_ms: float | None
    started_unix_ms: int


class RecordStore:
    """Records below one folder. Safe to call from several threads."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._files = RecordFiles(root)
        self._listeners: list[Callable[[AttemptRecord], None]] = []
        self._intake = threading.Lock()
        self._converting = threading.Lock()
        self._converted_s = clock()
        self._seen = self._remembered()  # in order of arrival, the newest KEPT_IDS

    def ingest(self, lines: list[str]) -> Intake:
        """Take in NDJSON lines.

        Raises:
            OSError: nothing of the batch was taken (a full disk).
        """
        with self._intake:
            rows, duplicates, refused = self._sort_out(lines)
            if rows:
                self._files.append([line for line, _ in rows.values()])
            self._remember(rows)
            for _, record in rows.values():
                for listener in self._listeners:
                    listener(record)
            is_due = self._clock() - self._converted_s >= CONVERT_EVERY_S
            if is_due or self._files.pending_bytes() >= CONVERT_AT_BYTES:
                self._files.rotate()
        self._convert_if_rotated()
        return Intake(len(rows), duplicates, refused)

    def listen(self, listener: Callable[[AttemptRecord], None]) -> None:
        """Call `listener` with each new record, once it is kept, on the thread that took it in."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Take no more; what was taken is kept."""
        with self._intake, self._converting:
            self._files.close()

    def flush(self) -> None:
        """Everything taken so far becomes Parquet now."""
        with self._intake:
            self._files.rotate()
        self._convert_if_rotated()

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a query over the view `attempts`, as dictionaries.

        Raises:
            duckdb.Error: it is no query, more than one, or asks for what is not in the records' folder.
        """
        with self._files.reader() as connection:
            kinds = [statement.type for statement in connection.extract_statements(sql)]
            if len(kinds) != 1 or kinds[0] not in _READING:
                raise duckdb.PermissionException("only one SELECT, DESCRIBE, SUMMARIZE or EXPLAIN is taken")
            result = connection.execute(sql, parameters or [])
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def attempts_of(self, request_id: str) -> list[AttemptRecord]:
        """A request's attempts in order, its shadows last."""
        sql = "SELECT * FROM attempts WHERE request_id = ? ORDER BY role = 'shadow', index"
        return [_RECORD.validate_python(row) for row in self.query(sql, [request_id])]

    def pairs(self, shadow: str, feature: str, since_unix_s: float) -> list[AnsweredTwice]:
        """A feature's requests that a shadow also answered, oldest first."""
        sql = (
            "SELECT live.request_id, live.unit, live.content.request AS request, "
            "live.content.response AS live_response, copy.content.response AS shadow_response, "
            "live.timings.first_content_ms AS live_ttft_ms, copy.timings.first_content_ms AS shadow_ttft_ms, "
            "live.started_unix_ms FROM attempts AS live JOIN attempts AS copy USING (request_id) "
            "WHERE copy.arm = 'shadow' AND copy.arm_name = $shadow "
            "AND live.arm <> 'shadow' AND live.index = 0 "
            "AND live.feature = $feature AND live.outcome = 'ok' AND copy.outcome = 'ok' "
            "AND live.content IS NOT NULL AND copy.content IS NOT NULL "
            "AND live.started_unix_ms >= $since AND copy.started_unix_ms >= $since "
            "ORDER BY live.started_unix_ms, live.request_id"
        )
        given = {"shadow": shadow, "feature": feature, "since": int(since_unix_s * 1000)}
        with self._files.reader() as connection:
            return [AnsweredTwice(*row) for row in connection.execute(sql, given).fetchall()]

    def busiest_quarter(self, features: tuple[str, ...], days: float = 7.0) -> float | None:
        """Requests per second of the busiest quarter of an hour of the last days.

        Null while less than a whole day is on record.
        """
        now = dt.datetime.now(dt.UTC).timestamp()
        sql = (
            "SELECT min(started_unix_ms) AS first, started_unix_ms // 900000 AS quarter, count(*) AS n "
            "FROM attempts WHERE index = 0 AND arm NOT IN ('shadow', 'pin') AND started_unix_ms >= ? "
            "AND list_contains(?, feature) GROUP BY quarter"
        )
        rows = self.query(sql, [int((now - days * 86400) * 1000), list(features)])
        if not rows or now - min(row["first"] for row in rows) / 1000 < 86400:
            return None
        return max(int(row["n"]) for row in rows) / 900.0

    def _sort_out(self, lines: list[str]) -> tuple[dict[str, tuple[str, AttemptRecord]], int, int]:
        rows: dict[str, tuple[str, AttemptRecord]] = {}
        duplicates = refused = 0
        for line in lines:
            try:
                record = _RECORD.validate_json(line)
            except ValidationError as error:
                refused += 1
                with (self._root / "refused.ndjson").open("a") as file:
                    file.write(json.dumps({"error": str(error)[:500], "line": line[:20_000]}) + "\n")
                continue
            if record.attempt_id in self._seen or record.attempt_id in rows:
                duplicates += 1
            else:
                rows[record.attempt_id] = (line, record)
        return rows, duplicates, refused

    def _convert_if_rotated(self) -> None:
        """One thread at a time; whoever comes meanwhile leaves the work to the next turn."""
        if not self._files.is_waiting() or not self._converting.acquire(blocking=False):
            return
        try:
            self._files.convert()
        except OSError as error:
            # The lines are durable as they are; the next turn tries again when there is room.
            log.warning("records stay pending: %s", error)
        finally:
            self._converted_s = self._clock()
            self._converting.release()

    def _remember(self, ids: Iterable[str]) -> None:
        self._seen.update(dict.fromkeys(ids))
        for old in list(itertools.islice(self._seen, max(0, len(self._seen) - KEPT_IDS))):
            del self._seen[old]

    def _remembered(self) -> dict[str, None]:
        sql = "SELECT attempt_id FROM attempts ORDER BY started_unix_ms DESC LIMIT ?"
        return dict.fromkeys(row["attempt_id"] for row in reversed(self.query(sql, [KEPT_IDS])))
