"""Streams beside nginx: whole streams a second, added time to the first token and between tokens, memory."""

from __future__ import annotations

import itertools
import json
import re
import resource
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

KEY = "cf-bench_secret"  # every request shows it, to peers too
AT_ONCE = 500  # streams that begin together


def body(mode: str) -> str:
    """A streamed chat request for the feature of one upstream mode."""
    return json.dumps({"model": mode, "stream": True, "messages": [{"role": "user", "content": "Go on."}]})


NONE: Mapping[str, str] = MappingProxyType({})


def asking(headers: Mapping[str, str]) -> str:
    """Of a script of wrk: a POST of JSON that shows the key, and these headers."""
    shown = {"content-type": "application/json", "authorization": f"Bearer {KEY}", **headers}
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in shown.items()]
    return "\n".join(["wrk.method = 'POST'", *lines, ""])


def streams_per_s(
    folder: Path, base: str, mode: str, how: tuple[int, float], headers: Mapping[str, str] = NONE
) -> float:
    """Whole streams a second, by wrk on core 0; SystemExit if one was not a 2xx.

    `base`: what comes before /v1 in the address; `how`: connections, and seconds.
    """
    script = folder / f"stream-{mode}.lua"
    script.write_text(f"{asking(headers)}wrk.body = [[{body(mode)}]]\n")
    done = subprocess.run(
        ["taskset", "-c", "0", "wrk", "-t1", f"-c{how[0]}", f"-d{how[1]}s", "-s", str(script),
         f"{base}/v1/chat/completions"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if re.search(r"Non-2xx or 3xx responses: (\d+)", done):
        raise SystemExit(f"{mode}: answers that were not 2xx")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1])


def connected(port: int) -> socket.socket:
    """A connection that sends what it is given at once."""
    caller = socket.create_connection(("127.0.0.1", port), 10)
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return caller


def ask_for_stream(caller: socket.socket, path: str, mode: str) -> None:
    """Send the request for a stream."""
    text = body(mode).encode()
    fields = {
        "host": "x",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "content-length": len(text),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    head = f"POST {path} HTTP/1.1\r\n{lines}\r\n"
    caller.sendall(head.encode() + text)


def paced(caller: socket.socket, path: str, began: float) -> tuple[float, list[float]]:
    """Microseconds since `began` to the first token, and between tokens, of a stream of an event each 5 ms."""
    ask_for_stream(caller, path, "paced")
    seen: list[float] = []
    whole = b""
    while not whole.endswith(b"0\r\n\r\n"):
        part = caller.recv(65536)
        if not part:
            raise SystemExit("a paced stream was cut")
        whole += part
        if b"content" in part.split(b"\r\n\r\n")[-1] or (seen and b"data:" in part):
            seen.append(time.perf_counter())
    gaps = [(late - early) * 1e6 for early, late in itertools.pairwise(seen)]
    return (seen[0] - began) * 1e6, gaps


def added(upstream: int, relay: int, gateway: int, rounds: int) -> dict[str, float]:
    """What the gateway, and nginx in its place, add at the median, in microseconds.

    To the first token of a new connection and of one that is kept, as clients do, and to a gap.
    """
    path = "/v1/chat/completions"
    places = {
        "direct": (upstream, f"/paced{path}"),
        "nginx": (relay, f"/paced{path}"),
        "gateway": (gateway, path),
    }
    found: dict[str, dict[str, list[float]]] = {
        name: {"first_token": [], "kept_first_token": [], "gap": []} for name in places
    }
    for _ in range(rounds):
        for name, (port, where) in places.items():
            began = time.perf_counter()
            with connected(port) as caller:
                for kind in ("first_token", "kept_first_token"):
                    first, gaps = paced(caller, where, began)
                    found[name][kind].append(first)
                    found[name]["gap"] += gaps
                    time.sleep(0.02)  # the upstream pauses behind its last event, too
                    began = time.perf_counter()
    of = {name: {kind: statistics.median(us) for kind, us in seen.items()} for name, seen in found.items()}
    return {
        f"{who}_{kind}_p50_us": of[name][kind] - of["direct"][kind]
        for name, who in (("gateway", "added"), ("nginx", "nginx_adds"))
        for kind in of[name]
    }


def open_files() -> int:
    """Raises this process's limit of open files as far as it goes; its children have it too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def opened(port: int, count: int) -> list[socket.socket]:
    """Streams that say nothing behind their first content."""
    callers = []
    for _ in range(count):
        callers.append(connected(port))
        ask_for_stream(callers[-1], "/v1/chat/completions", "hold")
    for caller in callers:
        if b"content" not in caller.recv(4096):
            caller.recv(4096)
    return callers


def idle_streams(ports: list[int], resident_mb: Callable[[], list[float]], each: int) -> dict[str, Any]:
    """Memory of an open stream that says nothing, by gateway, which holds `each` of them.

    It is what a gateway grows by from half of its streams to all: the first ones take up what a gateway has
    let go of before, or what it needs once. They begin so many at once, because what a request needs until
    its stream has begun would be counted else; every one has shown its first content before memory is read.
    """
    callers = []
    read_mb = []
    try:
        for _ in range(2):
            for port in ports:
                for already in range(0, each // 2, AT_ONCE):
                    callers += opened(port, min(AT_ONCE, each // 2 - already))
            read_mb.append(resident_mb())
    finally:
        for caller in callers:
            caller.close()
    grown_kb = [(whole - half) * 1024 for half, whole in zip(*read_mb, strict=True)]
    return {"streams": len(callers), "kb_each": [grown / (each // 2) for grown in grown_kb]}
