from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from crossfade.control.migration.history import Verb
from crossfade.control.migration.ports import CollectError
from crossfade.control.migration.service import RefusedError
from crossfade.domain.evidence import EvidenceKind, Verdict


async def test_a_whole_migration_runs_to_its_close(world):
    await world.signed()
    await world.until("promoted")
    await world.service.command("move", Verb.CLOSE, actor="ann", reason="done")
    status = await world.until("closed")
    assert [(point["kind"], point["share"]) for point in status["timeline"]] == [
        ("start", 0.0),
        *(("advance", share) for share in (0.01, 0.25, 1.0)),
        ("promote", 1.0),
    ]
    assert all(gate["verdict"] == "pass" and gate["evidence"] for s in status["steps"] for gate in s["gates"])
    assert [stage["share"] for stage in status["guard"]["stages"]] == [0.01, 0.25, 1.0]
    assert status["counts"][-1]["candidate_requests"] > status["counts"][0]["candidate_requests"]
    assert world.clouds.bundles == 1
    report = await world.service.report("move")
    assert report["facts"]["candidate_requests_harmed"] == 0
    assert report["facts"]["rollbacks"] == []


async def test_not_one_request_reaches_the_candidate_before_it_is_signed(world):
    await world.service.start({**_document(), "migration": "move"}, actor="ann")
    await world.service.sign("move", role="legal", person="Ann", statement="approved")
    await world.turns(20)
    assert world.clouds.published == []
    assert {kind for kind, *_ in world.clouds.collected} == {EvidenceKind.POSTURE}


async def test_shadow_is_only_on_while_it_is_needed(world):
    await world.signed()
    await world.until_share(0.01)
    eligible = {kind: (is_eligible, is_shadowed) for kind, is_eligible, is_shadowed in world.clouds.collected}
    assert eligible[EvidenceKind.POSTURE] == (False, False)
    assert eligible[EvidenceKind.CAPACITY_MAPPING] == (True, False)
    assert eligible[EvidenceKind.QUALITY_PARITY] == (True, True)
    assert eligible[EvidenceKind.DRILL] == (True, False)


