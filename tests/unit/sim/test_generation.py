"""An endpoint at work: the queue, what is billed, what a caller who leaves has used."""

from __future__ import annotations

import asyncio

import pytest

from crossfade.sim.config import InstancesConfig, LatencyConfig, ModelConfig, ModelUnitsConfig
from crossfade.sim.endpoints.generation import Ask, Endpoint, RefusedError


def endpoint(**capacity: float) -> Endpoint:
    model = ModelConfig(
        cloud="sagemaker",
        id="m",
        capacity=InstancesConfig(kind="instances", **capacity),
        latency=LatencyConfig(first_ms=100, per_token_ms=1, sigma=0),
    )
    return Endpoint(model, seed=1, time_scale=0, now=asyncio.get_running_loop().time())


def ask(name: str) -> Ask:
    return Ask(name, "unary", ("Ana paid 7 coins for bread.",), "Ana paid 7 coins for bread.", 200)


async def test_the_queue_serves_in_order_of_arrival():
    served: list[str] = []
    place = endpoint(instances=1, slots=1)
    release = asyncio.Event()

    async def call(name: str) -> None:
        async with place.generate(ask(name), None, 0.0) as generation:
            served.append(name)
            await release.wait()
            await generation.whole()

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(call(name))
            await asyncio.sleep(0)
        assert served == ["a"]
        release.set()

    assert served == ["a", "b", "c"]
    assert place.bill.outcomes == {"completed": 3}


async def test_a_caller_who_leaves_the_queue_frees_his_place_and_is_not_billed():
    place = endpoint(instances=1, slots=1)
    async with place.generate(ask("a"), None, 0.0):

        async def call() -> None:
            async with place.generate(ask("b"), None, 0.0):
                raise AssertionError

        waiting = asyncio.create_task(call())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not place.load.waiting

    assert place.bill.requests == 1


async def test_a_place_comes_free_when_instances_are_added():
    place = endpoint(instances=0, slots=1)

    async def call() -> None:
        async with place.generate(ask("a"), None, 0.0) as generation:
            await generation.whole()

    waiting = asyncio.create_task(call())
    await asyncio.sleep(0)
    place.resize(1)
    await waiting

    assert place.bill.outcomes == {"completed": 1}


async def test_a_full_queue_refuses_and_bills_nothing():
    place = endpoint(instances=0, slots=1, queue_limit=0)

    with pytest.raises(RefusedError):
        async with place.generate(ask("a"), None, 0.0):
            raise AssertionError

    assert place.bill.requests == 0


async def test_an_answer_abandoned_midway_uses_only_what_was_said_and_refunds_the_rest():
    units = ModelUnitsConfig(kind="model_units", units=1, input_tpm=60_000, output_tpm=60_000, window_s=1)
    place = Endpoint(
        ModelConfig(cloud="bedrock", id="m", capacity=units),
        seed=1,
        time_scale=0,
        now=asyncio.get_running_loop().time(),
    )
    async with place.generate(ask("a"), None, 0.0) as generation:
        pieces = generation.pieces()
        said = [await anext(pieces) for _ in range(3)]
        await pieces.aclose()

    used = -(-len("".join(piece.text for piece in said).encode()) // 4)
    assert place.bill.output_tokens == used
    assert place.bill.outcomes == {"interrupted": 1}
    assert place.load.output.level >= 1000 - used


async def test_unit_hours_are_counted_at_the_units_of_the_time():
    place = endpoint(instances=2)
    bill = place.bill
    start = bill.opened_s

    bill.resize(4, start + 3600)

    assert bill.report(start + 5400)["unit_hours"] == pytest.approx(2 + 2)
