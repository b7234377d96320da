from __future__ import annotations

import asyncio

import pytest

from crossfade.app.loops import PAUSE_S, keep_going


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
