"""The append-only event log: what control decided, before it did it.

Rows are chained by hash, so that a changed, removed or reordered row is found (`verify`). Whoever
writes, in this process or another, waits for his turn: the database has one writer at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from crossfade.control.store.tables import EVENTS, LEASES, METADATA, POSTGRES_GUARDS, SQLITE_GUARDS

_WRITES = "crossfade_writes"  # the execution option of a connection that will write
FIRST_HASH = "0" * 64
CONNECTED_WITHIN_S = 5.0  # a database that takes longer is away: the way back does not wait for it
PAGE_ROWS = 2000  # of an audit: between two pages others get their turn
ANSWERED_WITHIN_S = 30.0  # reading a log of a million rows takes about ten
# A control that vanished in the middle of its turn (a partition, a stopped machine) loses it after 10 s.
_POSTGRES_TURN = sa.text(
    "SELECT pg_advisory_xact_lock(7306370), set_config('idle_in_transaction_session_timeout', '10000', true)"
)


class ConflictError(Exception):
    """The stream is not at the place the caller had in mind: somebody else was faster."""


class StoreError(Exception):
    """The database cannot be reached, does not answer or holds what cannot be read.

    The message says which, and not its password.
    """


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `seq` counts all lines from 1, `stream_seq` those of the stream."""

    seq: int
    stream: str
    stream_seq: int
    kind: str
    payload: dict[str, Any]
    actor: str
    reason: str
    unix_s: float
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: its number of lines and the last one's hash."""

    seq: int
    hash: str


