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
from collections.abc import Callable
from pathlib import Path

KEY = "cf-bench_secret"  # every request shows it, to peers too
DESCRIPTORS_BESIDE = 500  # of the gateway's own, beside two a stream


def body(mode: str) -> str:
    """A streamed chat request for the feature of one upstream mode."""
    return json.dumps({"model": mode, "stream": True, "messages": [{"role": "user", "content": "Go on."}]})


def streams_per_s(folder: Path, base: str, mode: str, seconds: float) -> float:
    """Whole streams a second over 8 connections, by wrk on core 0; SystemExit if one was not a 2xx.

    `base`: what comes before /v1 in the address.
    """
    script = folder / f"stream-{mode}.lua"
    script.write_text(
        f"wrk.method = 'POST'; wrk.headers['content-type'] = 'application/json'\nwrk.body = [[{body(mode)}]]\n"
        f"wrk.headers['authorization'] = 'Bearer {KEY}'\n"
    )
    done = subprocess.run(
        ["taskset", "-c", "0", "wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script),
         f"{base}/v1/chat/completions"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if re.search(r"Non-2xx or 3xx responses: (\d+)", done):
        raise SystemExit(f"{mode}: answers that were not 2xx")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1])


def open_stream(port: int, path: str, mode: str) -> socket.socket:
    """A connection on which the request for a stream was sent."""
    caller = socket.create_connection(("127.0.0.1", port), 10)
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
    return caller


def paced(port: int, path: str) -> tuple[float, list[float]]:
    """Microseconds to the first token, and between tokens, of one stream of an event each 5 ms."""
    began = time.perf_counter()
    caller = open_stream(port, path, "paced")
    seen: list[float] = []
    with caller:
        whole = b""
        while b"[DONE]" not in whole[-80:]:
            part = caller.recv(65536)
            if not part:
                raise SystemExit("a paced stream was cut")
            whole += part
            if b"content" in part.split(b"\r\n\r\n")[-1] or seen:
                seen.append(time.perf_counter())
    gaps = [(late - early) * 1e6 for early, late in itertools.pairwise(seen)]
    return (seen[0] - began) * 1e6, gaps


def added(upstream: int, relay: int, gateway: int, rounds: int) -> dict[str, float]:
    """What the gateway, and nginx in its place, add at the median: to the first token, and to a gap; us."""
    path = "/v1/chat/completions"
    places = {
        "direct": (upstream, f"/paced{path}"),
        "nginx": (relay, f"/paced{path}"),
        "gateway": (gateway, path),
    }
    firsts: dict[str, list[float]] = {name: [] for name in places}
    gaps: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(rounds):
        for name, place in places.items():
            first, between = paced(*place)
            firsts[name].append(first)
            gaps[name] += between
    of = {name: (statistics.median(firsts[name]), statistics.median(gaps[name])) for name in places}
    return {
        "added_first_token_p50_us": of["gateway"][0] - of["direct"][0],
        "added_gap_p50_us": of["gateway"][1] - of["direct"][1],
        "nginx_adds_first_token_p50_us": of["nginx"][0] - of["direct"][0],
        "nginx_adds_gap_p50_us": of["nginx"][1] - of["direct"][1],
    }


def idle_streams(
    gateway: int, before_mb: float, now_mb: Callable[[], float], wanted: int
) -> dict[str, float]:
    """Memory of an open stream that says nothing. `now_mb`: reads the gateway's resident memory.

    As many as `wanted`, or as the limit of open files lets one process hold.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(wanted, (hard - DESCRIPTORS_BESIDE) // 2)
    callers = []
    try:
        callers.extend(open_stream(gateway, "/v1/chat/completions", "hold") for _ in range(count))
        for caller in callers:
            if b"content" not in caller.recv(4096):
                caller.recv(4096)
        grown_kb = (now_mb() - before_mb) * 1024
    finally:
        for caller in callers:
            caller.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return {"streams": count, "kb_each": grown_kb / count}
