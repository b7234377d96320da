"""What a gateway does all day, so that the compiler sees it: `training.py GATEWAY`, an instrumented build.

Every dialect of a caller over every dialect of an upstream, plain and streamed, with and without tools,
small prompts and large ones, against the simulated clouds; streams written at once and one event at a
time. Nothing is measured here: the profile that the gateway writes at its end is the result.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway import free_port, wait_for
from streams import KEY

from crossfade.config.compile import compile_snapshot
from crossfade.config.load import load_text
from crossfade.domain.snapshot import Dialect

SECONDS = 20
CALLERS = 12
TOKEN = PEPPER = "training"  # noqa: S105 - loopback processes of this run
SECRETS = {
    "CROSSFADE_GATEWAY_TOKEN": TOKEN,
    "CROSSFADE_PEPPER": PEPPER,
    "SIM_KEY": "sk-sim",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}
# Beside the first, from the first port on: where each simulated cloud listens.
CLOUDS = {"openai": 0, "bedrock": 1, "sagemaker": 2, "anthropic": 10, "gemini": 11, "azure": 13, "cohere": 16}
ENDPOINTS = {
    "chat": "{provider: openai, model: gpt-sim}",
    "responses": "{provider: openai, model: gpt-sim, dialect: openai_responses}",
    "azure": "{provider: azure, model: gpt-standard}",
    "messages": "{provider: anthropic, model: claude-sim}",
    "gemini": "{provider: gemini, model: gemini-sim}",
    "converse": "{provider: bedrock, region: us-east-1, model: us.anthropic.claude-haiku-4-5}",
    "invoke": "{provider: bedrock, region: us-east-1, model: us.anthropic.claude-haiku-4-5, dialect: bedrock_invoke}",
    "vllm": "{provider: sagemaker, region: us-east-1, model: haiku-sm}",
    "tgi": "{provider: sagemaker, region: us-east-1, model: llama-tgi, dialect: tgi}",
    "cohere": "{provider: cohere, model: command-sim}",
    "burst": "{provider: burst, model: any}",
    "each": "{provider: each, model: any}",
}
OFTEN = ("chat", "chat", "chat", "burst", "each")  # relayed as they are: most of what a gateway does
PROMPTS = ("Say something about rivers.", "word " * 400, "word " * 40_000)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def config(ports: tuple[int, int, int], first: int, streams: int) -> str:
    """Each endpoint as a feature of its own. `ports`: the gateway's two and control's."""
    local = "http://127.0.0.1"
    kinds = {"azure": "azure-openai"}
    providers = {
        cloud: f"{{kind: {kinds.get(cloud, cloud)}, base_url: '{local}:{first + at}{'/v1' if cloud == 'openai' else ''}', "
        f"auth: {'{method: default-chain}' if cloud in {'bedrock', 'sagemaker'} else '{method: api-key, env: SIM_KEY}'}}}"
        for cloud, at in CLOUDS.items()
    }
    providers |= {
        mode: f"{{kind: openai-compatible, base_url: '{local}:{streams}/{mode}/v1', auth: {{method: none}}}}"
        for mode in ("burst", "each")
    }
    key = hmac.new(PEPPER.encode(), KEY.encode(), hashlib.sha256).hexdigest()
    document = {
        "gateway": f"{{listen: '127.0.0.1:{ports[0]}', admin: '127.0.0.1:{ports[1]}'}}",
        "control": f"{{listen: '127.0.0.1:{ports[2]}'}}",
        "providers": providers,
        "endpoints": ENDPOINTS,
        "keys": {"bench": f"{{hash: cfh_bench_{key}}}"},
        "features": {f"to-{name}": f"[{name}]" for name in ENDPOINTS},
    }
    return "".join(
        f"{section}: {value}\n"
        if isinstance(value, str)
        else f"{section}:\n" + "".join(f"  {name}: {text}\n" for name, text in value.items())
        for section, value in document.items()
    )


def untrained(text: str) -> set[Dialect]:
    """Dialects that none of the endpoints speaks: what they run would be compiled for size."""
    config = load_text(text, "training", secrets=False).config
    snapshot = compile_snapshot(config, version=1, issued_unix_s=0, keys=(), overlays={})
    return set(Dialect) - {endpoint.dialect for endpoint in snapshot.endpoints.values()}


def requests_for_ever() -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths and bodies, each dialect of a caller in turn."""
    said = itertools.cycle(PROMPTS[:1] * 16 + PROMPTS[1:2] * 8 + PROMPTS[2:])
    for name in itertools.cycle([*ENDPOINTS, *OFTEN * 3]):
        for stream, tools in ((False, False), (True, False), (True, True)):
            shared = {"model": f"to-{name}", "stream": stream}
            messages = {"messages": [{"role": "user", "content": next(said)}]}
            tool = {"name": "weather", "description": "The weather of a city."}
            chat = shared | messages
            if tools:
                chat |= {"tools": [{"type": "function", "function": tool | {"parameters": CITY}}]}
            yield "/v1/chat/completions", chat
            if name in OFTEN:
                continue
            anthropic = shared | messages | {"max_tokens": 200}
            responses = shared | {"input": next(said)}
            if tools:
                anthropic |= {"tools": [tool | {"input_schema": CITY}]}
                responses |= {"tools": [{"type": "function", **tool, "parameters": CITY}]}
            yield "/v1/messages", anthropic
            yield "/v1/responses", responses


