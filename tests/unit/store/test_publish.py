"""A publication counts when every gateway's engine shows it, not when it is acknowledged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from crossfade.config.load import load_text
from crossfade.control.publish import WAIT_FOR_ACKS_S, Extra, Publisher
from crossfade.control.records.counters import CounterBoard
from crossfade.control.store.eventlog import EventLog
from crossfade.domain.attempt import Ack, FeatureEffect
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.route import Signal, Target
from crossfade.domain.snapshot import Rollout

CONFIG = """
providers:
  lab: {kind: openai-compatible, base_url: "http://127.0.0.1:9/v1", auth: {method: none}}
endpoints: {a: {provider: lab, model: a}, b: {provider: lab, model: b}}
pools: {old: {endpoints: [a]}, new: {endpoints: [b]}}
features: {recap: {hierarchy: [old]}}
"""
UP = FeatureOverlay(Rollout("move", 1, "salt", 0.25, 0.25, Target("new", {}), 5, 20), None, ("b",))


@pytest.fixture
async def place(tmp_path):
    now = [1000.0]
    board = CounterBoard(lambda: now[0])
    log = await EventLog.open(f"sqlite:///{tmp_path}/control.db", lambda: now[0])
    publisher = Publisher(
        load_text(CONFIG, "crossfade.yaml").config, Extra((), lambda _: {}), log, board, "token"
    )
    await publisher.restore()
    publisher._clock = lambda: now[0]

    async def wait(timeout_s):
        """Time passes, and every gateway goes on saying what it does."""
        now[0] += timeout_s
        for state in board.gateways():
            board.acknowledge(Ack(state.name, state.snapshot_version, 1, tuple(state.effects.values())))

    board.wait = wait
    yield SimpleNamespace(publisher=publisher, board=board, now=now, log=log)
    await log.close()


def says(place, name, share, version, *, killed=False):
    place.board.acknowledge(Ack(name, version, 1, (FeatureEffect("recap", share, 1, None, killed),)))


@pytest.mark.parametrize(
    ("share", "killed", "is_verified"), [(0.25, False, True), (0.0, False, False), (0.0, True, True)]
)
async def test_a_gateway_that_acknowledges_and_does_not_apply_is_missing(place, share, killed, is_verified):
    version = place.publisher.snapshot.version + 1
    says(place, "g1", 0.25, version)
    says(place, "g2", share, version, killed=killed)
    result = await place.publisher.publish({"recap": UP}, actor="test", reason="test")

    assert result.version == version
    assert result.verified is is_verified
    assert result.missing == (() if is_verified else ("g2",))
    assert result.elapsed_s <= WAIT_FOR_ACKS_S + 0.5


async def test_a_gateway_that_keeps_the_candidate_after_a_rollback_is_named(place):
    await place.publisher.publish({"recap": UP}, actor="test", reason="up")
    version = place.publisher.snapshot.version + 1
    says(place, "g1", 0.25, version)
    result = await place.publisher.publish({"recap": None}, actor="test", reason="back")

    assert (result.verified, result.missing) == (False, ("g1",))


async def test_a_control_that_has_just_started_waits_for_the_first_gateway_it_hears_of(place):
    place.publisher._restored_s = place.now[0]
    version = place.publisher.snapshot.version + 1

    async def wait(timeout_s):
        place.now[0] += timeout_s
        if place.now[0] > 1001.0:
            says(place, "g1", 0.25, version)

    place.board.wait = wait
    result = await place.publisher.publish({"recap": UP}, actor="test", reason="test")
    assert (result.acknowledged, result.verified) == (("g1",), True)
    assert 1.0 <= result.elapsed_s < WAIT_FOR_ACKS_S


async def test_without_any_gateway_nobody_is_waited_for_for_ever(place):
    place.publisher._restored_s = place.now[0]
    result = await place.publisher.publish({"recap": UP}, actor="test", reason="test")
    assert result.acknowledged == ()
    assert result.elapsed_s <= WAIT_FOR_ACKS_S + 0.5

    place.now[0] += 60.0
    result = await place.publisher.publish({"recap": None}, actor="test", reason="test")
    assert result.elapsed_s == 0.0


async def test_a_gateway_that_falls_silent_meanwhile_has_not_followed(place):
    place.board.acknowledge(Ack("g1", 1, 1, ()))

    async def wait(timeout_s):
        place.now[0] += timeout_s

    place.board.wait = wait
    result = await place.publisher.publish({"recap": UP}, actor="test", reason="test")

    assert (result.verified, result.missing) == (False, ("g1",))


async def test_a_cut_off_gateway_is_neither_heard_nor_forgotten(place):
    version = place.publisher.snapshot.version + 1
    says(place, "g1", 0.0, version - 1)
    place.board.cut_off(["g1"])
    says(place, "g1", 0.25, version)
    result = await place.publisher.publish({"recap": UP}, actor="test", reason="test")
    assert result.missing == ("g1",)

    place.board.heal()
    says(place, "g1", 0.25, version)
    assert (await place.publisher.publish({"recap": UP}, actor="test", reason="test")).verified


async def test_signals_are_logged_before_they_are_told_and_survive_a_restart(place):
    told = {"recap": (Signal("a", 0.25, 5000, "users like it less"), Signal("gone", 0.5, 5000, "of old"))}
    await place.publisher.signal(told, actor="control", reason="feedback")
    assert place.publisher.snapshot.features["recap"].signals == told["recap"][:1], "only what is configured"
    version = place.publisher.snapshot.version
    again = Publisher(place.publisher.config, Extra((), lambda _: {}), place.log, place.board, "token")
    await again.restore()
    assert (again.signals, again.snapshot.version) == (told, version)


async def test_what_was_laid_before_a_publication_is_not_what_is_laid_after_it(place):
    before = place.publisher.overlays()
    says(place, "g", 0.25, place.publisher.snapshot.version + 1)
    await place.publisher.publish({"recap": UP}, actor="a", reason="r")
    assert (dict(before), place.publisher.overlays()) == ({}, {"recap": UP})
