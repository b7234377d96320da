"""flagd's own evaluation of its own definition file as the external flag system, over OFREP."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from crossfade.config.shape.control import FlagsSection
from crossfade.control.flags import FlagBook, reader_of

FOLDER = Path(__file__).parents[2] / "flagd"
NAME = "crossfade.move"
OURS = {"==": [{"var": "targetingKey"}, NAME]}


class Flagd:
    """A running one, and its definition file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.define()
        self.process = subprocess.Popen(
            ["node", FOLDER / "server.mjs", file], stdout=subprocess.PIPE, text=True
        )
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def define(self, chosen: str = "all", *, state: str = "ENABLED") -> None:
        """Its operator chooses a variant for the migration; everyone else has `none`."""
        flag = {
            "state": state,
            "variants": {"all": 1.0, "quarter": 0.25, "none": 0.0},
            "defaultVariant": "none",
            "targeting": {"if": [OURS, chosen, "none"]},
        }
        self.file.write_text(json.dumps({"flags": {NAME: flag}}))

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def flagd(tmp_path):
    if not shutil.which("node") or not (FOLDER / "node_modules").is_dir():
        pytest.skip("flagd's evaluation is not installed (hint: make test)")
    running = Flagd(tmp_path / "flags.json")
    yield running
    running.end()


async def test_a_rollout_follows_flagd_up_to_its_bound_and_back_when_it_turns_the_flag_off(world, flagd):
    book = FlagBook(reader_of(FlagsSection(ofrep=flagd.url)))
    world.clouds.bound = book.bound

    async def turns(count):
        for _ in range(count):
            await book.look()
            await world.turns(1)
        return await world.service.status("move")

    flagd.define("quarter")
    await world.signed()
    status = await turns(200)
    assert (status["share"], status["next_reason"]) == (0.25, "the flag allows 25%")

    flagd.define("all", state="DISABLED")
    status = await turns(5)
    assert (status["share"], status["next_reason"]) == (0.25, "the flag system cannot be read")
    flagd.end()
    assert (await turns(5))["share"] == 0.25, "nor is a flag system that is gone a reason to move"
    assert "ConnectError" in book.bounds["move"].lost


async def test_a_variant_of_nothing_in_flagd_is_a_kill_switch(world, flagd):
    book = FlagBook(reader_of(FlagsSection(ofrep=flagd.url)))
    world.clouds.bound = book.bound
    await world.signed()
    for _ in range(100):
        await book.look()
        await world.turns(1)
    assert (await world.service.status("move"))["share"] > 0.0

    flagd.define("none")
    await book.look()
    await world.turns(3)
    status = await world.service.status("move")
    assert (status["share"], status["rolled_back"]) == (0.0, "the flag allows 0%")
