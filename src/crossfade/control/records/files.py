"""Attempt records on disk: batches are durable at once as lines, and become Parquet soon after.

A batch is appended to a pending file and synced before it counts as taken, which costs a
millisecond; every few seconds the pending lines become one Parquet file an hour partition, and
where an hour has gathered many small files they are merged into one. Only Parquet is kept: any
engine reads it. Each step leaves, at a crash, either the old files or the new ones (`recover`).

Two processes may share the folder (a second control, or the next one while the last still stops): each
locks the pending files that are its own, and one at a time turns lines into Parquet and merges.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import duckdb

from crossfade.control.records.columns import COLUMNS
from crossfade.control.records.layout import Layout
from crossfade.control.store.durable import replace_file, replacing

MERGE_AT = 48  # files of one hour: enough to be slow to open, few enough to merge in a second
MERGE_BELOW_BYTES = 64 << 20
MOVE_WITHIN_S = 0.5
LONGEST_LINE_BYTES = 32 << 20  # of a record with captured text
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_TYPES = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items()) + "}"


class RecordFiles:
    """The files below one folder. Appends and conversions may run in different threads."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._pending = self.root / "pending"
        self._pending.mkdir(parents=True, exist_ok=True)
        self._database = _fenced(self.root)
        self._open: IO[bytes] | None = None
        self._closed: list[IO[bytes]] = []  # open still: closing one gives its lock away
        self._layout = Layout()
        self._recover()

    def append(self, lines: list[str]) -> None:
        """Make a batch durable.

        Raises:
            OSError: nothing of it was taken (a full disk).
        """
        if self._open is None:
            name = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex}.ndjson"
            self._open = (self._pending / name).open("ab", buffering=0)
            fcntl.flock(self._open, fcntl.LOCK_EX)  # nobody else knows the name yet
        file, before = self._open, self._open.tell()
        try:
            file.write("".join(line + "\n" for line in lines).encode())
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise

    def pending_bytes(self) -> int:
        """Bytes that wait to become Parquet."""
        return self._open.tell() if self._open is not None else 0

    def rotate(self) -> None:
        """Later batches go to another file, so that this one can be converted."""
        if self._open is not None:
            self._closed.append(self._open)
            self._open = None

    def is_waiting(self) -> bool:
        """Whether a file waits to be converted."""
        return bool(self._closed)

    def convert(self) -> None:
        """Turn closed pending files into Parquet, then merge what became many.

        Waits a moment for readers and else leaves the work to the next call, as it does while another
        process converts: nothing must hold up the intake.

        Raises:
            OSError: the disk is full; the lines stay pending.
        """
        with self._layout.moving(MOVE_WITHIN_S) as has_no_readers, self._alone() as is_alone:
            is_free = has_no_readers and is_alone
            while is_free and self._closed:
                self._to_parquet(Path(self._closed[0].name), known="")
                self._closed.pop(0).close()
            for folder in self.root.glob("date=*/hour=*") if is_free else ():
                self._merge(folder)

    def close(self) -> None:
        """Give files and memory back; what is pending stays pending."""
        self.rotate()
        while self._closed:
            self._closed.pop().close()
        self._database.close()

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process moves files meanwhile."""
        with (self.root / "moving.lock").open("ab") as lock:
            yield _is_locked(lock)

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with the view `attempts` over all files, which stay as they are meanwhile."""
        with (
            self._layout.reading(),
            (self.root / "moving.lock").open("ab") as lock,
            self._database.cursor() as cursor,
        ):
            fcntl.flock(lock, fcntl.LOCK_SH)
            cursor.execute(f"CREATE OR REPLACE TEMP VIEW attempts AS {self._everything()}")
            yield cursor

    def _everything(self) -> str:
        parts = []
        if any(self.root.glob("date=*/hour=*/*.parquet")):
            glob = self.root / "date=*/hour=*/*.parquet"
            parts.append(f"SELECT {_NAMES} FROM read_parquet({_quoted(glob)}, union_by_name=true)")  # noqa: S608 - ours
        waiting = [str(path) for path in self._pending.glob("*.ndjson") if path.stat().st_size]
        if waiting:
            # the open file's last line may be half there; it is whole in a moment
            rows = _read_lines(waiting, ", ignore_errors=true")
            parts.append(f"SELECT {_NAMES} FROM {rows}")  # noqa: S608 - ours
        if not parts:
            nothing = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in COLUMNS.items())
            parts.append(f"SELECT {nothing} WHERE false")
        return " UNION ALL ".join(parts)

    def _to_parquet(self, path: Path, known: str) -> None:
        """`known`: SQL of attempt ids that are in Parquet already."""
        lines = f"(SELECT * FROM {_read_lines([str(path)])}{known}) AS lines"  # noqa: S608 - ours
        hour_of = "strftime(to_timestamp(started_unix_ms / 1000) AT TIME ZONE 'UTC', '%Y-%m-%d %H')"
        with self._database.cursor() as cursor:
            hours = cursor.execute(f"SELECT DISTINCT {hour_of} FROM {lines}").fetchall()  # noqa: S608 - ours
            for (hour,) in hours:
                date, number = hour.split(" ")
                folder = self.root / f"date={date}" / f"hour={number}"
                folder.mkdir(parents=True, exist_ok=True)
                self._write(
                    cursor,
                    f"SELECT * FROM {lines} WHERE {hour_of} = '{hour}'",  # noqa: S608 - ours
                    folder / f"{path.stem}.parquet",
                )
        path.unlink()

    def _merge(self, folder: Path) -> None:
        small = [path for path in folder.glob("*.parquet") if path.stat().st_size < MERGE_BELOW_BYTES]
        if len(small) < MERGE_AT:
            return
        merged = folder / f"merged-{uuid.uuid4().hex}.parquet"
        plan = folder / f"{merged.stem}.merging"
        replace_file(plan, json.dumps([path.name for path in small]).encode())
        names = ", ".join(_quoted(path) for path in small)
        with self._database.cursor() as cursor:
            rows = f"SELECT {_NAMES} FROM read_parquet([{names}], union_by_name=true)"  # noqa: S608 - ours
            self._write(cursor, rows, merged)
        for path in small:
            path.unlink()
        plan.unlink()

    @staticmethod
    def _write(cursor: duckdb.DuckDBPyConnection, rows: str, path: Path) -> None:
        # On the disk before the lines it was made of are removed.
        with replacing(path) as fresh:
            try:
                cursor.execute(f"COPY ({rows}) TO {_quoted(fresh)} (FORMAT parquet)")
            except duckdb.Error as error:
                raise OSError(f"records could not be written: {error}") from error

    def _recover(self) -> None:
        """What a crash left: a half-written last line, lines already converted, a merge half done.

        What another process is about stays as it is.
        """
        with self._alone() as is_alone:
            if is_alone:
                self._recover_alone()

    def _recover_alone(self) -> None:
        for half in self.root.glob("date=*/hour=*/*.new"):
            half.unlink()
        for plan in self.root.glob("date=*/hour=*/*.merging"):
            if plan.with_suffix(".parquet").exists():
                for name in json.loads(plan.read_text()):
                    (plan.parent / name).unlink(missing_ok=True)
            plan.unlink()
        for path in sorted(self._pending.glob("*.ndjson")):
            with path.open("rb+") as file:
                if _is_locked(file):
                    self._recover_lines(file)

    def _recover_lines(self, file: IO[bytes]) -> None:
        path = Path(file.name)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        if not whole:
            path.unlink()
            return
        known = ""
        if any(self.root.glob("date=*/hour=*/*.parquet")):
            converted = _quoted(self.root / "date=*/hour=*/*.parquet")
            ids = f"SELECT attempt_id FROM read_parquet({converted})"  # noqa: S608 - ours
            known = f" WHERE attempt_id NOT IN ({ids})"
        self._to_parquet(path, known)


def _quoted(path: Path) -> str:
    """The path as a text in SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def _fenced(root: Path) -> duckdb.DuckDBPyConnection:
    """A database that reads and writes below `root` only, whatever SQL it is given."""
    database = duckdb.connect()
    database.execute(f"SET temp_directory = {_quoted(root / 'spill')}")
    database.execute(f"SET allowed_directories = [{_quoted(root)}]")
    database.execute("SET enable_external_access = false; SET lock_configuration = true")
    return database


def _is_locked(file: IO[bytes]) -> bool:
    """Lock it until it is closed; false if another process has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_lines(paths: list[str], more: str = "") -> str:
    names = ", ".join(_quoted(Path(path)) for path in paths)
    form = f"format='newline_delimited', columns={_TYPES}, maximum_object_size={LONGEST_LINE_BYTES}"
    return f"read_json([{names}], {form}{more})"
