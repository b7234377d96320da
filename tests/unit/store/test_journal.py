"""The log as one process remembers it: nothing twice, nothing missed, own lines at once."""

from __future__ import annotations

import asyncio

import pytest

from crossfade.control.store.eventlog import ConflictError, EventLog
from crossfade.control.store.journal import FRESH_S, Journal


class CountingLog(EventLog):
    reads = 0

    async def read(self, stream=None, after=0):
        self.reads += 1
        await asyncio.sleep(0)
        return await super().read(stream, after)


@pytest.fixture
async def place(tmp_path):
    log = await CountingLog.open(f"sqlite:///{tmp_path}/log.db")
    now = [100.0]
    yield log, Journal(log, steady=lambda: now[0]), now
    await log.close()


async def put(log, stream, number, **more):
    return await log.append(stream, "kind", {"n": number}, actor="a", reason="r", **more)


def numbers(lines):
    return [line.payload["n"] for line in lines]


async def test_it_reads_as_the_log_does_by_stream_and_beyond_a_line(place):
    log, journal, now = place
    for number in range(6):
        await put(log, f"s{number % 2}", number)
    assert numbers(await journal.read()) == [0, 1, 2, 3, 4, 5]
    assert numbers(await journal.read("s1")) == [1, 3, 5]
    assert numbers(await journal.read("s1", after=2)) == [3, 5]
    assert await journal.read("none") == []
    now[0] += 1.0
    await put(log, "s0", 6)  # another process
    assert [line.seq for line in await journal.read("s0", after=5)] == [7]


async def test_many_who_ask_at_once_are_answered_by_one_or_two_queries(place):
    log, journal, now = place
    await put(log, "s", 1)
    for _ in range(5):
        now[0] += 1.0
        before = log.reads
        assert all(
            numbers(found) == [1] for found in await asyncio.gather(*(journal.read("s") for _ in range(40)))
        )
        assert log.reads - before <= 2
    before = log.reads
    await journal.read("s")
    assert log.reads == before, f"within {FRESH_S} s nothing is asked again"


async def test_whoever_appended_sees_his_own_lines_whatever_query_is_under_way(place):
    _, journal, _ = place

    async def writer(name):
        for number in range(30):
            reading = asyncio.create_task(journal.read())
            line = await put(journal, name, number)
            assert line.stream_seq == number + 1
            assert numbers(await journal.read(name)) == list(range(number + 1))
            await reading

    await asyncio.gather(*(writer(f"w{number}") for number in range(4)))


async def test_a_conflict_is_told_and_the_faster_line_is_seen_at_once(place):
    log, journal, _ = place
    await put(journal, "s", 1)
    await journal.read("s")
    await put(log, "s", 2)
    with pytest.raises(ConflictError):
        await put(journal, "s", 3, expected_seq=1)
    assert numbers(await journal.read("s")) == [1, 2]
