"""The gateway beside its peers, in one run. `make bench-peers [ARGS="--rounds 3 --only rolter"]`.

Processor time is that of the started process: a peer that serves from a child looks cheaper than it is.
One gateway at a time on core 1, load and upstream on core 0; each figure sits between two runs of nginx
as in `gateway.py`. A peer is data: a package of its own package client, a command, a config. Every
request shows a key, and every gateway checks it where it can. An answer is compared with the
upstream's before anything is measured: a fast wrong answer counts nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gateway import (
    BINARY,
    EXAMPLES,
    HERE,
    ROOT,
    cpu_us,
    free_port,
    gateway_options,
    load,
    nginx,
    running,
    write_snapshot,
)
from streams import KEY, body, streams_per_s

VENV = ROOT / ".cache/peers"
MODES = ("burst", "each")
STREAMS = 16  # at once
TOOLS = {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux", "npm": "npm"}
Rate = Callable[[float], float]
Ask = Callable[[int, dict[str, str], float], float]


@dataclass(frozen=True, slots=True)
class Peer:
    """`{port}`, `{base}` (the upstream, without /v1), `{config}` and `{key}` are filled in."""

    package: str  # of pip, or of npm where `node` runs it
    command: tuple[str, ...]
    config: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    suffix: str = ".yaml"  # of its config
    headers: dict[str, str] = field(default_factory=dict)  # that its callers send


PEERS = {
    "rolter": Peer(
        "rolter",
        ("rolter", "gateway", "-c", "{config}"),
        """
