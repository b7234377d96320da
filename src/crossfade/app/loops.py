"""Control's loops outlive what breaks them: a lost database must not end the guards for good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Loop = Callable[[], Coroutine[Any, Any, None]]
PAUSE_S = 1.0

log = logging.getLogger(__name__)


async def keep_going(loop: Loop, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Run a loop; begin it again a second after it broke. Ends when it ends, or is cancelled."""
    while True:
        try:
            return await loop()
        except Exception:
            log.exception("%s broke, and begins again", getattr(loop, "__qualname__", loop))
            await pause(PAUSE_S)
