"""Business metrics as guards of a whole rollout, in virtual time."""

from __future__ import annotations

import pytest

from crossfade.control.migration.guard.samples import Sample
from crossfade.control.migration.ports import Candidate
from crossfade.control.migration.service import RefusedError
from crossfade.domain.attempt import ArmKind

METRICS = {"orders": {"direction": "higher", "margin": "10%"}, "refunds": {"direction": "lower"}}
DOCUMENT = {
    "migration": "move",
    "features": ["recap"],
    "incumbent": "old",
    "candidate": "new",
    "compliance": {"signoffs": ["legal"]},
    "rollout": {
        "guards": ["errors"], "metrics": METRICS, "stages": ["10%", "50%", "100%"], "bake": "10s",
        "soak": "10s", "at_least": 20, "weak_up_to": "100%",
    },
}  # fmt: skip
ORDINARY = {"orders": 20, "refunds": 5}  # a hundred requests


@pytest.fixture
async def shop(world):
    """Each arm's orders and refunds, by what a test says of the candidate's."""
    world.candidate = dict(ORDINARY)
    await world.service.start(DOCUMENT, actor="ann")
    for role, person in (("legal", "Ann"), ("security", "Bo")):
        await world.service.sign("move", role=role, person=person, statement="approved")
    before, traffic = 0, world.clouds.traffic

    def sell(requests=1000):
        nonlocal before
        traffic(requests)
        fresh, before = world.clouds.counts[before:], len(world.clouds.counts)
        for count in fresh:
            per_hundred = world.candidate if count.arm is ArmKind.CANDIDATE else ORDINARY
            events = {name: round(count.requests * n / 100) for name, n in per_hundred.items()}
            sample = Sample("recap", count.arm, "move", count.share, "", world.clouds.now, {}, events)
            world.clouds.sampled.append(sample)

    world.clouds.traffic = sell
    return world


async def test_metrics_that_do_not_change_let_the_rollout_go_through_and_are_shown(shop):
    status = await shop.until("promoted")
    rows = {row["name"]: row for row in status["guard"]["guards"]}
    assert set(rows) == {"errors", "orders", "refunds"}
    assert rows["orders"]["candidate_rate"] == pytest.approx(0.2, abs=0.001)
    assert rows["orders"]["control_rate"] == pytest.approx(0.2, abs=0.001)
    assert rows["orders"]["rolls_back_at"] == rows["refunds"]["rolls_back_at"] > 100


@pytest.mark.parametrize(("metric", "now"), [("orders", 10), ("refunds", 12)])
@pytest.mark.parametrize("share", [0.1, 1.0])
async def test_a_metric_that_turns_bad_rolls_back_beside_the_control_and_at_full_share(
    shop, metric, now, share
):
    await shop.until_share(share)
    shop.candidate[metric] = now
    status = await shop.until("rolled_back", most=40)
    assert f"{metric} guard at {share:.0%}" in status["rolled_back"]
    assert shop.clouds.shown["recap"].rollout.share == 0.0


async def test_a_metric_that_turns_better_is_no_harm(shop):
    await shop.until_share(0.1)
    shop.candidate |= {"orders": 40, "refunds": 1}
    assert (await shop.until("promoted"))["rolled_back"] is None


async def test_a_metric_nobody_can_read_raises_no_share_and_guards_go_on(shop):
    await shop.until_share(0.1)
    shop.clouds.unreadable = "orders: no answer (hint: look)"
    await shop.turns(30)
    status = await shop.service.status("move")
    assert (status["share"], status["next_reason"]) == (0.1, "a metric or judge cannot be asked")
    assert (status["next_detail"], status["page"]) == (shop.clouds.unreadable, "metric-unreadable")
    shop.clouds.bad_share = 0.5
    assert "errors guard" in (await shop.until("rolled_back", most=20))["rolled_back"]


async def test_orders_nobody_tells_of_are_missing_data_not_good_news(shop):
    shop.clouds.traffic = type(shop.clouds).traffic.__get__(shop.clouds)
    await shop.until_share(0.1)
    await shop.turns(30)
    status = await shop.service.status("move")
    assert status["share"] == 0.1
    assert status["next_reason"] == "stage 1 at 10%: no data for the guards orders"


async def test_a_metric_without_a_source_is_refused_at_the_start(world):
    async def look(spec):
        return Candidate(
            ("new-1",),
            world.clouds.print,
            (),
            8.0,
            lacks=("the config has no metric orders (hint: define it)",),
        )

    world.clouds.look = look
    with pytest.raises(RefusedError, match=r"the config has no metric orders \(hint: define it"):
        await world.service.start(DOCUMENT, actor="ann")
