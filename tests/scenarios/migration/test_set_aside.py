"""Rollbacks without the log: on this disk first, then done, and what the log takes of them later."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from crossfade.control.evidence.gateway_admin import AdminError
from crossfade.control.migration.alone import Alone
from crossfade.control.migration.effects import cut_calls
from crossfade.control.migration.history import HistoryError, Kind, Verb
from crossfade.control.migration.unread import Asked
from crossfade.control.store.aside import Aside
from crossfade.domain.migration import FlagBound


async def rolled_back_without_the_log(world):
    world.log.is_away = True
    result = await world.unread().roll_back(Asked("move", "ann", "stop"), why="the database is away")
    assert result.is_set_aside
    world.log.is_away = False
    world.restart()


def aside_of(world):
    return world.service._ports.aside


async def line_about(world, **changed):
    status = await world.service.status("move")
    controller = world.service._controllers["move"]
    about = {"migration": "move", "epoch": status["epoch"], "salt": controller.folded.salt, "reason": "stop"}
    return about | changed


async def test_a_rollback_of_a_closed_migration_is_not_logged_and_a_person_is_told(world, caplog):
    await world.signed()
    await world.until("promoted")
    await world.service.command("move", Verb.CLOSE, actor="ann", reason="done")
    await world.until("closed")
    await rolled_back_without_the_log(world)
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "closed"
    assert aside_of(world).unsettled() == []
    assert "is not logged: the migration is closed (hint: its kill switches stay pulled" in caplog.text


async def test_a_rollback_asked_for_before_a_resume_was_published_is_not_logged_and_a_person_is_told(
    world, caplog
):
    await world.signed()
    await world.until_share(0.25)
    await world.service.roll_back("move", actor="bo", reason="I saw it")
    await world.service.command("move", Verb.RESUME, actor="bo", reason="mended")
    await rolled_back_without_the_log(world)
    await world.turns(2)
    assert (await world.service.status("move"))["state"] != "rolled_back"
    assert "(asked by ann: stop (while" in caplog.text
    assert "is not logged: the migration was resumed (hint" in caplog.text


async def test_what_is_rolled_back_already_is_no_news(world, caplog):
    await world.signed()
    await world.until_share(0.25)
    line = await line_about(world)
    aside_of(world).write(line)
    aside_of(world).write(line)
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "rolled_back"
    assert aside_of(world).unsettled() == []
    assert "is not logged" not in caplog.text


async def test_a_log_that_is_an_older_copy_takes_a_rollback_of_a_later_epoch(world):
    await world.signed()
    await world.until_share(0.25)
    aside_of(world).write(await line_about(world, epoch=7))
    await world.turns(2)
    assert (await world.service.status("move"))["rolled_back"] == "stop"


async def test_a_share_that_a_flag_is_only_lowering_is_rolled_back_all_the_same(world):
    await world.signed()
    await world.until_share(0.25)
    world.clouds.flag, world.clouds.deaf = FlagBound(0.01), True
    await world.turns(1)
    assert (await world.service.status("move"))["next_action"] == "roll_back"
    aside_of(world).write(await line_about(world))
    await world.turns(1)
    assert (await world.service.status("move"))["rolled_back"] == "stop"


@pytest.mark.parametrize("changed", [{"epoch": None}, {"epoch": "x"}, {"reason": None}, {"salt": ["x"]}])
async def test_a_line_that_somebody_changed_stops_no_turn(world, changed, caplog):
    await world.signed()
    await world.until_share(0.01)
    aside_of(world).write(await line_about(world, **changed))
    await world.turns(2)
    assert world.service._lost == set()
    assert "is not settled yet" not in caplog.text, "what says nothing is passed over"


async def test_a_migration_that_cannot_be_read_keeps_no_others_line_from_the_log(world):
    await world.signed()
    await world.until_share(0.25)
    good = await line_about(world)

    class Unreadable:
        name = "bad"

        async def read(self):
            raise HistoryError("line 1 lacks 'spec'")

    aside_of(world).write(good | {"migration": "bad"})
    aside_of(world).write(good)
    alone = Alone(world.service._ports)
    await alone.settle({"bad": Unreadable(), "move": world.service._controllers["move"]})
    assert [line["migration"] for _, line in aside_of(world).unsettled()] == ["bad"]
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "rolled_back"


async def test_a_row_without_its_key_is_no_unknown_migration_and_the_switches_are_pulled(world):
    await world.signed()
    await world.until_share(0.25)
    whole = world.log.read

    async def read(stream=None, after=0):
        lines = await whole(stream, after)
        return [replace(line, payload={}) if line.kind == Kind.STARTED else line for line in lines]

    world.log.read = read
    world.restart()
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert (result.is_zero, result.killed, result.is_set_aside) == (True, ("g1",), True)
    assert "lacks 'spec'" in result.unlogged
    with pytest.raises(HistoryError, match=r"line 1, migration.started, lacks 'spec'"):
        await world.service.status("move")
    await world.service.turn_all()  # the line that waits for its migration stops no turn

    world.log.read = whole
    await world.turns(2)
    assert (await world.service.status("move"))["state"] == "rolled_back"


async def test_a_log_that_does_not_answer_is_told_in_words(world, monkeypatch):
    await world.signed()
    await world.until_share(0.25)
    world.restart()
    monkeypatch.setattr("crossfade.control.migration.service.LOGGED_WITHIN_S", 0.0)
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert (result.killed, result.unlogged) == (("g1",), "the log was not read within 0 s")


async def test_a_running_control_too_keeps_the_line_before_it_pulls_a_switch(world):
    await world.signed()
    await world.until_share(0.25)
    kept = []
    pull = world.clouds.kill

    async def kill(gateway, feature, *, is_killed):
        kept.extend(line["actor"] for _, line in Aside(aside_of(world).path).unsettled())
        await pull(gateway, feature, is_killed=is_killed)

    world.clouds.kill = kill
    world.log.is_away = True
    result = await world.service.roll_back("move", actor="ann", reason="stop")
    assert (result.is_zero, result.is_set_aside, kept) == (True, True, ["ann"])


async def test_calls_are_cut_at_all_gateways_at_once_and_one_that_fails_keeps_no_other():
    asked, all_asked = [], asyncio.Event()

    class Admin:
        async def cut(self, gateway, feature):
            asked.append((gateway, feature))
            if len(asked) == 4:
                all_asked.set()
            await all_asked.wait()
            if feature == "gone":
                raise AdminError("there is no such feature")
            return 1

    wanted = dict.fromkeys(("g1", "g2"), ("gone", "recap"))
    cut, uncut = await asyncio.wait_for(cut_calls(Admin(), wanted, ("g1", "g3")), 30)
    assert (cut, uncut) == ({"g1": 1, "g2": 1}, ("g3", "g1", "g2"))
