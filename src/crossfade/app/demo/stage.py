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
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from crossfade.app.demo.story import Story
from crossfade.sim.clouds import OFFSETS

LOCAL = "http://127.0.0.1"
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 45.0
FIRST_PORTS = {"gateway_port": 4000, "admin_port": 4001, "control_port": 4100, "clouds_port": 4200}
CLOUD_PORTS = 1 + max(OFFSETS.values())  # the clouds use the first port and others behind it
REAL_MODEL_PORT = 4300
SCENE = resources.files("crossfade.app.demo") / "scene"
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
    """Written files and addresses. `clouds`: the clouds' admin API; `migration`: the migration's file.

    `real_model_port`: where the true model shall listen, null where the story has none.
    """

    folder: Path
    gateway: str
    control: str
    clouds: str
    migration: Path
    real_model_port: int | None

    @property
    def config(self) -> Path:
        """The deployment's config file."""
        return self.folder / "crossfade.yaml"

    @property
    def state(self) -> Path:
        """The deployment's state folder."""
        return self.folder / "state"


def write_stage(folder: Path, pace: Pace, story: Story) -> Stage:
    """Write the scene's files into `folder`, on the usual ports where they are free."""
    ports: dict[str, int] = {}
    for name, first in FIRST_PORTS.items():
        count = CLOUD_PORTS if name == "clouds_port" else 1
        ports[name] = _free_port(
            max(first, *(port + 1 for port in ports.values() if port >= first), 0), count
        )
    real_model_port = _free_port(REAL_MODEL_PORT, 1) if story.has_real_model else None
    values = {
        **_addresses(ports["clouds_port"]),
        **{name: str(port) for name, port in ports.items()},
        "real_model_url": f"{LOCAL}:{real_model_port}/v1",
        "seed": str(pace.seed),
        "time_scale": f"{1 / pace.speed:g}",
        "contract": str(folder / "contract.yaml"),
        "warmup": pace.seconds(2),
        "probe": pace.seconds(8),
        "bake": pace.seconds(5),
        "soak": pace.seconds(3),
    }

    def fill(file: str) -> str:
        return string.Template((SCENE / file).read_text(encoding="utf-8")).substitute(values)

    files = {file: fill(file) for file in ("clouds.yaml", "contract.yaml", "crossfade.yaml", story.file)}
    if story.has_real_model:
        files["crossfade.yaml"] = _merge(files["crossfade.yaml"], fill("real-model.yaml"))
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return Stage(
        folder=folder,
        gateway=f"{LOCAL}:{ports['gateway_port']}",
        control=f"{LOCAL}:{ports['control_port']}",
        clouds=values["admin_url"],
        migration=folder / story.file,
        real_model_port=real_model_port,
    )


def _addresses(clouds_port: int) -> dict[str, str]:
    """Where the simulated clouds listen, each at its place behind the first port."""
    places = {"openai_url": "/v1", "bedrock_url": "", "sagemaker_url": "", "sts_url": ""}
    found = {name: f"{LOCAL}:{clouds_port + n}{path}" for n, (name, path) in enumerate(places.items())}
    return {**found, "admin_url": f"{LOCAL}:{clouds_port + 9}"}


def _merge(config: str, more: str) -> str:
    """The sections of one config file with the entries of another added to them."""
    document = yaml.safe_load(config)
    for section, entries in yaml.safe_load(more).items():
        document[section].update(entries)
    return yaml.safe_dump(document, sort_keys=False)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[None]:
    """The clouds and the deployment, ready to serve; all are stopped at the end."""
    clouds = ("crossfade", "sim", "clouds", "--config", str(stage.folder / "clouds.yaml"), "--json")
    deployment = ("crossfade", "up", "--config", str(stage.config), "--state", str(stage.state), "--json")
    async with AsyncExitStack() as children:
        if stage.real_model_port is not None:
            model = ("crossfade.app.demo.real_model", str(stage.real_model_port))
            await children.enter_async_context(_child(stage.folder, "real-model", model, {"real-model"}))
        await children.enter_async_context(_child(stage.folder, "clouds", clouds, {"sim-admin"}))
        await children.enter_async_context(_child(stage.folder, "up", deployment, {"control", "gateway"}))
        yield


@asynccontextmanager
async def _child(folder: Path, name: str, module: tuple[str, ...], wanted: set[str]) -> AsyncIterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *module,
            stdout=asyncio.subprocess.PIPE, stderr=log, env={**os.environ, **SECRETS},
            start_new_session=True,  # a Ctrl-C reaches the demo, which stops its children in order
        )  # fmt: skip
        drain: asyncio.Task[None] | None = None
        try:
            try:
                await asyncio.wait_for(_until_ready(process, wanted), READY_WITHIN_S)
            except (TimeoutError, StageError) as error:
                said = (folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise StageError(f"{name} did not start: {error}\n{said}") from None
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
