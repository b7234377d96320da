"""The stories of `spec/histories`, played in memory; set CROSSFADE_WRITE_HISTORIES to record them anew."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from crossfade.control.migration.history import Verb
from crossfade.domain.evidence import EvidenceKind, Verdict

FOLDER = Path(__file__).parents[3] / "spec" / "histories"


async def straight_through(world):
    await world.signed()
    await world.until("promoted")
    await world.service.command("move", Verb.CLOSE, actor="ann", reason="done")
    await world.until("closed")


async def rolled_back_and_resumed(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.bad_share = 0.2
    await world.until("rolled_back")
    world.clouds.bad_share = 0.0
    await world.service.command("move", Verb.RESUME, actor="ann", reason="mended")
    await world.until("promoted")


async def drifted(world):
    await world.signed()
    await world.until_share(0.01)
    world.clouds.print = "0" * 64
    await world.until("rolled_back")
    await world.service.command("move", Verb.RESUME, actor="ann", reason="terms changed, signing again")
    await world.turns(5)
    for role, person in (("legal", "Ann"), ("security", "Bo")):
        await world.service.sign("move", role=role, person=person, statement="approved again")
    await world.until_share(0.25)


async def failed_quality(world):
    world.clouds.verdicts = {EvidenceKind.QUALITY_PARITY: Verdict.INCONCLUSIVE}
    await world.signed()
    await world.turns(20)
    world.clouds.verdicts = {EvidenceKind.QUALITY_PARITY: Verdict.FAIL}
    await world.turns(40)
    world.clouds.verdicts = {}
    await world.service.command("move", Verb.RESUME, actor="ann", reason="new prompt")
    await world.until_share(0.01)
    world.clouds.local = "5 HARD of the first 20"
    await world.until("rolled_back")


STORIES = {
    "straight-through": straight_through,
    "rolled-back-and-resumed": rolled_back_and_resumed,
    "drifted": drifted,
    "failed-quality-then-dead-candidate": failed_quality,
}


@pytest.mark.parametrize("name", sorted(STORIES))
async def test_story_takes_the_recorded_turns(world, name):
    await STORIES[name](world)
    path = FOLDER / f"{name}.json"
    if os.environ.get("CROSSFADE_WRITE_HISTORIES"):
        path.write_text(json.dumps(recorded(world), indent=1, sort_keys=True) + "\n")
    told = [_told(line) for line in json.loads(path.read_text())["lines"]]
    assert [_told(line) for line in recorded(world)["lines"]] == told


def recorded(world):
    keep = ("stream_seq", "kind", "payload", "actor", "reason", "unix_s")
    return {
        "evidence": {signed.evidence.evidence_id: asdict(signed) for signed in world.clouds.records},
        "lines": [{name: getattr(line, name) for name in keep} for line in world.log.lines],
    }


def _told(line):
    return line["kind"], line["payload"].get("action"), line["payload"].get("share")
