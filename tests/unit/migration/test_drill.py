from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from crossfade.control.flags import FlagBook
from crossfade.control.migration.collecting.drill import DrillParts, run_drill
from crossfade.control.migration.ports import CollectError, Task
from crossfade.domain.attempt import FeatureEffect
from crossfade.domain.evidence import EvidenceKind, Verdict
from crossfade.domain.migration import GatewayView


@dataclass
class Gateway:
    """One obedient gateway in virtual time; publications take `takes_s`."""

    now: float = 100.0
    takes_s: float = 0.2
    deaf_at: float | None = None
    ignores_kill: bool = False
    shares: list[float] = field(default_factory=list)
    killed: bool = False
    kills: list[bool] = field(default_factory=list)
    there: bool = True
    is_cut_off: bool = False
    is_missed: bool = True
    withheld: float | None = None
    catches_up: bool = True
    obeys_alone: bool = True
    flags: FlagBook = field(default_factory=lambda: FlagBook(None))

    async def publish(self, change, *, actor, reason):
        share = change["recap"].rollout.share
        assert change["recap"].shadow is None
        if self.is_cut_off:
            self.withheld = share
            self.now += 5.0
            return SimpleNamespace(verified=not self.is_missed, missing=("g1",) * self.is_missed, version=9)
        self.shares.append(share)
        self.now += self.takes_s
        is_deaf = self.deaf_at == share and len(self.shares) > 1
        return SimpleNamespace(
            verified=not is_deaf, missing=("g1",) if is_deaf else (), version=len(self.shares)
        )

    def views(self, features):
        if not self.there:
            return ()
        effects = tuple(
            FeatureEffect(f, 0.0 if self.killed else self.shares[-1], 1, None, self.killed) for f in features
        )
        return (GatewayView("g1", 0.1, effects),)

    def names(self):
        return ("g1",)

    async def kill(self, gateway, feature, *, is_killed):
        self.kills.append(is_killed)
        self.killed = is_killed and not self.ignores_kill

    async def share(self, gateway, feature):
        return 0.0 if self.killed and (self.obeys_alone or not self.is_cut_off) else self.shares[-1]

    async def cut(self, gateway, feature):
        return 0

    def cut_off(self, gateways):
        self.is_cut_off = "g1" in gateways

    def heal(self):
        self.is_cut_off = False
        if self.withheld is not None and self.catches_up:
            self.shares.append(self.withheld)
        self.withheld = None

    async def pause(self, seconds):
        self.now += seconds


def walk(world, gateway):
    gateway.shares.append(0.0)
    parts = DrillParts(gateway, gateway, gateway, gateway, gateway.flags, lambda: gateway.now, gateway.pause)
    task = Task(
        spec=replace(world.SPEC, features=("recap",)),
        kind=EvidenceKind.DRILL,
        subject="move",
        fingerprint=world.PRINT,
        endpoints=("new-1",),
        since_unix_s=0.0,
        salt="salt",
        epoch=1,
        report=lambda _: None,
    )
    return asyncio.run(run_drill(parts, task))


def test_walks_up_and_down_and_times_the_way_back(world):
    gateway = Gateway()
    result = walk(world, gateway)
    assert gateway.shares[1:] == [0.0, 0.01, 0.0, 0.01, 0.0]
    assert result.verdict is Verdict.PASS
    assert result.observed["seconds_to_zero"] == pytest.approx(0.2)
    assert result.observed["kill_switch_s"].keys() == {"g1"}
    assert not gateway.killed
    assert not gateway.is_cut_off
    assert [case["name"] for case in result.observed["cases"]] == [
        "kill switch",
        "one gateway cut off",
        "control dead",
    ]


def test_with_a_flag_system_the_way_back_is_walked_without_it(world):
    gateway = Gateway(flags=FlagBook(lambda _: None))
    result = walk(world, gateway)
    assert gateway.shares[1:5] == [0.0, 0.01, 0.0, 0.01]
    assert result.observed["cases"][0]["name"] == "flag system unreachable"
    assert not gateway.flags.is_cut_off


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_missed": False}, "g1 was cut off and not missed"),
        ({"catches_up": False}, "g1 did not catch up"),
        ({"obeys_alone": False}, "g1 without control: recap at 1% then 1%, not 1% then 0%"),
    ],
)
def test_a_gateway_that_misbehaves_without_control_fails_the_drill_and_ends_healed_at_zero(
    world, change, said
):
    gateway = Gateway(**change)
    with pytest.raises(CollectError, match=said):
        walk(world, gateway)
    assert not gateway.is_cut_off
    assert not gateway.killed
    assert gateway.shares[-1] == 0.0


def test_a_slow_way_back_fails(world):
    assert walk(world, Gateway(takes_s=6.0)).verdict is Verdict.FAIL


def test_a_gateway_that_does_not_follow_ends_the_drill_at_zero(world):
    gateway = Gateway(deaf_at=0.01)
    with pytest.raises(CollectError, match="g1 did not follow"):
        walk(world, gateway)
    assert gateway.shares[-1] == 0.0


def test_a_kill_switch_without_effect_is_no_drill_and_is_released(world):
    gateway = Gateway(ignores_kill=True)
    with pytest.raises(CollectError, match="does not show the features killed"):
        walk(world, gateway)
    assert gateway.kills == [True, False]
    assert gateway.shares[-1] == 0.0


def test_no_gateway_no_drill(world):
    with pytest.raises(CollectError, match="no gateway"):
        walk(world, Gateway(there=False))


def test_asks_nothing_of_a_gateway_that_is_gone(world):
    class Remembered(Gateway):
        def names(self):
            return ("gone", "g1")

        async def kill(self, gateway, feature, *, is_killed):
            assert gateway == "g1"
            await super().kill(gateway, feature, is_killed=is_killed)

    assert walk(world, Remembered()).observed["kill_switch_s"].keys() == {"g1"}
