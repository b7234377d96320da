"""Where the demo happens: files written from `scene/`, and the product's own processes started on them.

Nothing here is special to the demo's insides: `crossfade sim clouds` and `crossfade up` run as a
user would start them, each from its command line.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import string
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 45.0
FIRST_PORTS = {"gateway_port": 4000, "admin_port": 4001, "control_port": 4100, "clouds_port": 4200}
CLOUD_PORTS = 16  # the clouds use the first port and fifteen behind it
SECRETS = {
    # of the simulated accounts, known to everybody
    "CROSSFADE_DEMO_KEY": "sk-sim",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_REGION": "us-east-1",
}


class StageError(Exception):
    """A part did not start; the message says which and what it said."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the story goes: `speed` divides bakes and the clouds' latencies."""

    seed: int
    speed: float

    def seconds(self, at_speed_one: float) -> str:
        """A duration of the story as the config writes it."""
        return f"{max(1, round(1000 * at_speed_one / self.speed))}ms"


@dataclass(frozen=True, slots=True)
class Stage:
    """Written files and addresses. `clouds`: the clouds' admin API."""

    folder: Path
    gateway: str
    control: str
    clouds: str

    @property
    def config(self) -> Path:
        """The deployment's config file."""
        return self.folder / "crossfade.yaml"

    @property
    def state(self) -> Path:
        """The deployment's state folder."""
        return self.folder / "state"

    @property
    def migration(self) -> Path:
        """The migration's file."""
        return self.folder / "recap-to-bedrock.yaml"


def write_stage(folder: Path, pace: Pace) -> Stage:
    """Write the scene's files into `folder`, on the usual ports where they are free."""
    ports: dict[str, int] = {}
    for name, first in FIRST_PORTS.items():
        count = CLOUD_PORTS if name == "clouds_port" else 1
        ports[name] = _free_port(
            max(first, *(port + 1 for port in ports.values() if port >= first), 0), count
        )
    local = "http://127.0.0.1"
    clouds = ports["clouds_port"]
    values = {
        **{name: str(port) for name, port in ports.items()},
        "seed": str(pace.seed),
        "time_scale": f"{1 / pace.speed:g}",
        "openai_url": f"{local}:{clouds}/v1",
        "bedrock_url": f"{local}:{clouds + 1}",
        "sagemaker_url": f"{local}:{clouds + 2}",
        "sts_url": f"{local}:{clouds + 3}",
        "admin_url": f"{local}:{clouds + 9}",
        "contract": str(folder / "contract.yaml"),
        "warmup": pace.seconds(2),
        "probe": pace.seconds(8),
        "bake": pace.seconds(5),
        "soak": pace.seconds(3),
    }
    scene = resources.files("crossfade.app.demo") / "scene"
    for file in ("clouds.yaml", "contract.yaml", "crossfade.yaml", "recap-to-bedrock.yaml"):
        text = string.Template((scene / file).read_text(encoding="utf-8")).substitute(values)
        (folder / file).write_text(text, encoding="utf-8")
    return Stage(
        folder,
        f"{local}:{ports['gateway_port']}",
        f"{local}:{ports['control_port']}",
        f"{local}:{clouds + 9}",
    )


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[None]:
    """The clouds and the deployment, ready to serve; both are stopped at the end."""
    clouds = ("sim", "clouds", "--config", str(stage.folder / "clouds.yaml"), "--json")
    deployment = ("up", "--config", str(stage.config), "--state", str(stage.state), "--json")
    async with (
        _child(stage.folder, clouds, {"sim-admin"}),
        _child(stage.folder, deployment, {"control", "gateway"}),
    ):
        yield


@asynccontextmanager
async def _child(folder: Path, arguments: tuple[str, ...], wanted: set[str]) -> AsyncIterator[None]:
    name = arguments[0]
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "crossfade", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=log, env={**os.environ, **SECRETS},
            start_new_session=True,  # a Ctrl-C reaches the demo, which stops its children in order
        )  # fmt: skip
        drain: asyncio.Task[None] | None = None
        try:
            try:
                await asyncio.wait_for(_until_ready(process, wanted), READY_WITHIN_S)
            except (TimeoutError, StageError) as error:
                said = (folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise StageError(f"`crossfade {name}` did not start: {error}\n{said}") from None
            drain = asyncio.create_task(_drain(process))
            yield
        finally:
            await _stop(process)
            if drain is not None:
                await drain


async def _until_ready(process: asyncio.subprocess.Process, wanted: set[str]) -> None:
    left = set(wanted)
    while left and process.stdout is not None:
        line = await process.stdout.readline()
        if not line:
            raise StageError("it ended")
        message: Any = json.loads(line) if line.startswith(b"{") else {}
        left.discard(str(message.get("ready")))


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Read on, so that a talkative child never waits for us."""
    while process.stdout is not None and await process.stdout.read(65536):
        pass


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port(first: int, count: int) -> int:
    """`first` if it and the `count - 1` ports behind it are free, else the next such run above it."""
    for start in range(first, first + 2000, count):
        if all(_is_free(port) for port in range(start, start + count)):
            return start
    raise StageError(f"no free ports from {first} on")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
