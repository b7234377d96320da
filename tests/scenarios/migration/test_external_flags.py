"""An external flag as upper bound and kill switch; its loss holds the last state and never advances."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crossfade.config.shape.control import FlagsSection
from crossfade.control.flags import FlagBook, FlagError, reader_of, share_of_flag
from crossfade.control.migration.history import Verb
from crossfade.domain.migration import FlagBound


async def test_no_share_is_raised_above_the_flag_and_a_lowered_flag_takes_it_back_a_stage(world):
    world.clouds.flag = FlagBound(0.25)
    await world.signed()
    await world.until_share(0.25)
    await world.turns(40)
    status = await world.service.status("move")
    assert (status["share"], status["next_reason"]) == (0.25, "the flag allows 25%")

    world.clouds.flag = FlagBound(0.1)
    await world.turns(3)
    status = await world.service.status("move")
    assert (status["share"], status["stage"], status["state"]) == (0.01, 1, "rollout")
    world.clouds.flag = FlagBound(1.0)
    await world.until_share(1.0)


@pytest.mark.parametrize("is_promoted", [False, True])
async def test_a_flag_turned_off_is_a_kill_switch_and_turning_it_on_again_resumes_nothing(world, is_promoted):
    world.clouds.flag = FlagBound(1.0)
    await world.signed()
    await (world.until("promoted") if is_promoted else world.until_share(0.25))
    world.clouds.flag = FlagBound(0.0)
    status = await world.until("rolled_back", most=3)
    assert (status["share"], status["rolled_back"]) == (0.0, "the flag allows 0%")
    world.clouds.flag = FlagBound(1.0)
    await world.turns(30)
    assert (await world.service.status("move"))["share"] == 0.0


@pytest.mark.parametrize("flag", [FlagBound(1.0, "no route"), FlagBound(None, "it was not read yet")])
async def test_a_lost_flag_system_holds_the_last_state_and_rollback_works_without_it(world, flag):
    world.clouds.flag = FlagBound(1.0)
    await world.signed()
    await world.until_share(0.25)
    world.clouds.flag = flag
    await world.turns(40)
    await world.service.command("move", Verb.ADVANCE, actor="ann", reason="hurry")
    await world.turns(5)
    status = await world.service.status("move")
    assert (status["share"], status["next_reason"]) == (0.25, "the flag system cannot be read")
    assert status["page"] == "flags-unreadable"
    assert (await world.service.roll_back("move", actor="ann", reason="")).is_zero


@pytest.mark.parametrize(("share", "is_back"), [(0.01, True), (0.25, True), (1.0, False)])
async def test_half_an_hour_without_the_flag_system_a_small_share_goes_back_and_nothing_rises_meanwhile(
    world, share, is_back
):
    answers, down = {"crossfade.move": share}, []

    async def read(name):
        if down:
            raise FlagError("no route (hint: look)")
        return answers[name]

    book = FlagBook(read, back_after_s=1800.0, steady=world.clouds.steady)
    world.clouds.bound = book.bound
    await book.look()

    async def minutes(count):
        shares = set()
        for _ in range(count):
            world.clouds.now += 59.0
            await book.look()
            await world.turns(1)
            shares.add((await world.service.status("move"))["share"])
        return shares

    await world.started()
    book.bound("move")
    await book.look()
    for role, person in (("legal", "Ann"), ("security", "Bo")):
        await world.service.sign("move", role=role, person=person, statement="approved")
    await world.until_share(share)
    down.append(True)
    assert await minutes(29) == {share}, "the last state is held"
    assert await minutes(5) == ({share, 0.0} if is_back else {share})
    status = await world.service.status("move")
    if not is_back:
        assert status["share"] == share, "most callers are there: going back is the greater change"
        return
    assert status["rolled_back"] == "the flag system was not readable for 30 min"

    down.clear()
    answers["crossfade.move"] = 1.0
    assert await minutes(30) == {0.0}, "what the flag allows again is for a person to resume"
    await world.service.command("move", Verb.RESUME, actor="ann", reason="flags are back")
    published = len(world.clouds.published)
    await world.until_share(0.01)
    assert world.clouds.shown["recap"].rollout.epoch == 2
    assert world.clouds.shown["recap"].rollout.share == 0.01, "verified on the gateway before it counts"
    assert len(world.clouds.published) > published


async def test_a_flag_that_comes_back_in_time_changes_nothing_and_the_rollout_goes_on(world):
    world.clouds.flag = FlagBound(1.0)
    await world.signed()
    await world.until_share(0.01)
    for lost_s in (1.0, 600.0, 1799.0):
        world.clouds.flag = FlagBound(1.0, "no route", lost_s, 1800.0)
        await world.turns(20)
        assert (await world.service.status("move"))["share"] == 0.01
    world.clouds.flag = FlagBound(1.0)
    await world.until_share(0.25)


@pytest.mark.parametrize(
    ("value", "share"), [(True, 1.0), (False, 0.0), (0.25, 0.25), ("25%", 0.25), (1, 1.0), ("0%", 0.0)]
)
def test_what_a_flags_value_means(value, share):
    assert share_of_flag("f", value) == share


@pytest.mark.parametrize("value", [25, -0.1, "25", "on", None, [], {}])
def test_a_value_that_is_no_share_is_refused_with_a_hint(value):
    with pytest.raises(FlagError, match="hint: true, false, a number from 0 to 1, or 25%"):
        share_of_flag("f", value)


async def test_a_file_is_read_again_and_what_cannot_be_read_keeps_the_last_bound(tmp_path):
    path = tmp_path / "flags.json"
    book = FlagBook(reader_of(FlagsSection(file=str(path))))
    assert book.bound("move") == FlagBound(None, "it was not read yet")
    await book.look()
    assert "No such file" in book.bound("move").lost

    for text, at_most, lost in (
        ('{"crossfade.move": "25%"}', 0.25, None),
        ('{"other": true}', 0.25, "has no flag crossfade.move"),
        ('{"crossfade.move": 7}', 0.25, "is 7"),
        ("{", 0.25, "neither JSON nor YAML"),
        ("crossfade.move: false", 0.0, None),
    ):
        path.write_text(text)
        await book.look()
        found = book.bound("move")
        assert found.at_most == at_most
        assert found.lost is None if lost is None else lost in found.lost


@pytest.fixture
def flagd():
    """An OFREP server: `values` by flag."""
    values = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            key = self.path.removeprefix("/ofrep/v1/evaluate/flags/")
            is_known = key in values
            body = {"key": key, "value": values.get(key)} if is_known else {"errorCode": "FLAG_NOT_FOUND"}
            text = json.dumps(body).encode()
            self.send_response(200 if is_known else 404)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield values, f"http://127.0.0.1:{server.server_port}", server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_ofrep_server_is_asked_for_the_migrations_own_flag(flagd):
    values, url, server = flagd
    book = FlagBook(reader_of(FlagsSection(ofrep=url)))
    book.bound("move")
    await book.look()
    assert "404 FLAG_NOT_FOUND (hint: create the flag crossfade.move)" in book.bound("move").lost
    values["crossfade.move"] = 0.5
    await book.look()
    assert book.bound("move") == FlagBound(0.5)
    await asyncio.to_thread(server.shutdown)
    server.server_close()
    await book.look()
    assert book.bound("move").at_most == 0.5
    assert "hint: control.flags.ofrep" in book.bound("move").lost


async def test_a_flag_that_changes_is_told_once_and_a_log_that_is_away_is_told_later(tmp_path):
    path, told, away = tmp_path / "flags.json", [], []

    async def note(migration, bound):
        if away:
            raise ConnectionError(away[0])
        told.append((migration, bound.at_most, bound.lost is not None))

    book = FlagBook(reader_of(FlagsSection(file=str(path))), note=note)
    book.bound("move")
    for text in ('{"crossfade.move": 0.5}', '{"crossfade.move": 0.5}', "{", "{", '{"crossfade.move": 0.25}'):
        path.write_text(text)
        await book.look()
    assert told == [("move", 0.5, False), ("move", 0.5, True), ("move", 0.25, False)]
    away.append("the database is away")
    path.write_text('{"crossfade.move": false}')
    await book.look()
    assert book.bound("move") == FlagBound(0.0), "the switch works all the same"
    away.clear()
    book.cut_off()
    await book.look()
    book.heal()
    await book.look()
    assert told[3:] == [("move", 0.0, False)], "a drill is no change"


def test_one_place_of_flags_is_named():
    for wrong in ({}, {"file": "a", "ofrep": "http://b"}):
        with pytest.raises(ValueError, match="name one of file and ofrep"):
            FlagsSection(**wrong)
    assert FlagBook(reader_of(None)).bound("move") is None
