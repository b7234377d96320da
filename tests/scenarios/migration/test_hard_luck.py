"""Clocks that go back, logs that lose their end, two controllers, gateways that lie."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

import pytest

from crossfade.control.migration.history import Verb
from crossfade.control.migration.unread import Asked
from crossfade.control.store.eventlog import EventLog
from crossfade.domain.evidence import EvidenceKind


async def test_a_clock_set_back_an_hour_holds_and_skips_no_bake(world):
    await world.signed()
    await world.until_share(0.01)
    await world.turns(4)
    before = world.clouds.now
    world.clouds.now -= 3600.0
    await world.turns(30)
    status = await world.service.status("move")
    assert (status["share"], status["next_action"]) == (0.01, "hold")
    assert status["next_reason"] == "the clock was set back"
    assert "60 min" in status["next_detail"]

    result = await world.service.roll_back("move", actor="ann", reason="to be sure")
    assert result.is_zero, "the way back needs no clock"
    await world.service.command("move", Verb.RESUME, actor="ann", reason="mended")
    world.clouds.now = before + 5.0
    world.restart()
    await world.until_share(0.01)
    began = world.clouds.now
    await world.until_share(0.25)
    assert world.clouds.now - began >= 10.0, "a whole bake"


async def test_a_clock_set_back_and_right_again_makes_no_bake_an_hour_longer(world):
    await world.signed()
    await world.until_share(0.01)
    await world.turns(3)
    world.clouds.set_clock(-3600.0)
    await world.turns(20)
    assert (await world.service.status("move"))["next_reason"] == "the clock was set back"
    world.clouds.set_clock(3600.0)
    began = world.clouds.steady()
    await world.until_share(0.25)
    assert 5.0 <= world.clouds.steady() - began <= 12.0, "what was left of the bake, in real time"


@pytest.mark.parametrize("ahead_s", [3600.0, 86400.0], ids=["an hour", "a day"])
async def test_a_clock_set_forward_ends_no_bake_even_over_a_restart(world, ahead_s):
    await world.signed()
    await world.until_share(0.01)
    await world.turns(3)
    began = world.clouds.steady()
    world.clouds.set_clock(ahead_s)
    await world.turns(1)
    world.restart()
    await world.until_share(0.25)
    assert 5.0 <= world.clouds.steady() - began <= 12.0, "what was left of the bake, in real time"
    skips = [line.payload["ahead_s"] for line in world.log.lines if line.kind == "migration.skipped"]
    assert skips == [pytest.approx(ahead_s)]
    assert (await world.service.status("move"))["state"] == "rollout"


async def test_a_clock_set_forward_shortens_neither_the_soak_nor_the_incumbents_keep_nor_the_calm(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.shielded = 0.5
    await world.turns(3)
    world.clouds.shielded = 0.0
    await world.turns(2)
    world.clouds.set_clock(86400.0)
    await world.turns(30)
    assert (await world.service.status("move"))["next_reason"].startswith("the incumbent was in trouble less")

    world.clouds.now += 3600.0
    await world.until("promoted")
    world.clouds.set_clock(8 * 86400.0)
    await world.turns(5)
    status = await world.service.status("move")
    assert (status["state"], status["share"]) == ("promoted", 1.0)


async def test_evidence_that_expires_by_a_clock_set_forward_holds_and_is_void_once_a_person_says_it_is_so(
    world,
):
    world.clouds.lasts_s = 3600.0
    await world.signed()
    await world.until_share(0.25)
    world.clouds.set_clock(7200.0)
    await world.turns(30)
    status = await world.service.status("move")
    assert (status["state"], status["share"], status["next_action"]) == ("rollout", 0.25, "ask")

    await world.service.command("move", Verb.RESUME, actor="ann", reason="the clock is right now")
    await world.turns(2)
    status = await world.service.status("move")
    assert (status["state"], status["share"]) == ("rolled_back", 0.0)
    assert "evidence is void" in status["rolled_back"]


async def test_machine_checks_are_made_anew_daily_so_that_a_long_rollout_is_not_ended_by_their_age(world):
    world.clouds.lasting_s = {EvidenceKind.POSTURE: 72 * 3600.0}
    await world.signed()
    await world.until_share(0.25)
    await world.service.command("move", Verb.HOLD, actor="ann", reason="a week of holidays")
    for _ in range(7 * 24):
        world.clouds.now += 3600.0
        await world.turns(3)
    status = await world.service.status("move")
    assert (status["state"], status["share"]) == ("held", 0.25)
    kinds = [kind for kind, *_ in world.clouds.collected]
    assert 7 <= kinds.count(EvidenceKind.POSTURE) <= 9
    assert kinds.count(EvidenceKind.DRILL) == 1, "nothing else is collected again"

    world.clouds.broken = {EvidenceKind.POSTURE}
    for _ in range(60):
        world.clouds.now += 3600.0
        await world.turns(2)
    assert (await world.service.status("move"))["state"] == "held", "valid for three days"
    for _ in range(30):
        world.clouds.now += 3600.0
        await world.turns(2)
    assert "evidence is void" in (await world.service.status("move"))["rolled_back"]


async def test_two_controllers_at_once_do_nothing_twice(make_world):
    alone = await make_world(1)
    await alone.signed()
    await alone.until("promoted")

    both = await make_world(2)
    await both.signed()
    other = replace(both)
    other.restart()
    for _ in range(400):
        both.clouds.traffic(1000)
        await asyncio.gather(both.service.turn_all(), other.service.turn_all())
        for _ in range(5):
            await asyncio.sleep(0)
        if (await both.service.status("move"))["state"] == "promoted":
            break

    def acts(world):
        return [kind for kind in world.kinds() if kind in {"advance", "roll_back", "promote"}]

    assert acts(both) == acts(alone) == ["advance", "advance", "advance", "promote"]
    effects = [line.payload["action_seq"] for line in both.log.lines if line.kind == "migration.effect"]
    assert len(effects) == len(set(effects)), "each effect once"
    assert await both.log.verify() is None


async def test_a_gateway_that_acknowledges_and_does_not_apply_is_found_by_its_shares(world):
    await world.signed()
    await world.until_share(0.01)
    world.clouds.lies = True
    await world.turns(40)
    status = await world.service.status("move")
    assert status["share"] == 0.01, "an advance that no gateway shows has not happened"
    world.clouds.lies = False
    world.clouds.tell()
    await world.until_share(0.25)


async def test_a_rollback_that_a_cut_off_gateway_may_not_have_heard_of_is_not_called_done(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.cut_off, world.clouds.silent_s = True, 20.0
    result = await world.service.roll_back("move", actor="ann", reason="now")
    assert (result.is_zero, result.missing) == (False, ("g1",))
    await world.turns(3)
    assert (await world.service.status("move"))["next_action"] == "roll_back"

    world.clouds.cut_off, world.clouds.silent_s = False, 0.5
    world.clouds.tell()
    await world.turns(2)
    assert (await world.service.status("move"))["next_action"] == "hold"


async def test_a_gateway_that_falls_back_to_an_older_snapshot_holds_the_rollout_by_name(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.shown = dict(world.clouds.past[-2])
    await world.turns(40)
    status = await world.service.status("move")
    assert (status["share"], status["next_reason"]) == (0.25, "a gateway does not do what was published")
    assert status["next_detail"] == "g1 shows 1% of recap instead of 25%"


async def test_a_log_whose_last_line_is_torn_loses_that_line_only_and_goes_on(world, tmp_path):
    await world.signed()
    await world.until_share(0.01)
    lines = await world.log.read()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"control.db{suffix}", tmp_path / f"torn.db{suffix}")
    wal = tmp_path / "torn.db-wal"
    wal.write_bytes(wal.read_bytes()[:-100])
    torn = await EventLog.open(f"sqlite:///{tmp_path}/torn.db", world.clouds.clock)
    try:
        kept = await torn.read()
        assert kept == lines[: len(kept)]
        assert len(kept) == len(lines) - 1
        assert await torn.verify() is None
        seq = max(line.stream_seq for line in kept if line.stream == "migration/move")
        again = await torn.append("migration/move", "x", {}, actor="a", reason="r", expected_seq=seq)
        assert again.stream_seq == seq + 1
    finally:
        await torn.close()


async def test_a_hard_rollback_sets_the_share_to_zero_first_and_then_cuts_what_is_under_way(world):
    await world.signed()
    await world.until_share(0.25)
    result = await world.service.roll_back("move", actor="ann", reason="it leaks", hard=True)
    assert result.is_zero
    assert (result.cut, result.uncut) == ({"g1": 3}, ())
    assert world.clouds.cuts == [("g1", "recap", 0.0)]
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "rolled_back"
    line = next(line for line in world.log.lines if line.kind == "migration.cut")
    assert (line.actor, line.reason, line.payload) == ("ann", "it leaks", {"cut": {"g1": 3}, "uncut": []})


async def test_a_rollback_lets_calls_finish_unless_it_is_hard_and_says_which_gateway_was_not_reached(world):
    await world.signed()
    await world.until_share(0.25)
    assert (await world.service.roll_back("move", actor="ann", reason="")).cut == {}
    assert world.clouds.cuts == []
    world.clouds.deaf = True
    result = await world.service.roll_back("move", actor="ann", reason="", hard=True)
    assert (result.cut, result.uncut) == ({}, ("g1",))


async def test_a_rollback_without_the_database_pulls_the_kill_switches_and_is_logged_once_it_is_back(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away = True
    result = await world.service.roll_back("move", actor="ann", reason="stop", hard=True)
    assert (result.is_zero, result.killed, result.missing) == (True, ("g1",), ())
    assert "the database is away" in result.unlogged
    assert result.is_set_aside
    assert (result.cut, result.uncut) == ({"g1": 3}, ()), "a hard rollback is one without the log, too"
    world.clouds.killed.clear()  # a gateway that restarts has forgotten its switch
    with pytest.raises(ConnectionError):
        await world.service.turn_all()
    await world.service.look_after()
    assert world.clouds.killed == {"recap"}
    assert world.clouds.views(("recap",))[0].effects[0].candidate_share == 0.0

    world.log.is_away = False
    await world.turns(30)
    status = await world.service.status("move")
    assert (status["state"], status["share"]) == ("rolled_back", 0.0)
    assert status["rolled_back"] == "asked by ann: stop (while the log could not be reached)"
    told = [line for line in world.log.lines if line.payload.get("action") == "roll_back"]
    assert [(line.actor, line.payload["aside"]["hard"]) for line in told] == [("ann", True)]
    world.clouds.killed.clear()
    await world.turns(5)
    assert world.clouds.views(("recap",))[0].effects[0].candidate_share == 0.0


async def asked_of_a_control_that_never_read_the_log(world):
    """The database goes away at 25 %, control starts anew, and a person rolls back."""
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away = True
    unread = world.unread()
    result = await unread.roll_back(Asked("move", "ann", "stop"), why="the database is away")
    assert (result.is_zero, result.killed, result.is_set_aside) == (True, ("g1",), True)
    assert world.clouds.views(("recap",))[0].effects[0].candidate_share == 0.0
    return unread


async def rolled_back_lines(world):
    lines = await world.log.read("migration/move")
    return [line for line in lines if line.payload.get("action") == "roll_back"]


async def test_a_control_started_without_the_database_rolls_back_and_the_log_has_it_once_it_is_back(world):
    unread = await asked_of_a_control_that_never_read_the_log(world)
    world.clouds.killed.clear()  # a gateway that restarts has forgotten its switch
    await unread.hold()
    assert world.clouds.killed == {"recap"}

    world.log.is_away = False
    world.restart()
    await world.turns(30)
    status = await world.service.status("move")
    assert (status["state"], status["share"]) == ("rolled_back", 0.0)
    assert status["rolled_back"] == "asked by ann: stop (while the log could not be reached)"
    [line] = await rolled_back_lines(world)
    assert (line.actor, line.payload["aside"]["hard"]) == ("ann", False)
    world.clouds.killed.clear()
    await world.unread().hold()
    assert world.clouds.killed == set(), "the share itself is 0, and the next epoch is free"
    await world.turns(5)
    assert world.clouds.views(("recap",))[0].effects[0].candidate_share == 0.0


async def test_such_a_rollback_is_of_its_epoch_only(world):
    await asked_of_a_control_that_never_read_the_log(world)
    world.log.is_away = False
    world.clouds.killed.clear()
    other = world.elsewhere()
    await other.service.roll_back("move", actor="bo", reason="I saw it too")
    await other.service.command("move", Verb.RESUME, actor="bo", reason="mended")
    await other.until_share(0.01)
    world.restart()
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "rollout"
    assert [line.actor for line in await rolled_back_lines(world)] == ["bo"]
    await world.unread().hold()
    assert world.clouds.killed == set()


async def test_such_a_rollback_is_not_of_a_migration_started_anew_under_its_name(world, make_world):
    unread = await asked_of_a_control_that_never_read_the_log(world)
    [(_, line)] = unread.aside.unsettled()
    anew = await make_world(1)  # the database was lost, and everything begins again
    anew.service._ports.aside.write(line)
    await anew.signed()
    await anew.until_share(0.25)
    assert (await anew.service.status("move"))["state"] == "rollout"
    assert anew.service._ports.aside.unsettled() == []


async def test_a_standby_gives_the_log_what_was_set_aside_on_its_machine(world):
    await asked_of_a_control_that_never_read_the_log(world)
    world.log.is_away = False
    assert await world.log.acquire_lease("migrations", "another", 5.0)
    world.restart()

    async def once(_):
        raise asyncio.CancelledError

    world.service._pause = once
    with pytest.raises(asyncio.CancelledError):
        await world.service.run()
    assert [line.actor for line in await rolled_back_lines(world)] == ["ann"]


async def test_a_control_that_lost_the_log_before_it_read_of_the_migration_asks_the_gateways(world):
    await world.signed()
    await world.until_share(0.25)
    world.restart()
    world.log.is_away = True
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert (result.is_zero, result.killed, result.is_set_aside) == (True, ("g1",), True)
    assert "the database is away" in result.unlogged
    with pytest.raises(LookupError, match="g1 carry move"):
        await world.service.roll_back("moove", actor="ann", reason="stop")

    world.log.is_away = False
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "rolled_back"


async def test_a_rollback_that_is_logged_where_no_row_can_be_read_pulls_the_kill_switches(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_unreadable = True
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert (result.is_zero, result.killed, result.missing) == (True, ("g1",), ())
    assert "row 7 was changed" in result.unlogged
    assert world.clouds.views(("recap",))[0].effects[0].candidate_share == 0.0

    world.log.is_unreadable = False
    await world.turns(30)
    status = await world.service.status("move")
    assert (status["state"], status["share"]) == ("rolled_back", 0.0)
    world.clouds.killed.clear()
    await world.turns(5)
    assert world.clouds.views(("recap",))[0].effects[0].candidate_share == 0.0


async def test_a_rollback_that_reaches_neither_database_nor_gateway_says_so(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away = world.clouds.deaf = True
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert (result.is_zero, result.killed, result.missing) == (False, (), ("g1",))


async def test_turns_fail_while_the_database_is_away_and_go_on_afterwards(world):
    await world.signed()
    await world.until_share(0.01)
    world.log.is_away = True
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await world.turns(1)
    world.log.is_away = False
    await world.until("promoted")


async def alone(world, seconds, *, requests=1000):
    """Traffic goes on, turns fail, and the watch looks after what is live."""
    for _ in range(seconds):
        world.clouds.traffic(requests)
        with pytest.raises(ConnectionError):
            await world.service.turn_all()
        await world.service.look_after()


async def test_a_bad_candidate_is_rolled_back_by_its_guards_while_the_database_is_away(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away, world.clouds.bad_share = True, 0.2
    published = len(world.clouds.published)
    await alone(world, 3)
    assert world.clouds.killed == {"recap"}
    assert world.clouds.views(("recap",))[0].effects[0].candidate_share == 0.0
    assert len(world.clouds.published) == published, "nothing is published that is not in the log"
    assert world.service.attention() == {"move": "rolled-back"}
    world.clouds.killed.clear()  # a gateway that restarts has forgotten its switch
    await alone(world, 1)
    assert world.clouds.killed == {"recap"}

    world.log.is_away = False
    await world.turns(2)
    status = await world.service.status("move")
    assert (status["state"], status["share"]) == ("rolled_back", 0.0)
    assert status["rolled_back"].startswith("errors guard at 25%: e-value")
    assert status["rolled_back"].endswith("(decided while the log could not be reached)")
    assert await world.log.verify() is None
    await world.turns(30)
    lines = [line for line in world.log.lines if line.payload.get("action") == "roll_back"]
    assert len(lines) == 1
    assert lines[0].payload["aside"]["counts"][-1]["candidate_bad"] > 0
    assert world.clouds.killed == {"recap"}, "a person releases it"


async def test_what_was_decided_alone_reaches_the_log_over_a_restart(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away, world.clouds.bad_share = True, 0.2
    await alone(world, 3)
    world.log.is_away = False
    world.restart()
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "rolled_back"
    again = len(world.log.lines)
    world.restart()
    await world.turns(2)
    assert len(world.log.lines) == again, "told once"


async def test_a_line_set_aside_that_says_nothing_stops_no_turn(world):
    await world.signed()
    world.service._ports.aside.write({"reason": "of no migration"})
    await world.until_share(0.01)


async def test_what_was_decided_alone_is_of_its_epoch_only(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away, world.clouds.bad_share = True, 0.2
    await alone(world, 3)
    world.log.is_away, world.clouds.bad_share = False, 0.0
    world.clouds.killed.clear()
    other = world.elsewhere()
    await other.service.roll_back("move", actor="ann", reason="I saw it too")
    await other.service.command("move", Verb.RESUME, actor="ann", reason="mended")
    await other.until_share(0.01)
    await world.turns(2)
    assert (await world.service.status("move"))["share"] == 0.01


@pytest.mark.parametrize("seconds", [120])
async def test_without_the_database_nothing_advances_and_a_good_candidate_stays(world, seconds):
    await world.signed()
    await world.until_share(0.01)
    world.log.is_away = True
    await alone(world, seconds)
    assert world.clouds.killed == set()
    assert world.clouds.shown["recap"].rollout.share == 0.01


async def test_an_incident_of_both_sides_rolls_nothing_back_while_the_database_is_away(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away = True
    world.clouds.shielded = world.clouds.attempts_failed = 0.5
    world.clouds.bad_share = 0.2
    await alone(world, 60)
    assert world.clouds.killed == set()


async def test_a_database_that_never_answers_is_not_waited_for(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.bad_share = 0.2
    forever = asyncio.Event()

    async def read(stream=None, after=0):
        await forever.wait()
        return []

    world.log.read = read
    turn = asyncio.create_task(world.service.turn_all())
    try:
        for second in range(12):
            world.clouds.traffic(1000)
            await asyncio.sleep(0)
            await world.service.look_after()
            assert (world.clouds.killed == {"recap"}) == (second >= 8), second
    finally:
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)


async def test_a_standby_pulls_no_switch(world):
    await world.signed()
    await world.until_share(0.25)
    assert await world.log.acquire_lease("migrations", "another", 5.0)
    assert not await world.service._drives()
    world.log.is_away, world.clouds.bad_share = True, 0.2
    await alone(world, 20)
    assert world.clouds.killed == set()


async def test_a_disk_that_is_full_does_not_stop_the_way_back(world):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away, world.clouds.bad_share = True, 0.2
    world.service._ports.aside.path = world.service._ports.aside.path / "no" / "such" / "folder"
    await alone(world, 3)
    assert world.clouds.killed == {"recap"}
