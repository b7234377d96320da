"""Serves control in this process until SIGTERM or SIGINT. It listens at once, and waits for its log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvicorn

from crossfade.app.garbage import collect_less
from crossfade.app.waiting import Door, Waiting
from crossfade.app.wiring import control_parts, early_login, early_parts, running
from crossfade.config.features import Config
from crossfade.config.load import ConfigError, load_config
from crossfade.control.api.app import create_api
from crossfade.control.api.parts import ControlParts
from crossfade.control.api.waiting import WaitingParts, create_waiting_api
from crossfade.control.store.state_dir import StateDir

DRAIN_S = 3  # long polls are cut: gateways ask again


def serve_control(config: Path, state: Path, *, json_ready: bool) -> int:
    """Returns the exit code: 2 for a config that does not check or lacks a secret."""
    try:
        loaded = load_config(config).config
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the process's own output
        return 2
    return asyncio.run(_serve(loaded, config, StateDir(state), json_ready=json_ready))


async def _serve(config: Config, config_path: Path, folder: StateDir, *, json_ready: bool) -> int:
    folder.prepare()
    early = early_parts(config, folder)
    await early.broker.refresh()
    stop = asyncio.Event()
    waiting = Waiting(lambda why: _say({"waits": "control", "reason": why}, is_json=json_ready))
    early.unread.begin_to_hear()
    meanwhile = WaitingParts(
        broker=early.broker,
        admin=early.admin,
        unread=early.unread,
        login=early_login(early, folder),
        why=lambda: waiting.why,
        since_unix_s=time.time(),
        is_over=lambda: door.inside is not first,
        gateway_token=folder.gateway_token(),
    )
    first = create_waiting_api(meanwhile)
    door = Door(first)
    async with running([early.broker.run, early.unread.keep_watch]), AsyncExitStack() as stack:
        try:
            server, serving = await _listen(door, config.control.listen)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            hint = "is another process using the port? It is control.listen"
            said = f"control: cannot listen on {config.control.listen}: {why} (hint: {hint})"
            print(said, file=sys.stderr)  # noqa: T201 - the process's own output
            return 1
        serving.add_done_callback(lambda _: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

        async def enter() -> ControlParts:
            return await stack.enter_async_context(control_parts(config_path, folder, early))

        parts = await waiting.until(enter, stop)
        if parts is not None:
            door.inside = create_api(parts)
            collect_less()
            ready = {"ready": "control", "listen": config.control.listen, "pid": os.getpid()}
            _say(ready, is_json=json_ready)
            await stop.wait()
            parts.publisher.close()
        early.broker.close()
        server.should_exit = True
        await serving
    return 0


async def _listen(door: Door, listen: str) -> tuple[uvicorn.Server, asyncio.Task[None]]:
    """The server, and its task, once it listens. Raises OSError."""
    host, _, port = listen.rpartition(":")
    place = host.strip("[]")
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    listener = socket.create_server((place, int(port)), family=family, backlog=2048)
    # asyncio does not take such a socket for TCP: an answer's body waited 40 ms for its head's receipt.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    settings = uvicorn.Config(
        door, log_level="warning", access_log=False, timeout_graceful_shutdown=DRAIN_S, lifespan="off"
    )
    server = uvicorn.Server(settings)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001 - `serve` would take the signals
    # uvicorn tells by a flag, not an event
    while not server.started and not serving.done():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return server, serving


def _say(message: dict[str, Any], *, is_json: bool) -> None:
    """One line of this process's own output, for machines or for people."""
    if is_json:
        text = json.dumps(message)
    elif "waits" in message:
        text = f"control waits: {message['reason']}"
    else:
        text = f"control ready on http://{message['listen']} (pid {message['pid']})"
    print(text, flush=True)  # noqa: T201
