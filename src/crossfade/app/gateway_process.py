"""The gateway's process: Python only starts it, keeps the signals, and waits.

The launcher replaces itself by this module with a fresh interpreter, so that the process that
answers requests holds neither the config reader nor the CLI in memory. Options (they hold the
gateway token) come through a pipe, never through arguments or the environment.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any


def replace_with_gateway(options: dict[str, Any], *, json_ready: bool) -> None:
    """Become the gateway. Does not return."""
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    with os.fdopen(writer, "w") as pipe:
        json.dump(options, pipe)
    arguments = [sys.executable, "-m", "crossfade.app.gateway_process", str(reader)]
    if json_ready:
        arguments.append("--json")
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter, our own module


def run(options: str, *, json_ready: bool) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    from crossfade._engine import Server  # noqa: PLC0415 - only this process needs the engine

    scheme = "https" if json.loads(options).get("tls") else "http"

    def print_ready(listen: str, admin: str) -> None:
        ready = {"ready": "gateway", "scheme": scheme, "listen": listen, "admin": admin, "pid": os.getpid()}
        line = (
            json.dumps(ready) if json_ready else f"gateway ready on {scheme}://{listen} (pid {os.getpid()})"
        )
        print(line, flush=True)  # noqa: T201 - the ready line is this process's output

    server = Server(options)
    failure: list[str] = []

    def serve() -> None:
        try:
            server.run(print_ready)
        except RuntimeError as error:
            failure.append(str(error))

    thread = threading.Thread(target=serve, name="engine")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
    if failure:
        print(f"gateway: {failure[0]}", file=sys.stderr)  # noqa: T201 - the error is this process's output
        return 1
    return 0


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1])) as pipe:
        document = pipe.read()
    sys.exit(run(document, json_ready="--json" in sys.argv[2:]))