[server]
host = "127.0.0.1"
port = {port}
[[providers]]
name = "up"
kind = "openai_compatible"
api_base = "{base}"
[[routes]]
model = "{model}"
strategy = "round_robin"
[[routes.targets]]
provider = "up"
model = "bench"
[[virtual_keys]]
key = "{key}"
models = []
""",
        suffix=".toml",
    ),
    "ferrogw": Peer(
        "ferrogw",
        ("ferrogw", "serve"),
        "strategy: {{mode: single}}\ntargets: [{{virtual_key: openai}}]\naliases: {{{model}: gpt-4o}}\n",
        {
            "GATEWAY_CONFIG": "{config}",
            "OPENAI_BASE_URL": "{base}/v1",
            "OPENAI_API_KEY": "x",
            "MASTER_KEY": "{key}",
            "PORT": "{port}",
            "RATE_LIMIT_RPS": "1000000",
            "RATE_LIMIT_BURST": "1000000",
        },
    ),
    "smg": Peer(
        "smg",
        (
            "smg",
            "launch",
            "--worker-urls",
            "{base}",
            "--backend",
            "openai",
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
        ),
    ),
    "litellm": Peer(
        "litellm[proxy]",
        ("litellm", "--config", "{config}", "--host", "127.0.0.1", "--port", "{port}", "--num_workers", "1"),
        "model_list:\n"
        "  - {{model_name: {model}, litellm_params: {{model: openai/bench, api_base: '{base}/v1', api_key: x}}}}\n"
        "general_settings: {{master_key: {key}}}\n",
        # The stream of the bench says one word again and again, which it takes for a fault.
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "REPEATED_STREAMING_CHUNK_LIMIT": "1000000"},
    ),
    "portkey": Peer(
        "@portkey-ai/gateway",
        ("node", "node_modules/@portkey-ai/gateway/build/start-server.js", "--port={port}", "--headless"),
        headers={"x-portkey-provider": "openai", "x-portkey-custom-host": "{base}/v1"},
    ),
}


def install(peers: list[str]) -> None:
    """Each peer's own package, into a folder of the cache."""
    if not (VENV / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    wanted = [PEERS[name] for name in peers if not installed(PEERS[name]).exists()]
    for peer in wanted:
        print(f"installing {peer.package}", file=sys.stderr)
        pip = [str(VENV / "bin/pip"), "install", "--quiet", peer.package]
        npm = ["npm", "install", "--silent", "--prefix", str(VENV), peer.package]
        subprocess.run(npm if peer.command[0] == "node" else pip, check=True)


def installed(peer: Peer) -> Path:
    """What its package puts there: a script of node, or a program."""
    return VENV / peer.command[1] if peer.command[0] == "node" else VENV / "bin" / peer.command[0]


@contextlib.contextmanager
def started(name: str, folder: Path, base: str, model: str) -> Iterator[tuple[int, int, dict[str, str]]]:
    """One gateway over the upstream at `base` as `model`; yields port, pid and what its callers send."""
    headers: dict[str, str] = {}
    if name == "crossfade":
        port, told = gateway_options(folder)
        command, environment = [str(BINARY)], {}
    else:
        port, told = free_port(), None
        peer = PEERS[name]
        config = folder / f"{name}{peer.suffix}"
        filled = {"port": port, "base": base, "config": config, "key": KEY, "model": model}
        config.write_text(peer.config.format(**filled))
        command = [part.format(**filled) for part in peer.command]
        place = 1 if command[0] == "node" else 0
        command[place] = str(installed(peer))
        headers = {name: value.format(**filled) for name, value in peer.headers.items()}
        environment = {key: value.format(**filled) for key, value in peer.environment.items()}
    log = folder / f"{name}.log"
    command = ["sh", "-c", f'exec "$@" >{log} 2>&1', "sh", *command]
    with running(command, 1, port, told, **environment) as pid:
        yield port, pid, headers


class WrongAnswerError(Exception):
    """What a gateway answered is not what its upstream said."""


def check(port: int, model: str, more: dict[str, str], *, stream: bool) -> None:
    """WrongAnswerError unless the answer is the upstream's own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    text = (
        body(model)
        if stream
        else json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]})
    )
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}", **more}
    connection.request("POST", "/v1/chat/completions", text, headers)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    right = (
        said.count(" word") == 198 and "[DONE]" in said
        if stream
        else "A short answer of a few words." in said
    )
    if answer.status != 200 or not right:
        raise WrongAnswerError(f"status {answer.status}, not the upstream's answer: {said[:200]!r}")


@dataclass(frozen=True, slots=True)
class Row:
    """What is asked of a gateway over the upstream at `base`, and the same of nginx."""

    base: str
    model: str
    ask: Ask
    ask_nginx: Rate


def requests(folder: Path, ports: dict[str, int], connections: int, size: int) -> Row:
    """Plain calls with a prompt of so many bytes."""

    def ask(port: int, headers: dict[str, str], seconds: float) -> float:
        answered = load(folder, port, connections, size, seconds, headers)
        if answered["bad"]:
            raise WrongAnswerError(f"{answered['bad']:.0f} answers were not 2xx")
        return answered["rps"]

    return Row(f"http://127.0.0.1:{ports['up']}", "summary", ask, partial(ask, ports["relay"], {}))


def streams(folder: Path, ports: dict[str, int], mode: str) -> Row:
    """Streams whose upstream writes in this way."""

    def ask(port: int, headers: dict[str, str], seconds: float) -> float:
        return streams_per_s(folder, f"http://127.0.0.1:{port}", mode, (STREAMS, seconds), headers)

    def ask_nginx(seconds: float) -> float:
        return streams_per_s(folder, f"http://127.0.0.1:{ports['relay']}/{mode}", mode, (STREAMS, seconds))

    return Row(f"http://127.0.0.1:{ports['streams']}/{mode}", mode, ask, ask_nginx)


def measure(
    name: str, folder: Path, rows: dict[str, Row], nginx_pid: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Every row of one gateway; one that it answers wrongly has no figure, unless it is ours."""
    found: dict[str, dict[str, float]] = {}
    for title, row in rows.items():
        try:
            with started(name, folder, row.base, row.model) as (port, pid, headers):
                check(port, row.model, headers, stream=row.model in MODES)
                ours = partial(row.ask, port, headers)
                found[title] = beside_nginx(ours, row.ask_nginx, (pid, nginx_pid), rounds)
        except WrongAnswerError as wrong:
            if name == "crossfade":
                raise SystemExit(f"{title}: {wrong}") from wrong
            print(f"{name} {title}: failed: {wrong}", file=sys.stderr)
        else:
            say(name, title, found[title])
    return found


def beside_nginx(ours: Rate, nginxs: Rate, pids: tuple[int, int], rounds: int) -> dict[str, float]:
    """Medians over rounds: a rate, its ratio to the mean of nginx before and after, processor time for one.

    `ours`, `nginxs`: what a load of so many seconds found, in requests or streams a second. `pids`: of the
    gateway, and of nginx.
    """
    rates, ratios, cpu, nginxs_cpu = [], [], [], []
    for _ in range(rounds):
        before, its_cpu = timed(nginxs, pids[1], 2)
        rate, our_cpu = timed(ours, pids[0], 4)
        ratios.append(rate / statistics.mean([before, nginxs(2)]))
        rates.append(rate)
        cpu.append(our_cpu)
        nginxs_cpu.append(its_cpu)
    return {
        "a_second": statistics.median(rates),
        "ratio_to_nginx": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "cpu_us": statistics.median(cpu),
        "nginx_cpu_us": statistics.median(nginxs_cpu),
    }


def timed(load: Rate, pid: int, seconds: float) -> tuple[float, float]:
    """A load's rate, and the processor time in microseconds that the process took for one."""
    spent = cpu_us(pid)
    rate = load(seconds)
    return rate, (cpu_us(pid) - spent) / (rate * seconds)


def worker_of(nginx_pid: int) -> int:
    """The process of nginx that does the work."""
    children = Path(f"/proc/{nginx_pid}/task/{nginx_pid}/children").read_text().split()
    return int(children[0]) if children else nginx_pid


def say(name: str, row: str, found: dict[str, float]) -> None:
    """One figure as it comes: a whole run takes minutes."""
    spread = f"{found['ratio_min']:.3f} to {found['ratio_max']:.3f}"
    text = f"{name} {row}: {found['ratio_to_nginx']:.3f} x nginx ({spread}), {found['cpu_us']:.0f} us each"
    print(text, file=sys.stderr)


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """For people: a line a gateway."""
    rows, lines = found["crossfade"], []
    for title, figure, digits in (("ratio to nginx", "ratio_to_nginx", 3), ("processor us", "cpu_us", 0)):
        lines.append(f"{title:<14}" + "".join(f"{row:>18}" for row in rows))
        for name, of in found.items():
            shown = [f"{of[row][figure]:.{digits}f}" if row in of else "failed" for row in rows]
            lines.append(f"{name:<14}" + "".join(f"{one:>18}" for one in shown))
    lines.append(f"{'nginx':<14}" + "".join(f"{of['nginx_cpu_us']:>18.0f}" for of in rows.values()))
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write `bench/out/peers.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(PEERS), default=list(PEERS))
    given = parser.parse_args()
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            print(f"missing: {tool} (install: apt-get install {package})", file=sys.stderr)
            return 1
    install(given.only)
    ports = {name: free_port() for name in ("up", "relay", "streams")}
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_snapshot(folder, ports["up"], ports["streams"])
        relay = nginx(folder, "relay.conf", upstream_port=ports["up"], relay_port=ports["relay"],
                      stream_port=ports["streams"])  # fmt: skip
        rows = {
            "small_32": requests(folder, ports, 32, 300),
            "large_8": requests(folder, ports, 8, 200_000),
            **{f"stream_{mode}_{STREAMS}": streams(folder, ports, mode) for mode in MODES},
        }
        with (
            running(nginx(folder, "upstream.conf", upstream_port=ports["up"]), 0, ports["up"]),
            running([str(EXAMPLES / "stream_upstream"), str(ports["streams"])], 0, ports["streams"]),
            running(relay, 1, ports["relay"]) as nginx_pid,
        ):
            for one in ("crossfade", *given.only):
                print(f"measuring {one}", file=sys.stderr)
                found[one] = measure(one, folder, rows, worker_of(nginx_pid), given.rounds)
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "peers.json").write_text(json.dumps({"rounds": given.rounds, **found}, indent=2) + "\n")
    print(table(found))
    behind = [
        f"{row} ({name})"
        for name, of in found.items()
        for row, value in of.items()
        if value["ratio_to_nginx"] > found["crossfade"][row]["ratio_to_nginx"]
    ]
    print("ahead of every peer in every row" if not behind else f"behind in {', '.join(behind)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