def hash_event(event: dict[str, Any]) -> str:
    """Hex SHA-256 over every column but the hash itself, in a fixed order and form."""
    names = ("seq", "stream", "stream_seq", "kind", "payload", "actor", "reason", "unix_s", "previous_hash")
    text = json.dumps([event[name] for name in names], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class EventLog:
    """The log and the leases of one database."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self._is_sqlite = engine.dialect.name == "sqlite"
        # SQLite lets the waiting try again at random; PostgreSQL keeps a queue itself.
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if self._is_sqlite else nullcontext()
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    def attach(cls, url: str, clock: Callable[[], float] = time.time) -> EventLog:
        """The log as it is: nothing is made, and nobody is asked yet.

        Raises:
            StoreError: there is no driver for it.
        """
        return cls(_engine_named(url), clock)

    @classmethod
    async def open(cls, url: str, clock: Callable[[], float] = time.time) -> EventLog:
        """Connect, and make the tables where they are missing.

        Raises:
            StoreError: it cannot be reached, or there is no driver for it.
        """
        log = cls(_engine_named(url), clock)
        try:
            async with log._writing() as connection:
                await connection.run_sync(METADATA.create_all)
                for guard in SQLITE_GUARDS if log._is_sqlite else POSTGRES_GUARDS:
                    await connection.execute(sa.text(guard))
        except StoreError:
            await log.close()
            raise
        return log

    async def close(self) -> None:
        """Give the connections back."""
        await self._engine.dispose()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have it called after each line that this process added. It must not fail, nor wait."""
        self._listeners.append(listener)

    async def append(
        self,
        stream: str,
        kind: str,
        payload: dict[str, Any],
        *,
        actor: str,
        reason: str,
        expected_seq: int | None = None,
    ) -> Event:
        """Add a line.

        Raises:
            ConflictError: `expected_seq` is given and the stream's last line has another number.
            StoreError: the database is away. The line may have got there.
        """
        text = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        fields = {"stream": stream, "kind": str(kind), "payload": text, "actor": actor, "reason": reason}
        async with self._writing() as connection:
            row = await self._next_row(connection, fields, expected_seq)
            await connection.execute(EVENTS.insert().values(**row))
        for listener in self._listeners:
            listener()
        return Event(**{**row, "payload": json.loads(text)})

    async def _next_row(
        self, connection: AsyncConnection, fields: dict[str, Any], expected_seq: int | None
    ) -> dict[str, Any]:
        last = (
            await connection.execute(
                sa.select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc()).limit(1)
            )
        ).first()
        in_stream = sa.select(sa.func.max(EVENTS.c.stream_seq)).where(EVENTS.c.stream == fields["stream"])
        stream_seq = (await connection.execute(in_stream)).scalar() or 0
        if expected_seq is not None and stream_seq != expected_seq:
            raise ConflictError(f"{fields['stream']} is at {stream_seq}, not at {expected_seq}")
        row = {
            "seq": (last.seq if last else 0) + 1,
            "stream_seq": stream_seq + 1,
            "unix_s": self._clock(),
            "previous_hash": last.hash if last else FIRST_HASH,
            **fields,
        }
        return {**row, "hash": hash_event(row)}

    async def read(self, stream: str | None = None, after: int = 0) -> list[Event]:
        """Lines in order, of one stream or of all, with `seq` > `after`.

        Raises:
            StoreError: the database is away, or a row is none that was written by a log.
        """
        query = sa.select(EVENTS).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq)
        if stream is not None:
            query = query.where(EVENTS.c.stream == stream)
        async with self._reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_event_of(row) for row in rows]

    async def head(self, known: int) -> tuple[Head | None, str | None]:
        """The newest line, and the hash of line `known`; null where there is none. Raises StoreError."""
        newest = sa.select(sa.func.max(EVENTS.c.seq)).scalar_subquery()
        query = sa.select(EVENTS.c.seq, EVENTS.c.hash).where(
            sa.or_(EVENTS.c.seq == newest, EVENTS.c.seq == known)
        )
        async with self._reading() as connection:
            hashes = {row.seq: row.hash for row in await connection.execute(query)}
        seq = max(hashes, default=None)
        return (Head(seq, hashes[seq]) if seq is not None else None), hashes.get(known)

    async def verify(self) -> str | None:
        """None if the chain holds, else what is wrong with the first bad row."""
        return (await self.check_chain())[1]

    async def check_chain(self) -> tuple[list[str], str | None]:
        """Every row's hash in order, and what is wrong with the first bad row (None: nothing).

        Reads what lies where the database should be now, over a connection of its own: one of before may
        hold a file that was moved away since.

        Raises:
            StoreError: the database cannot be read, or is not there.
        """
        self._expect_file()
        here = EventLog(_engine_of(self._engine.url))
        try:
            return await here._walk()
        finally:
            await here.close()

    def _expect_file(self) -> None:
        """Connecting would make it. Raises StoreError."""
        if self._is_sqlite and not Path(str(self._engine.url.database)).exists():
            raise StoreError(f"there is no database {self._engine.url.database} (hint: control.state)")

    async def _walk(self) -> tuple[list[str], str | None]:
        hashes: list[str] = []
        problem: str | None = None
        after: sa.ColumnElement[bool] = sa.true()
        while True:
            query = sa.select(EVENTS).where(after).order_by(EVENTS.c.seq).limit(PAGE_ROWS)
            async with self._reading() as connection:
                rows = (await connection.execute(query)).mappings().all()
            if not rows:
                return hashes, problem
            problem = problem or await asyncio.to_thread(_first_bad, rows, hashes)
            hashes += [str(row["hash"]) for row in rows]
            after = EVENTS.c.seq > rows[-1]["seq"]

    async def acquire_lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """Whether `holder` has the lease for the next `ttl_s`: taken when free, expired or its own.

        Raises:
            StoreError: the database is away.
        """
        now = self._clock()
        # Nobody may hold for longer than he can ask for: such a lease is from before the clock was set back.
        impossible = LEASES.c.until_unix_s > now + 2 * ttl_s
        free = sa.or_(LEASES.c.holder == holder, LEASES.c.until_unix_s <= now, impossible)
        take = (
            LEASES.update().where(LEASES.c.name == name, free).values(holder=holder, until_unix_s=now + ttl_s)
        )
        async with self._writing() as connection:
            if (await connection.execute(take)).rowcount == 1:
                return True
            is_held = (await connection.execute(sa.select(LEASES).where(LEASES.c.name == name))).first()
            if is_held is None:
                await connection.execute(
                    LEASES.insert().values(name=name, holder=holder, until_unix_s=now + ttl_s)
                )
            return is_held is None

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._reached(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, and nobody else's at the same time."""
        engine = self._engine.execution_options(**{_WRITES: True})
        async with self._turn, self._reached(), engine.begin() as connection:
            if not self._is_sqlite:
                await connection.execute(_POSTGRES_TURN)
            yield connection

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[None]:
        """Whatever ails the database is one error: drivers tell a lost one in a dozen ways."""
        try:
            yield
        except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            where = self._engine.url.render_as_string(hide_password=True)
            why = str(getattr(error, "orig", None) or error) or type(error).__name__
            raise StoreError(
                f"the database {where} cannot be used: {why} (hint: control.state; what serves goes on)"
            ) from error


def _event_of(row: RowMapping) -> Event:
    """The line of a row. Raises StoreError where somebody changed it to what cannot be read."""
    try:
        payload = json.loads(row["payload"])
    except (TypeError, ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        said = f"the event log does not hold: row {row['seq']} was changed, its payload is no JSON object"
        raise StoreError(f"{said} (hint: see the on-call page log-broken)")
    return Event(**{**row, "payload": payload})


def _first_bad(rows: Sequence[RowMapping], before: list[str]) -> str | None:
    """What is wrong with the first bad row after those with the hashes `before`."""
    previous, expected = (before[-1] if before else FIRST_HASH), len(before) + 1
    for row in rows:
        if row["seq"] != expected:
            return f"row {expected} is missing (row {row['seq']} stands in its place)"
        if not _is_as_hashed(row):
            return f"row {row['seq']} was changed"
        if row["previous_hash"] != previous:
            return f"row {row['seq']} does not follow the row before it"
        previous, expected = row["hash"], expected + 1
    return None


def _is_as_hashed(row: RowMapping) -> bool:
    try:
        return bool(hash_event(dict(row)) == row["hash"])
    except TypeError:  # bytes where text was: SQLite takes any value in any column
        return False


def _engine_named(url: str) -> AsyncEngine:
    try:
        return _engine_of(async_url(url))
    except (ImportError, SQLAlchemyError) as error:
        hint = "control.state: postgresql://USER@HOST/NAME, or leave it out for SQLite"
        raise StoreError(f"control.state names no database to use: {error} (hint: {hint})") from error


def _engine_of(url: str | sa.URL) -> AsyncEngine:
    if sa.make_url(url).get_backend_name() == "sqlite":
        engine = create_async_engine(url)
        sa.event.listen(engine.sync_engine, "connect", _sqlite_settings)
        sa.event.listen(engine.sync_engine, "begin", _sqlite_begin)
        return engine
    limits = {"timeout": CONNECTED_WITHIN_S, "command_timeout": ANSWERED_WITHIN_S}
    # Asked before each use: of a server that was restarted no connection of before is worth anything.
    # A statement sees what was written before it began, not before its turn was asked for.
    return create_async_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=CONNECTED_WITHIN_S,
        isolation_level="READ COMMITTED",
        connect_args=limits,
    )


def async_url(url: str) -> str:
    """The same database by its asynchronous driver."""
    for sync, driver in (("sqlite://", "sqlite+aiosqlite://"), ("postgresql://", "postgresql+asyncpg://")):
        if url.startswith(sync):
            return driver + url.removeprefix(sync)
    return url


def _sqlite_settings(connection: Any, _: Any) -> None:
    """WAL lets readers go on while one writes; the busy timeout lets two processes take turns."""
    connection.isolation_level = None  # the driver begins nothing: `_sqlite_begin` does
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    """A writer takes his turn before he reads what he will follow."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