def call_until(port: int, deadline: float, skip: int) -> dict[int, int]:
    """One caller on one connection: how many answers had each status."""
    statuses: dict[int, int] = {}
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    with contextlib.closing(link):
        for path, body in itertools.islice(requests_for_ever(), skip, None):
            if time.monotonic() > deadline:
                return statuses
            link.request("POST", path, json.dumps(body), headers)
            answer = link.getresponse()
            answer.read()
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
    return statuses


def wait_until_ready(port: int) -> None:
    """Return when the gateway serves its first snapshot; TimeoutError after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(link), contextlib.suppress(OSError):
            link.request("GET", "/health/readiness")
            if link.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"the gateway on {port} got no snapshot")


@contextlib.contextmanager
def running(command: list[str], folder: str, port: int, told: dict[str, str] | None = None) -> Iterator[None]:
    """A process of this run, `told` on standard input; ended, and waited for, so that it can write its profile."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **SECRETS},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        process.stdin.write(json.dumps(told))
        process.stdin.close()
        wait_for(port)
        yield
    finally:
        process.terminate()
        process.wait(60)


def main() -> int:
    """Train, and say what was answered; 1 if too little was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gateway", type=Path, help="the instrumented gateway; its examples are beside it")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    crossfade = [sys.executable, "-m", "crossfade"]
    first, streams = 23_000 + os.getpid() % 500 * 20, free_port()
    ports = (free_port(), free_port(), free_port())
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as up:
        text = config(ports, first, streams)
        if missing := untrained(text):
            raise SystemExit(f"no endpoint speaks {sorted(missing)} (hint: add one to ENDPOINTS)")
        Path(folder, "crossfade.yaml").write_text(text)
        binary = given.gateway.resolve()
        clouds = [*crossfade, "sim", "clouds", "--port", str(first), "--seed", "7", "--time-scale", "0.02"]
        listen, admin, control = (f"127.0.0.1:{port}" for port in ports)
        told = {"name": "training", "listen": listen, "admin": admin, "control_url": f"http://{control}"}
        told |= {"state_dir": folder, "token": TOKEN, "pepper": PEPPER}
        up.enter_context(running(clouds, folder, first + 9))
        up.enter_context(
            running([str(binary.parent / "examples/stream_upstream"), str(streams)], folder, streams)
        )
        up.enter_context(running([*crossfade, "control"], folder, ports[2]))
        up.enter_context(running([str(binary)], folder, ports[0], told))
        wait_until_ready(ports[0])
        deadline = time.monotonic() + given.seconds
        with ThreadPoolExecutor(CALLERS) as threads:
            callers = [threads.submit(call_until, ports[0], deadline, 7 * n) for n in range(CALLERS)]
        statuses: dict[int, int] = {}
        for caller in callers:
            for status, count in caller.result().items():
                statuses[status] = statuses.get(status, 0) + count
    print(f"trained with {sum(statuses.values())} requests: {statuses}", file=sys.stderr)
    return 0 if statuses.get(200, 0) > 0.8 * sum(statuses.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
