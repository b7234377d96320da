"""Random events, calls and crashes never lead a request to a candidate without its evidence.

The oracle below knows nothing of the gates' code: at each publication it reads the records that lie
there and the candidate's fingerprint, and says by itself whether so much exposure is justified.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from crossfade.control.migration import gates
from crossfade.control.migration.history import Verb
from crossfade.control.migration.ports import CollectError
from crossfade.control.migration.service import RefusedError
from crossfade.domain.evidence import APPROVALS, EvidenceKind, Verdict
from crossfade.domain.migration import GateVerdict

KINDS = [kind for kind in EvidenceKind if kind not in APPROVALS]
STEPS = 60


class Watch:
    """Every publication, judged when it is made."""

    def __init__(self, world):
        self.world = world
        self.broken = []
        self.raised = 0
        self.highest = 0.0
        publish = world.clouds.publish

        async def watched(change, *, actor, reason):
            for overlay in change.values():
                self.judge(overlay, reason)
            return await publish(change, actor=actor, reason=reason)

        world.clouds.publish = watched

    def judge(self, overlay, reason):
        present = self.world.clouds.laid.get("recap")
        share = overlay.rollout.share if overlay is not None and overlay.rollout is not None else 0.0
        before = present.rollout.share if present is not None and present.rollout is not None else 0.0
        if overlay is not None and present is None and not self.is_compliant():
            self.broken.append(f"eligible without compliance: {reason}")
        if share > before:
            self.raised += 1
            self.highest = max(self.highest, share)
            if not self.is_proven(first=before == 0.0):
                self.broken.append(f"share {share} without evidence: {reason}")

    def counts(self, signed):
        record, world = signed.evidence, self.world
        return (
            signed.valid
            and record.migration == "move"
            and record.fingerprint == world.clouds.print
            and record.collected_unix_s <= world.clouds.now + 300.0 < record.expires_unix_s + 300.0
        )

    def newest(self, kind, role=None):
        found = [
            signed.evidence
            for signed in self.world.clouds.records
            if self.counts(signed)
            and signed.evidence.kind is kind
            and (role is None or signed.evidence.observed.get("role") == role)
        ]
        return max(found, key=lambda record: record.collected_unix_s, default=None)

    def passes(self, kind, role=None):
        record = self.newest(kind, role)
        return record is not None and record.verdict is Verdict.PASS

    def is_compliant(self):
        return self.passes(EvidenceKind.POSTURE) and all(
            any(
                self.counts(signed)
                and signed.evidence.kind is EvidenceKind.SIGNOFF
                and signed.evidence.observed.get("role") == role
                and signed.evidence.verdict is Verdict.PASS
                for signed in self.world.clouds.records
            )
            for role in ("legal", "security")
        )

    def is_proven(self, *, first):
        drill = self.newest(EvidenceKind.DRILL)
        is_fresh = drill is not None and self.world.clouds.now - drill.collected_unix_s <= 7 * 86400.0
        return self.is_compliant() and all(self.passes(kind) for kind in KINDS) and (is_fresh or not first)


async def turns(world, draw):
    await world.turns(draw.randint(1, 12))


async def sign(world, draw):
    role, person = draw.choice(["legal", "security", "visitor"]), draw.choice(["Ann", "Bo"])
    try:
        await world.service.sign("move", role=role, person=person, statement="approved")
    except (CollectError, RefusedError):  # nobody asks for a visitor's; and it may be closed
        return


async def spoiled(world, draw):
    """A record that must not count, or one that is only forged."""
    clouds = world.clouds
    record = clouds.add(draw.choice(KINDS), draw.choice(["recap", "new", "move"]), clouds.print, {})
    spoil = draw.choice(
        [
            {"fingerprint": "e" * 64},
            {"expires_unix_s": clouds.now - 1.0},
            {"migration": "another"},
            {"verdict": Verdict.FAIL},
            {"verdict": Verdict.INCONCLUSIVE},
            {"collected_unix_s": clouds.now + 4000.0},
            {},
        ]
    )
    clouds.records[-1] = replace(record, evidence=replace(record.evidence, **spoil), valid=bool(spoil))


async def drift(world, draw):
    world.clouds.print = draw.choice(["f" * 64, "0" * 64])


async def clock(world, draw):
    world.clouds.now += draw.choice([-3600.0, 60.0, 3600.0, 86400.0, 8 * 86400.0])


async def command(world, draw):
    try:
        await world.service.command("move", draw.choice(list(Verb)), actor="ann", reason="random")
    except RefusedError:
        return


async def rollback(world, draw):
    try:
        await world.service.roll_back("move", actor="ann", reason="random")
    except RefusedError:
        return


async def mood(world, draw):
    """Gateways that do not follow or fall silent, a bad candidate, broken collectors, bad verdicts."""
    clouds = world.clouds
    clouds.deaf, clouds.silent_s = draw.random() < 0.2, draw.choice([0.5, 0.5, 0.5, 7.0, 90.0])
    clouds.bad_share = draw.choice([0.0, 0.0, 0.0, 0.3])
    clouds.local = draw.choice([None, None, None, "5 of the first 20 failed"])
    clouds.broken = {kind for kind in KINDS if draw.random() < 0.1}
    clouds.verdicts = {kind: draw.choice(list(Verdict)) for kind in KINDS if draw.random() < 0.1}
    if not clouds.deaf:
        clouds.shown = dict(clouds.laid)


async def crash(world, draw):
    """Control dies at a random line of the log, or within a publication, and comes back."""
    world.log.dies_after = len(world.log.lines) + draw.randint(0, 3)
    world.clouds.die_in_publish = draw.random() < 0.3
    try:
        for _ in range(5):
            await world.turns(1)
    except BaseException as death:
        if type(death).__name__ != "Killed":
            raise
    world.log.dies_after, world.clouds.die_in_publish = None, False
    world.restart()


EVENTS = {
    turns: 50, sign: 14, spoiled: 6, drift: 3, clock: 4, command: 10, rollback: 2, crash: 5, mood: 6,
}  # fmt: skip


async def play(make_world, seed, steps=STEPS):
    draw = random.Random(seed)
    world = await make_world(seed)
    watch = Watch(world)
    if draw.random() < 0.7:
        await world.signed()
    else:
        await world.started()
    for _ in range(steps):
        happens = draw.choices(list(EVENTS), weights=list(EVENTS.values()))[0]
        await happens(world, draw)
        if watch.broken:
            break
    await asyncio.sleep(0)
    return watch


@pytest.mark.parametrize("block", range(4))
async def test_no_sequence_of_events_calls_and_crashes_reaches_traffic_without_evidence(make_world, block):
    watches = [await play(make_world, 100 * block + number) for number in range(5)]
    assert [watch.broken for watch in watches] == [[]] * 5


async def test_the_sequences_reach_traffic_at_all(make_world):
    highest = [(await play(make_world, seed)).highest for seed in range(6)]
    assert max(highest) >= 0.25


@pytest.mark.parametrize("gate", ["decide_compliance", "decide_parity", "decide_drill"])
async def test_a_gate_that_always_passes_is_found_out(make_world, monkeypatch, gate):
    monkeypatch.setattr(gates, gate, lambda *_: GateVerdict(gate, Verdict.PASS, "broken on purpose"))
    for seed in range(40):
        if (await play(make_world, seed)).broken:
            return
    raise AssertionError("the oracle never noticed")