async def test_harm_rolls_back_and_resume_starts_a_new_epoch_at_the_first_stage(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.bad_share = 0.3
    status = await world.until("rolled_back", most=20)
    assert status["share"] == 0.0
    assert "errors guard at 25%" in status["rolled_back"]
    assert world.clouds.shown["recap"].rollout.share == 0.0
    world.clouds.bad_share = 0.0
    await world.turns(30)
    assert world.clouds.shown["recap"].rollout.share == 0.0
    await world.service.command("move", Verb.RESUME, actor="ann", reason="mended")
    status = await world.until_share(0.01)
    assert status["epoch"] == 2
    assert world.clouds.shown["recap"].rollout.epoch == 2
    await world.until("promoted")
    facts = (await world.service.report("move"))["facts"]
    assert [back["from_share"] for back in facts["rollbacks"]] == [0.25]
    assert facts["candidate_requests_harmed"] > 0


async def test_a_second_rollback_does_not_hide_why_the_first_was(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.bad_share = 0.3
    first = (await world.until("rolled_back", most=20))["rolled_back"]
    assert ", control 0.0%" in first, "what was seen of the control, without a floor"
    await world.service.roll_back("move", actor="ann", reason="", hard=True)
    await world.turns(3)
    assert (await world.service.status("move"))["rolled_back"] == first
    world.clouds.bad_share = 0.0
    await world.service.command("move", Verb.RESUME, actor="ann", reason="mended")
    await world.until_share(0.01)
    await world.service.roll_back("move", actor="ann", reason="")
    assert (await world.service.status("move"))["rolled_back"] == "asked by ann"


async def test_nobody_signs_for_a_role_that_is_not_asked_for_nor_once_it_is_closed(world):
    await world.started()
    with pytest.raises(CollectError, match=r"leagl signs nothing here .hint: compliance needs security"):
        await world.service.sign("move", role="leagl", person="Ann", statement="approved")
    await world.service.roll_back("move", actor="ann", reason="")
    await world.service.command("move", Verb.CLOSE, actor="ann", reason="")
    await world.until("closed")
    for act in (
        world.service.sign("move", role="legal", person="Ann", statement="approved"),
        world.service.waive("move", gate="quality_parity", person="Ann", reason="so"),
        world.service.label("move", [], rater="Ann"),
    ):
        with pytest.raises(RefusedError, match="is closed"):
            await act


async def test_a_gateways_own_rollback_is_followed_in_the_next_turn(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.local = "breaker open on every candidate endpoint"
    await world.turns(2)
    status = await world.service.status("move")
    assert status["state"] == "rolled_back"
    assert world.clouds.laid["recap"].rollout.share == 0.0


async def test_a_changed_fingerprint_takes_the_candidate_out(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.print = "0" * 64
    await world.turns(2)
    assert world.clouds.laid == {}
    assert (await world.service.status("move"))["state"] == "rolled_back"


async def test_rollback_works_without_the_loop_and_during_any_step(world):
    await world.signed()
    await world.turns(4)
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert result.is_zero
    assert result.gateways == ("g1",)
    assert (await world.service.status("move"))["state"] == "rolled_back"
    published = len(world.clouds.published)
    await world.turns(10)
    assert len(world.clouds.published) == published


async def test_rollback_overtakes_an_advance_in_flight(world):
    await world.signed()
    await world.until_share(0.01)
    advances = world.kinds().count("advance")
    turn = None
    for _ in range(40):
        world.clouds.traffic()
        turn = asyncio.create_task(world.service.turn_all())
        # the fakes signal nothing: stepping the loop is the only clock there is
        while not turn.done() and world.kinds().count("advance") == advances:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if not turn.done():
            break
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert result.is_zero
    await turn
    await world.turns(5)
    assert world.clouds.shown["recap"].rollout.share == 0.0
    assert (await world.service.status("move"))["share"] == 0.0


async def test_an_unacknowledged_advance_is_not_published_twice_and_does_not_count(world):
    await world.signed()
    await world.until_share(0.01)
    world.clouds.deaf = True
    while world.kinds()[-1] != "advance":
        await world.turns(1)
    published = len(world.clouds.published)
    await world.turns(5)
    assert len(world.clouds.published) == published
    assert (await world.service.status("move"))["share"] == 0.01
    world.clouds.deaf = False
    world.clouds.shown = dict(world.clouds.laid)
    await world.turns(1)
    assert (await world.service.status("move"))["share"] == 0.25


async def test_one_that_is_given_up_has_done_no_step_that_it_has_not(world):
    await world.started()
    await world.turns(2)
    await world.service.roll_back("move", actor="ann", reason="")
    await world.service.command("move", Verb.CLOSE, actor="ann", reason="given up")
    status = await world.until("closed")
    assert [step["state"] for step in status["steps"]] == ["waiting"] * 4 + ["failed"]


async def test_a_broken_collector_is_reported_and_tried_again(world):
    world.clouds.broken = {EvidenceKind.CAPACITY_MAPPING}
    await world.signed()
    await world.turns(10)
    status = await world.service.status("move")
    assert "no route" in status["failures"][0]["error"]
    assert status["failures"][0]["count"] < 5
    world.clouds.broken = set()
    await world.until_share(0.01)


async def test_a_failing_gate_holds_until_resume(world):
    world.clouds.verdicts = {EvidenceKind.QUALITY_PARITY: Verdict.FAIL}
    await world.signed()
    await world.turns(30)
    status = await world.service.status("move")
    assert status["next_action"] == "hold"
    assert [step["state"] for step in status["steps"]] == ["done", "done", "failed", "waiting", "waiting"]
    world.clouds.verdicts = {}
    await world.service.command("move", Verb.RESUME, actor="ann", reason="new prompt")
    await world.until_share(0.01)


async def test_hold_holds_and_resume_goes_on_in_the_same_epoch(world):
    await world.signed()
    await world.until_share(0.01)
    await world.service.command("move", Verb.HOLD, actor="ann", reason="lunch")
    await world.turns(40)
    assert (await world.service.status("move"))["share"] == 0.01
    await world.service.command("move", Verb.RESUME, actor="ann", reason="back")
    status = await world.until_share(0.25)
    assert status["epoch"] == 1


async def test_commands_that_make_no_sense_are_refused_with_a_hint(world):
    await world.signed()
    for verb in (Verb.ADVANCE, Verb.PROMOTE, Verb.CLOSE):
        with pytest.raises(RefusedError, match="hint"):
            await world.service.command("move", verb, actor="ann", reason="")
    with pytest.raises(LookupError, match="hint"):
        await world.service.status("unknown")
    with pytest.raises(RefusedError, match="exists"):
        await world.service.start(_document(), actor="ann")
    with pytest.raises(RefusedError, match="recap is in migration"):
        await world.service.start({**_document(), "migration": "other"}, actor="ann")


async def test_killed_at_every_line_of_the_log_a_restart_goes_on_and_does_nothing_twice(world, killed):
    """The kill strikes after line n was written, before anything it stands for was done."""
    await world.signed()
    start = len(world.log.lines)
    for last in range(start, start + 400):
        world.log.dies_after = last
        with pytest.raises(killed):
            await world.turns(400)
        world.log.dies_after = None
        world.restart()
        if (await world.service.status("move"))["state"] == "promoted":
            break
    assert (await world.service.status("move"))["state"] == "promoted"
    _assert_nothing_twice(world)


async def test_killed_inside_every_publication_nothing_is_published_twice(world, killed):
    await world.signed()
    for _ in range(200):
        world.clouds.die_in_publish = True
        try:
            for _ in range(40):
                await world.turns(1)
        except killed:
            world.clouds.shown = dict(world.clouds.laid)
        world.clouds.die_in_publish = False
        world.restart()
        if (await world.service.status("move"))["state"] == "promoted":
            break
        if world.kinds()[-1] == "promote":
            await world.until("promoted")
    await world.until("promoted")
    _assert_nothing_twice(world)


def _assert_nothing_twice(world):
    shares = [
        change["recap"].rollout.share
        for _, change in world.clouds.published
        if change["recap"] is not None and change["recap"].rollout is not None
    ]
    assert shares == [0.01, 0.25, 1.0]
    overlays = [change["recap"] for _, change in world.clouds.published]
    assert all(before != after for before, after in pairwise(overlays))
    advances = [line.payload["share"] for line in world.log.lines if line.payload.get("action") == "advance"]
    assert advances == [0.01, 0.25, 1.0]


def _document():
    return {
        "migration": "move",
        "features": ["recap"],
        "incumbent": "old",
        "candidate": "new",
        "compliance": {"signoffs": ["legal"]},
    }


async def test_an_incumbent_that_its_backups_must_save_holds_the_rollout_and_blames_nobody(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.shielded, world.clouds.bad_share = 0.5, 0.3
    await world.turns(30)
    status = await world.service.status("move")
    assert (status["share"], status["state"]) == (0.25, "rollout")
    assert status["next_action"] == "hold"
    world.clouds.shielded = 0.0
    assert "errors guard" in (await world.until("rolled_back", most=20))["rolled_back"]


@pytest.mark.parametrize(
    ("incumbent", "candidate", "is_blamed"),
    [(0.05, 0.3, True), (0.2, 1.0, True), (0.3, 0.3, False), (1.0, 1.0, False), (0.2, 0.5, False)],
)
async def test_a_candidate_much_worse_than_a_failing_incumbent_cannot_hide_behind_it(
    world, incumbent, candidate, is_blamed
):
    """What counts is the part of the attempts made on each side; the incumbent's breaker spares it most."""
    await world.signed()
    await world.until_share(0.25)
    world.clouds.shielded, world.clouds.attempts_failed = incumbent, candidate
    await world.turns(120)
    status = await world.service.status("move")

    assert (status["state"] == "rolled_back") is is_blamed
    if is_blamed:
        assert status["rolled_back"].startswith("worse than 3 times a failing incumbent at 25%")
    else:
        assert (status["share"], status["next_action"]) == (0.25, "hold")


async def test_after_an_incident_shares_rest_for_an_hour_even_over_a_restart_unless_a_person_says_go(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.shielded = 0.5
    await world.turns(3)
    world.clouds.shielded = 0.0
    await world.turns(30)
    world.restart()
    await world.turns(30)
    status = await world.service.status("move")
    assert (status["share"], status["next_reason"]) == (
        0.25, "the incumbent was in trouble less than 60 min ago",
    )  # fmt: skip

    world.clouds.now += 3600.0
    await world.until_share(1.0, most=5)


async def test_an_advance_asked_for_after_an_incident_ends_the_rest(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.shielded = 0.5
    await world.turns(3)
    await world.service.command("move", Verb.ADVANCE, actor="ann", reason="it is only a blip")
    await world.turns(30)
    assert (await world.service.status("move"))["share"] == 0.25, "not while it lasts"
    world.clouds.shielded = 0.0
    await world.turns(3)
    await world.service.command("move", Verb.ADVANCE, actor="ann", reason="the provider says it is over")
    await world.until_share(1.0, most=20)
