from __future__ import annotations

import asyncio
import logging

import pytest

from crossfade.app.loops import PAUSE_S, SAID_AGAIN_S, keep_going
from crossfade.control.store.eventlog import StoreError


async def test_a_loop_that_breaks_begins_again_after_a_pause_and_ends_when_it_ends():
    turns, pauses = [], []

    async def loop():
        turns.append(len(turns))
        if len(turns) < 4:
            raise OSError("the database is away")

    async def pause(seconds):
        pauses.append(seconds)

    await keep_going(loop, pause)
    assert (turns, pauses) == ([0, 1, 2, 3], [PAUSE_S] * 3)


async def test_cancelling_it_is_no_break():
    task = asyncio.create_task(keep_going(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_goes_on_for_hours_is_told_once_a_minute_and_a_lost_database_in_one_line(caplog):
    breaks = [StoreError("away")] * 130 + [StoreError("still starting"), OSError("another"), None]
    now = [0.0]

    async def loop():
        if (error := breaks.pop(0)) is not None:
            raise error

    async def pause(seconds):
        now[0] += seconds

    with caplog.at_level(logging.ERROR):
        await keep_going(loop, pause, lambda: now[0])
    told = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert 130 * PAUSE_S > 2 * SAID_AGAIN_S
    assert told == ["away", "away", "away", "still starting", "another"]
    assert [record.exc_info is None for record in caplog.records] == [True] * 4 + [False]
