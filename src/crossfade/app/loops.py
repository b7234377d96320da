"""Control's loops outlive what breaks them: a lost database must not end the guards for good."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from crossfade.control.store.eventlog import StoreError

Loop = Callable[[], Coroutine[Any, Any, None]]
PAUSE_S = 1.0
SAID_AGAIN_S = 60.0

log = logging.getLogger(__name__)


async def keep_going(
    loop: Loop,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    steady: Callable[[], float] = time.monotonic,
) -> None:
    """Run a loop; begin it again a second after it broke. Ends when it ends, or is cancelled.

    The same break is told once a minute, and of a lost database without where in the code: an outage of an
    hour would fill the disk.
    """
    told, told_s = "", 0.0
    while True:
        try:
            return await loop()
        except Exception as error:
            if repr(error) != told or steady() >= told_s + SAID_AGAIN_S:
                told, told_s = repr(error), steady()
                where = None if isinstance(error, StoreError) else error
                log.error("%s broke, and begins again: %s", _named(loop), error, exc_info=where)  # noqa: TRY400 - see above
            await pause(PAUSE_S)


def _named(loop: Loop) -> str:
    return str(getattr(loop, "__qualname__", loop))
