"""`crossfade up`: two child processes, each restarted without the other noticing.

A child says that it is ready with one JSON line on its standard output (`{"ready": NAME, ...}`).
A child that dies is started again after a pause that doubles to 10 s, so that one which cannot
start does not spin; a child that served for a minute starts again at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
HEALTHY_AFTER_S = 60.0
STOP_WITHIN_S = 40.0


@dataclass(slots=True)
class Part:
    """One supervised child: its name and the arguments after `crossfade`."""

    name: str
    arguments: tuple[str, ...]
    process: asyncio.subprocess.Process | None = field(default=None)
    starts: int = 0


async def supervise(parts: list[Part], report: Callable[[dict[str, Any]], None]) -> int:
    """Run until SIGTERM or SIGINT; stops parts in reverse order. Returns the exit code.

    `report` receives the ready lines and `{"restart": NAME, "exit": CODE}`.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(_keep_alive(part, report, stop)) for part in parts]
    await stop.wait()
    for part in reversed(parts):
        await _terminate(part)
    await asyncio.gather(*tasks)
    return 0


async def _keep_alive(part: Part, report: Callable[[dict[str, Any]], None], stop: asyncio.Event) -> None:
    pause = FIRST_PAUSE_S
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        part.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "crossfade",
            *part.arguments,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C reaches the supervisor, which stops the parts in order
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        part.starts += 1
        await _relay_lines(part, report)
        code = await part.process.wait()
        if stop.is_set():
            return
        report({"restart": part.name, "exit": code})
        lived = asyncio.get_running_loop().time() - started
        pause = FIRST_PAUSE_S if lived > HEALTHY_AFTER_S else min(LONGEST_PAUSE_S, pause * 2)
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            continue


async def _relay_lines(part: Part, report: Callable[[dict[str, Any]], None]) -> None:
    if part.process is None or part.process.stdout is None:
        return
    async for line in part.process.stdout:
        text = line.decode(errors="replace").rstrip()
        try:
            message = json.loads(text)
        except ValueError:
            message = {"line": text}
        if isinstance(message, dict):
            report({**message, "part": part.name})


async def _terminate(part: Part) -> None:
    if part.process is None or part.process.returncode is not None:
        return
    part.process.terminate()
    try:
        await asyncio.wait_for(part.process.wait(), STOP_WITHIN_S)
    except TimeoutError:
        part.process.kill()
        await part.process.wait()
