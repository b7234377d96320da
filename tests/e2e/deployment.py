"""Real processes for end-to-end tests: simulated clouds, and `crossfade up`, each from its command line."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_WITHIN_S = 180  # on a busy machine a process of ours takes most of a minute
ENVIRONMENT = {
    "SIM_KEY": "sk-sim",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}


def free_ports(count: int) -> int:
    """The first of `count` neighbouring free loopback ports.

    Below those that the system gives to connections: between looking and listening, and while a process
    starts again, anybody's connection may get one of them.
    """
    for first in range(20000 + os.getpid() % 6000, 32000, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


class Command:
    """A running `crossfade …`; its JSON lines are waited for with a deadline."""

    def __init__(self, arguments: list[str], cwd: Path, environment: dict[str, str] | None = None) -> None:
        self.errors = (cwd / f"{arguments[0]}.stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "crossfade", *arguments],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.lines.put(json.loads(line))
        self.lines.put(None)

    def wait_for(self, **wanted: Any) -> dict[str, Any]:
        """The next line that has these values."""
        while True:
            line = self.lines.get(timeout=START_WITHIN_S)
            if line is None:
                self.errors.seek(0)
                raise AssertionError(f"ended before {wanted}: {self.errors.read()}")
            if all(
                line.get(key) == value or (isinstance(value, set) and line.get(key) in value)
                for key, value in wanted.items()
            ):
                return line

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(45)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.reader.join(5)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.errors.close()
        return code


@dataclass(frozen=True)
class Clouds:
    """Where each simulated cloud listens."""

    openai: str
    bedrock: str
    sagemaker: str
    sts: str
    admin: str
    anthropic: str
    gemini: str
    vertex: str
    azure: str
    tokens: str
    entra: str
    cohere: str

    def put_fault(self, cloud: str, model: str, **fault: Any) -> None:
        call(f"{self.admin}/faults/{cloud}/{model}", "PUT", fault)

    def clear_fault(self, cloud: str, model: str) -> None:
        call(f"{self.admin}/faults/{cloud}/{model}", "DELETE")


@dataclass(frozen=True)
class Deployment:
    """A running gateway and control."""

    url: str
    admin: str
    control: str
    config: Path
    state: Path
    command: Command
    control_pid: int
    gateway_pid: int

    def read(self, path: str) -> Any:
        """What control says below its address, to the administrator of this machine."""
        return call(f"{self.control}{path}", headers=self.own())

    def page(self, anchor: str = "") -> str:
        """An address that logs one browser in to the console."""
        path = call(f"{self.control}/api/v1/login/links", "POST", {}, self.own())["path"]
        return f"{self.control}{path}{anchor}"

    def own(self) -> dict[str, str]:
        """The header of this machine's administrator."""
        return {"authorization": f"Bearer {(self.state / 'api-token').read_text()}"}

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `crossfade` command against this deployment."""
        shared = ["--config", str(self.config), "--state", str(self.state)]
        return subprocess.run(
            [sys.executable, "-m", "crossfade", *arguments, *shared],
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )


def call(url: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """A JSON call; HTTPError for a bad status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data=data, method=method, headers={"content-type": "application/json", **(headers or {})}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def wait_until_served(url: str, cert: Path | None = None) -> None:
    """Return once `url` answers 200: a gateway is ready when its first snapshot has come."""
    deadline = time.monotonic() + START_WITHIN_S
    context = ssl.create_default_context(cafile=cert) if cert else None
    while True:
        try:
            urllib.request.urlopen(url, timeout=5, context=context).close()
        except OSError:  # also of a connection that broke while it answered
            if time.monotonic() > deadline:
                raise
        else:
            return


@contextlib.contextmanager
def running_clouds(folder: Path, *arguments: str) -> Iterator[Clouds]:
    first = free_ports(17)
    command = Command(["sim", "clouds", "--port", str(first), "--seed", "7", "--json", *arguments], folder)
    try:
        command.wait_for(ready="sim-admin")
        local = "http://127.0.0.1"
        yield Clouds(
            openai=f"{local}:{first}/v1",
            bedrock=f"{local}:{first + 1}",
            sagemaker=f"{local}:{first + 2}",
            sts=f"{local}:{first + 3}",
            admin=f"{local}:{first + 9}",
            anthropic=f"{local}:{first + 10}",
            gemini=f"{local}:{first + 11}",
            vertex=f"{local}:{first + 12}",
            azure=f"{local}:{first + 13}",
            tokens=f"{local}:{first + 14}",
            entra=f"https://127.0.0.1:{first + 15}",
            cohere=f"{local}:{first + 16}",
        )
    finally:
        command.stop()


@contextlib.contextmanager
def running_deployment(
    folder: Path,
    config: str,
    environment: dict[str, str],
    cert: Path | None = None,
    control: str = "",
) -> Iterator[Deployment]:
    """`config` without its `gateway` and `control` sections, which get free ports here.

    `cert`: what the data port shows, with its key beside it. `control`: more of that section, in YAML.
    """
    first = free_ports(3)
    path = folder / "crossfade.yaml"
    tls = f", tls: {{cert: '{cert}', key: '{cert.with_suffix('.key')}'}}" if cert else ""
    url = f"{'https' if cert else 'http'}://127.0.0.1:{first}"
    path.write_text(
        f"gateway: {{listen: '127.0.0.1:{first}', admin: '127.0.0.1:{first + 1}'{tls}}}\n"
        f"control: {{listen: '127.0.0.1:{first + 2}'{control and ', '}{control}}}\n" + config
    )
    state = folder / "state"
    command = Command(["up", "--config", str(path), "--state", str(state), "--json"], folder, environment)
    try:
        pids = {}
        while len(pids) < 2:
            ready = command.wait_for(ready={"control", "gateway"} - set(pids))
            pids[ready["ready"]] = ready["pid"]
        wait_until_served(f"{url}/health/readiness", cert)
        yield Deployment(
            url=url,
            admin=f"http://127.0.0.1:{first + 1}",
            control=f"http://127.0.0.1:{first + 2}",
            config=path,
            state=state,
            command=command,
            control_pid=pids["control"],
            gateway_pid=pids["gateway"],
        )
    finally:
        command.stop()
