"""Attempt records as hour-partitioned Parquet: idempotent intake, SQL over all of it.

A batch is written whole to a new file and counted as taken only then, so a full disk makes the
gateway keep its spool. Only Parquet is kept: any engine reads it.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from pydantic import TypeAdapter, ValidationError

from crossfade.domain.attempt import AttemptRecord

_RECORD: TypeAdapter[AttemptRecord] = TypeAdapter(AttemptRecord)
_REMEMBER = dt.timedelta(hours=2)  # a gateway resends within seconds of a lost answer

_TIMINGS = (
    "STRUCT(queue_ms DOUBLE, connect_ms DOUBLE, header_ms DOUBLE, first_content_ms DOUBLE, "
    "gap_p50_ms DOUBLE, gap_max_ms DOUBLE, total_ms DOUBLE)"
)
_USAGE = (
    "STRUCT(input_uncached BIGINT, cache_read BIGINT, cache_write BIGINT, output BIGINT, "
    "reasoning BIGINT, source VARCHAR)"
)
COLUMNS = {
    "attempt_id": "VARCHAR", "request_id": "VARCHAR", "index": "INTEGER", "gateway": "VARCHAR",
    "snapshot_version": "BIGINT", "started_unix_ms": "BIGINT", "feature": "VARCHAR", "caller": "VARCHAR",
    "unit": "VARCHAR", "arm": "VARCHAR", "arm_name": "VARCHAR", "share": "DOUBLE", "endpoint": "VARCHAR",
    "provider": "VARCHAR", "region": "VARCHAR", "model": "VARCHAR", "capacity_class": "VARCHAR",
    "served_tier": "VARCHAR", "role": "VARCHAR", "reason": "VARCHAR", "next_reason": "VARCHAR",
    "stream": "BOOLEAN",
    "outcome": "VARCHAR", "error_kind": "VARCHAR", "error_detail": "VARCHAR", "http_status": "INTEGER",
    "provider_request_id": "VARCHAR", "pushback_ms": "BIGINT", "committed": "BOOLEAN", "final": "BOOLEAN",
    "caller_error": "BOOLEAN", "timings": _TIMINGS, "usage": _USAGE, "stop_reason": "VARCHAR",
    "max_output_tokens": "BIGINT", "content": "STRUCT(request VARCHAR, response VARCHAR)",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a batch. `refused`: rows that are not attempt records, kept in `refused.ndjson`."""

    accepted: int
    duplicates: int
    refused: int


class RecordStore:
    """Records below one folder. Safe to call from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._listeners: list[Callable[[AttemptRecord], None]] = []
        root.mkdir(parents=True, exist_ok=True)
        self._remember()

    def ingest(self, lines: list[str]) -> Intake:
        """Take in NDJSON lines.

        Raises:
            OSError: nothing of the batch was taken (a full disk).
        """
        with self._lock:
            rows, duplicates, refused = self._sort_out(lines)
            self._write([row for row, _ in rows])
            self._seen.update(row["attempt_id"] for row, _ in rows)
            for _, record in rows:
                for listener in self._listeners:
                    listener(record)
            return Intake(len(rows), duplicates, refused)

    def listen(self, listener: Callable[[AttemptRecord], None]) -> None:
        """Call `listener` with each new record, once it is kept, on the thread that took it in."""
        self._listeners.append(listener)

    def _sort_out(self, lines: list[str]) -> tuple[list[tuple[dict[str, Any], AttemptRecord]], int, int]:
        rows: dict[str, tuple[dict[str, Any], AttemptRecord]] = {}
        duplicates = refused = 0
        for line in lines:
            try:
                row = json.loads(line)
                record = _RECORD.validate_python(row)
            except (ValueError, ValidationError) as error:
                refused += 1
                with (self._root / "refused.ndjson").open("a") as file:
                    file.write(json.dumps({"error": str(error)[:500], "line": line[:20_000]}) + "\n")
                continue
            if row["attempt_id"] in self._seen or row["attempt_id"] in rows:
                duplicates += 1
            else:
                rows[row["attempt_id"]] = (row, record)
        return list(rows.values()), duplicates, refused

    def _write(self, rows: list[dict[str, Any]]) -> None:
        by_hour: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            at = dt.datetime.fromtimestamp(row["started_unix_ms"] / 1000, dt.UTC)
            by_hour[f"date={at:%Y-%m-%d}/hour={at:%H}"].append(row)
        for hour, part in by_hour.items():
            folder = self._root / hour
            folder.mkdir(parents=True, exist_ok=True)
            name = uuid.uuid4().hex
            with tempfile.NamedTemporaryFile("w", suffix=".ndjson", dir=folder) as file:
                file.writelines(json.dumps(row) + "\n" for row in part)
                file.flush()
                columns = "{" + ", ".join(f"'{n}': '{t}'" for n, t in COLUMNS.items()) + "}"
                fresh = folder / f"{name}.new"
                with duckdb.connect() as connection:
                    try:
                        connection.execute(
                            f"COPY (SELECT * FROM read_json('{file.name}', format='newline_delimited', "  # noqa: S608
                            f"columns={columns}, maximum_object_size=33554432)) "
                            f"TO '{fresh}' (FORMAT parquet)"
                        )
                    except duckdb.Error as error:
                        fresh.unlink(missing_ok=True)
                        raise OSError(f"records could not be written: {error}") from error
            fresh.rename(folder / f"{name}.parquet")

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with the view `attempts`."""
        connection = duckdb.connect()
        files = str(self._root / "date=*/hour=*/*.parquet")
        if any(self._root.glob("date=*/hour=*/*.parquet")):
            names = ", ".join(f'"{name}"' for name in COLUMNS)
            connection.execute(
                f"CREATE VIEW attempts AS SELECT DISTINCT ON (attempt_id) {names} "  # noqa: S608 - our own names
                f"FROM read_parquet('{files}', union_by_name=true)"
            )
        else:
            columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
            connection.execute(f"CREATE TABLE attempts ({columns})")
        return connection

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a query over `attempts`, as dictionaries."""
        with self.connect() as connection:
            result = connection.execute(sql, parameters or [])
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def attempts_of(self, request_id: str) -> list[AttemptRecord]:
        """A request's attempts in order, its shadows last."""
        sql = "SELECT * FROM attempts WHERE request_id = ? ORDER BY role = 'shadow', index"
        return [_RECORD.validate_python(row) for row in self.query(sql, [request_id])]

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

    def pairs(self, shadow: str, since_unix_s: float) -> list[tuple[AttemptRecord, AttemptRecord]]:
        """Answers of both sides to the same request, both complete and captured, oldest first."""
        sql = (
            "SELECT * FROM attempts WHERE content IS NOT NULL AND outcome = 'ok' "
            "AND started_unix_ms >= ? AND "
            "((arm = 'shadow' AND arm_name = ?) OR (arm <> 'shadow' AND index = 0)) ORDER BY started_unix_ms"
        )
        live: dict[str, AttemptRecord] = {}
        copies: dict[str, AttemptRecord] = {}
        for row in self.query(sql, [int(since_unix_s * 1000), shadow]):
            record = _RECORD.validate_python(row)
            (copies if record.arm == "shadow" else live)[record.request_id] = record
        return [(live[request], copy) for request, copy in copies.items() if request in live]

    def _remember(self) -> None:
        since = int((dt.datetime.now(dt.UTC) - _REMEMBER).timestamp() * 1000)
        rows = self.query("SELECT attempt_id FROM attempts WHERE started_unix_ms >= ?", [since])
        self._seen.update(row["attempt_id"] for row in rows)
