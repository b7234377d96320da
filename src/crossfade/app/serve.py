"""Serves control in this process until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import signal
import sys
from pathlib import Path

import uvicorn

from crossfade.app.wiring import control_parts
from crossfade.control.api.app import create_api
from crossfade.control.store.eventlog import StoreError
from crossfade.control.store.state_dir import StateDir

DRAIN_S = 3  # long polls are cut: gateways ask again


def serve_control(config: Path, state: Path, *, json_ready: bool) -> int:
    """Returns the exit code."""
    try:
        return asyncio.run(_serve(config, StateDir(state), json_ready=json_ready))
    except StoreError as error:
        print(f"control: {error}", file=sys.stderr)  # noqa: T201 - the process's own output
        return 1


def collect_less() -> None:
    """Set this process's collector for control: what it is made of stays, and is looked through once.

    What a turn of a controller leaves behind goes by its reference counts; with the interpreter's own
    settings the collector's share of a turn was 7 % (`make measure-rollback`).
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # at the end all of it goes, or native libraries report leaks
    gc.set_threshold(20_000, 20, 50)


async def _serve(config_path: Path, folder: StateDir, *, json_ready: bool) -> int:
    async with control_parts(config_path, folder) as parts:
        listen = parts.publisher.config.control.listen
        host, _, port = listen.rpartition(":")
        settings = uvicorn.Config(
            create_api(parts), host=host.strip("[]"), port=int(port), log_level="warning", access_log=False,
            timeout_graceful_shutdown=DRAIN_S, lifespan="off",
        )  # fmt: skip
        server = uvicorn.Server(settings)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True
            parts.publisher.close()
            parts.broker.close()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        serving = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` would take the signals
        # uvicorn tells by a flag, not an event
        while not server.started and not serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if serving.done():
            print(f"control: cannot listen on {listen}", file=sys.stderr)  # noqa: T201 - the process's own output
            return 1
        collect_less()
        ready = {"ready": "control", "listen": listen, "pid": os.getpid()}
        text = json.dumps(ready) if json_ready else f"control ready on http://{listen} (pid {os.getpid()})"
        print(text, flush=True)  # noqa: T201 - the ready line is this process's output
        await serving
    return 0
