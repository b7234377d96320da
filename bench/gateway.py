"""The gateway's speed and memory beside nginx, in one run. `make bench [ARGS="--rounds 5"]`.

Each figure of the gateway sits between two runs of nginx, and the ratio is taken to their mean,
because a shared machine drifts within minutes. Core 1 holds what is measured, core 0 the load.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streams import KEY, NONE, added, asking, idle_streams, open_files, streams_per_s

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILT = ROOT / "target/trained/built"  # what `tools/trained gateway` built last
BINARY = BUILT / "crossfade-gateway"
EXAMPLES = BUILT / "examples"
PATIENT = "{progress: 10m, liveness: 10m, ping_progress: 10m}"  # of streams that say nothing
MODES = ("burst", "each", "paced", "hold")  # of the upstream that streams
FILES_BESIDE = 500  # of a process's own, beside those of streams
TOKEN = "bench"  # noqa: S105 - a loopback process of this run


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when something accepts on `port`; TimeoutError after a minute, as some peers take long."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on {port}")


@contextlib.contextmanager
def running(
    command: list[str], cores: int | str, port: int, told: Path | None = None, **environment: str
) -> Iterator[int]:
    """A process pinned to `cores`, ready on `port`, `told` a file on standard input; yields its pid."""
    with Path(told or os.devnull).open() as said:
        process = subprocess.Popen(
            ["taskset", "-c", str(cores), *command], stdin=said, env={**os.environ, **environment}
        )
    try:
        wait_for(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(15)


def nginx(folder: Path, name: str, **values: str | int) -> list[str]:
    """The command that runs one of the nginx configs beside this file."""
    text = string.Template((HERE / name).read_text()).safe_substitute(dir=str(folder), **values)
    path = folder / name
    path.write_text(text)
    return ["nginx", "-c", str(path), "-p", str(folder)]


def write_snapshot(folder: Path, upstream_port: int, stream_port: int) -> None:
    """A signed snapshot with a feature an upstream, as control would have left it."""
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    from crossfade.config.compile import compile_snapshot  # noqa: PLC0415
    from crossfade.config.load import load_config  # noqa: PLC0415
    from crossfade.config.snapshot_json import encode_snapshot  # noqa: PLC0415

    config = folder / "crossfade.yaml"
    config.write_text(
        "providers:\n"
        f"  up: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{upstream_port}/v1', auth: {{method: none}}}}\n"
        + "".join(
            f"  {mode}: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{stream_port}/{mode}/v1', "
            "auth: {method: none}}\n"
            for mode in MODES
        )
        + "endpoints:\n"
        "  a: {provider: up, model: bench}\n"
        "  b: {provider: up, model: bench}\n"
        + "".join(f"  {mode}: {{provider: {mode}, model: bench}}\n" for mode in MODES)
        + f"keys: {{bench: {{hash: cfh_bench_{hmac.new(b'bench', KEY.encode(), hashlib.sha256).hexdigest()}}}}}\n"
        "features:\n"
        "  summary: [a, b]\n"
        + "".join(f"  {mode}: {{hierarchy: [{mode}], deadline: 10m, limits: {PATIENT}}}\n" for mode in MODES)
    )
    snapshot = compile_snapshot(load_config(config).config, version=1, issued_unix_s=0, keys=(), overlays={})
    body = encode_snapshot(snapshot)
    (folder / "snapshot.json").write_bytes(body)
    (folder / "snapshot.sig").write_text(hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest())


def request_body(size: int) -> str:
    """An OpenAI chat body of about `size` bytes."""
    filler = "word " * (size // 5)
    return json.dumps({"model": "summary", "messages": [{"role": "user", "content": filler}]})


def load(
    folder: Path, port: int, connections: int, size: int, seconds: float, headers: Mapping[str, str] = NONE
) -> dict[str, float]:
    """One wrk run on core 0: requests/s, p50 and p99 in ms, and how many answers were not 2xx."""
    script = folder / f"post-{size}.lua"
    if not (folder / f"body-{size}").exists():
        (folder / f"body-{size}").write_text(request_body(size))
    script.write_text(
        f'local f = io.open("{folder}/body-{size}"); wrk.body = f:read("*a"); f:close()\n{asking(headers)}'
    )
    done = subprocess.run(
        ["taskset", "-c", "0", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script),
         f"http://127.0.0.1:{port}/v1/chat/completions"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done)
    return {
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]),
        "p50_ms": milliseconds(re.search(r"50%\s+([\d.]+\w+)", done)[1]),
        "p99_ms": milliseconds(re.search(r"99%\s+([\d.]+\w+)", done)[1]),
        "bad": float(bad[1]) if bad else 0.0,
    }


def milliseconds(text: str) -> float:
    """Of wrk: `123.00us`, `1.20ms`, `1.00s` in milliseconds."""
    number, unit = re.match(r"([\d.]+)(\w+)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def resident_mb(pid: int) -> float:
    """Resident memory of one process in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def cpu_us(pid: int) -> float:
    """Processor time a process has used, in microseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def measure(folder: Path, relay: int, gateway: tuple[int, int], rounds: int) -> dict[str, dict[str, float]]:
    """Every scenario, `rounds` times, medians. `gateway`: its port and pid."""
    scenarios = {"small_32": (32, 300), "small_1": (1, 300), "large_8": (8, 200_000)}
    results: dict[str, dict[str, float]] = {}
    for name, (connections, size) in scenarios.items():
        ratios, added, rps, cpu = [], [], [], []
        for _ in range(rounds):
            before = load(folder, relay, connections, size, 2)
            spent = cpu_us(gateway[1])
            ours = load(folder, gateway[0], connections, size, 4)
            cpu.append((cpu_us(gateway[1]) - spent) / (ours["rps"] * 4))
            after = load(folder, relay, connections, size, 2)
            if ours["bad"]:
                raise SystemExit(
                    f"{name}: {ours['bad']:.0f} answers were not 2xx: a fast wrong answer counts nothing"
                )
            ratios.append(ours["rps"] / statistics.mean([before["rps"], after["rps"]]))
            added.append((ours["p50_ms"] - statistics.mean([before["p50_ms"], after["p50_ms"]])) * 1000)
            rps.append(ours["rps"])
        results[name] = {
            "rps": statistics.median(rps),
            "ratio_to_nginx": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "added_p50_us": statistics.median(added),
            "cpu_us_a_request": statistics.median(cpu),
        }
    return results


def measure_streams(folder: Path, relay: int, gateway: int, rounds: int) -> dict[str, dict[str, float]]:
    """Whole streams of 200 events, written at once and one by one, beside nginx without buffering."""
    results: dict[str, dict[str, float]] = {}
    for mode in ("burst", "each"):
        ratios, rate = [], []
        for _ in range(rounds):
            before = streams_per_s(folder, f"http://127.0.0.1:{relay}/{mode}", mode, (8, 2))
            ours = streams_per_s(folder, f"http://127.0.0.1:{gateway}", mode, (8, 4))
            after = streams_per_s(folder, f"http://127.0.0.1:{relay}/{mode}", mode, (8, 2))
            ratios.append(ours / statistics.mean([before, after]))
            rate.append(ours)
        results[f"stream_{mode}_8"] = {
            "streams_per_s": statistics.median(rate),
            "ratio_to_nginx": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
        }
    return results


def ten_thousand_streams(folder: Path, behind_all: tuple[int, int], files: int) -> dict[str, Any]:
    """Memory of an open stream, of 10,000 at once.

    They are on the gateway (port and pid) behind the whole bench, and on as many fresh ones beside it as the
    limit of open files asks for: a stream is two `files` of its gateway. Where not even those who call and
    answer may have so many, there are as many as they may.
    """
    wanted = min(10_000, files - FILES_BESIDE)
    needed = math.ceil(2 * wanted / (files - FILES_BESIDE))
    gateways = [behind_all]
    with contextlib.ExitStack() as stack:
        for number in range(1, needed):
            own = folder / f"gateway-{number}"
            own.mkdir()
            for name in ("snapshot.json", "snapshot.sig"):
                shutil.copy(folder / name, own)
            port, told = gateway_options(own)
            gateways.append((port, stack.enter_context(running([str(BINARY)], 1, port, told))))
        ports, pids = zip(*gateways, strict=True)
        return idle_streams(list(ports), lambda: [resident_mb(pid) for pid in pids], wanted // needed)


def over_two_cores(folder: Path, rounds: int) -> dict[str, float]:
    """Processor time of a small request on one core and on two, by turns, and what two cores would carry.

    The load needs a core of its own, so what is compared is work: a gateway whose threads waited for each
    other would spend more of it a request.
    """
    spent: dict[str, list[float]] = {"1": [], "0,1": []}
    for _ in range(rounds):
        for cores, found in spent.items():
            shutil.rmtree(folder / "spool")  # a full one drops records, which is less work
            port, told = gateway_options(folder)
            with running([str(BINARY)], cores, port, told) as pid:
                load(folder, port, 32, 300, 1)
                before = cpu_us(pid)
                answered = load(folder, port, 32, 300, 4)
                found.append((cpu_us(pid) - before) / (answered["rps"] * 4))
    one, two = (statistics.median(found) for found in spent.values())
    return {"cpu_us_on_one": one, "cpu_us_on_two": two, "times_one_core": 2 * one / two}


def gateway_options(folder: Path) -> tuple[int, Path]:
    """A port, and the file to tell a gateway that serves on it from the folder's snapshot."""
    port, admin = free_port(), free_port()
    told = folder / f"options-{port}.json"
    options = {"name": "bench", "listen": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{admin}"}
    told.write_text(json.dumps(options | {"state_dir": str(folder), "token": TOKEN, "pepper": "bench"}))
    return port, told


def choosing(snapshot: Path) -> dict[str, float]:
    """Microseconds to choose among 50 endpoints, by each way to choose."""
    command = ["taskset", "-c", "1", str(EXAMPLES / "choose"), str(snapshot)]
    modes = ("in-order", "weighted", "fastest", "cheapest", "affinity")
    found = {
        mode: subprocess.run([*command, mode], capture_output=True, text=True, check=True) for mode in modes
    }
    return {mode: int(done.stdout) / 1000 for mode, done in found.items()}


def main() -> int:
    """Measure, print, write `bench/out/gateway.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    for tool in ("nginx", "wrk", "taskset"):
        if not shutil.which(tool):
            print(f"missing: {tool} (install: apt-get install nginx-light wrk util-linux)", file=sys.stderr)
            return 1
    os.sched_setaffinity(0, {0})  # this process is a caller too
    files = open_files()
    up, relay, streams = (free_port() for _ in range(3))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_snapshot(folder, up, streams)
        gate, told = gateway_options(folder)
        with (
            running(nginx(folder, "upstream.conf", upstream_port=up), 0, up),
            running([str(EXAMPLES / "stream_upstream"), str(streams)], 0, streams),
        ):
            relaying = nginx(folder, "relay.conf", upstream_port=up, relay_port=relay, stream_port=streams)
            with running(relaying, 1, relay), running([str(BINARY)], 1, gate, told) as pid:
                idle = resident_mb(pid)
                results = measure(folder, relay, (gate, pid), rounds)
                results |= measure_streams(folder, relay, gate, rounds)
                results["stream_paced_1"] = added(streams, relay, gate, 5 * rounds)
                memory = {"idle_mb": idle, "after_mb": resident_mb(pid)}
                memory |= ten_thousand_streams(folder, (gate, pid), files)
            results["two_cores"] = over_two_cores(folder, rounds)
        results["choose_50_us"] = choosing(folder / "snapshot.json")
    trained = any((ROOT / "target/training").glob("*.profdata"))
    report = {"rounds": rounds, "trained": trained, **results, "memory": memory}
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "gateway.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
