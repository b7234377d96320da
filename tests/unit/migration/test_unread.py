"""The way back of a control that has not read its log: each gateway says what it carries."""

from __future__ import annotations

import asyncio
import threading

import pytest

from crossfade.control.evidence.gateway_admin import AdminError
from crossfade.control.migration.unread import Asked, Unread
from crossfade.control.store.aside import Aside
from crossfade.domain.route import Target
from crossfade.domain.snapshot import Rollout

WHY = "the database is away"


def split(migration="move", *, epoch=2, salt="move-1", share=0.3):
    return Rollout(migration, epoch, salt, share, share, Target("new", {}), 5, 20)


class Gateways:
    """By name: which feature is split how, and which switches are pulled."""

    def __init__(self, **carried):
        self.carried = carried
        self.killed = {name: set() for name in carried}
        self.away = set()
        self.stuck = set()
        self.elsewhere = ()
        self.cuts = []
        self.uncut = set()
        self.before_kill = lambda: None

    def names(self):
        return tuple(self.carried)

    def uncallable(self):
        return self.elsewhere

    def call(self, gateway):
        if gateway in self.away:
            raise AdminError(f"{gateway}: connection refused (hint: look)")

    async def rollouts(self, gateway):
        self.call(gateway)
        return self.carried[gateway]

    async def kill(self, gateway, feature, *, is_killed):
        self.call(gateway)
        assert is_killed
        self.before_kill()
        if gateway not in self.stuck:
            self.killed[gateway].add(feature)

    async def share(self, gateway, feature):
        self.call(gateway)
        return 0.0 if feature in self.killed[gateway] else self.carried[gateway][feature].share

    async def cut(self, gateway, feature):
        self.call(gateway)
        if (gateway, feature) in self.uncut:
            raise AdminError("there is no such feature")
        self.cuts.append((gateway, feature))
        return 2


class Clock:
    def __init__(self):
        self.now = 100.0
        self.paused = []

    def __call__(self):
        return self.now

    async def pause(self, seconds):
        self.paused.append(seconds)
        self.now += seconds


def unread_of(gateways, tmp_path, clock=None, heard_s=0.0):
    clock = clock or Clock()
    return Unread(gateways, Aside(tmp_path / "aside.ndjson"), clock, clock, clock.pause, heard_s)


def asked(migration="move", **more):
    return Asked(migration, "ann", "it lies", **more)


async def test_the_switches_of_the_named_migration_are_pulled_on_every_gateway_and_of_no_other(tmp_path):
    gateways = Gateways(
        g1={"recap": split(), "title": split(), "ask": split("other", salt="other-1")},
        g2={"recap": split()},
        g3={"ask": split("other", salt="other-1")},
    )
    unread = unread_of(gateways, tmp_path)
    result = await unread.roll_back(asked(), why=WHY)
    assert gateways.killed == {"g1": {"recap", "title"}, "g2": {"recap"}, "g3": set()}
    assert (result.is_zero, result.killed, result.missing) == (True, ("g1", "g2"), ())
    assert (result.gateways, result.unlogged, result.is_set_aside) == (("g1", "g2", "g3"), WHY, True)
    [(_, line)] = unread.aside.unsettled()
    assert (line["migration"], line["epoch"], line["salt"], line["actor"]) == ("move", 2, "move-1", "ann")
    assert line["reason"] == "asked by ann: it lies (while the log could not be reached)"
    assert line["hard"] is False


async def test_a_gateway_that_was_not_reached_is_named(tmp_path):
    gateways = Gateways(g1={"recap": split()}, g2={"recap": split()}, g3={"recap": split()})
    gateways.away, gateways.stuck, gateways.elsewhere = {"g2"}, {"g3"}, ("g4",)
    result = await unread_of(gateways, tmp_path).roll_back(asked(), why=WHY)
    assert (result.is_zero, result.killed, result.missing) == (False, ("g1",), ("g2", "g3", "g4"))
    assert result.is_set_aside


async def test_where_no_gateway_has_asked_yet_nothing_was_done_and_it_says_so(tmp_path):
    unread = unread_of(Gateways(), tmp_path)
    result = await unread.roll_back(asked(), why=WHY)
    assert (result.is_zero, result.killed, result.is_set_aside) == (False, (), False)
    assert result.missing == ("a gateway (none has asked this control yet)",)
    assert unread.aside.unsettled() == []


async def test_a_migration_that_no_gateway_carries_is_refused_with_those_they_do(tmp_path):
    unread = unread_of(Gateways(g1={"recap": split()}, g2={}), tmp_path)
    with pytest.raises(
        LookupError,
        match=r"no gateway carries a split of migration 'moove', so its candidate answers no caller, though "
        r"copies of requests may reach it.*g1, g2 carry move;",
    ):
        await unread.roll_back(asked("moove"), why=WHY)
    assert unread.aside.unsettled() == []
    unread.admin.away = {"g2"}
    result = await unread.roll_back(asked("moove"), why=WHY)
    assert (result.is_zero, result.missing, result.is_set_aside) == (False, ("g2",), False)


async def test_a_control_that_has_just_started_waits_until_every_gateway_can_have_asked(tmp_path):
    gateways, clock = Gateways(g1={"recap": split()}), Clock()

    async def pause(seconds):
        assert gateways.killed["g1"] == {"recap"}, "who is known waits for nobody"
        gateways.carried["g2"], gateways.killed["g2"] = {"recap": split()}, set()
        await clock.pause(seconds)

    unread = unread_of(gateways, tmp_path, clock, heard_s=clock() + 4.0)
    unread.pause = pause
    result = await unread.roll_back(asked(), why=WHY)
    assert (result.killed, result.seconds) == (("g1", "g2"), 4.0)
    assert len(unread.aside.unsettled()) == 1
    await unread.roll_back(asked(), why=WHY)
    assert clock.paused == [4.0], "later it need not"


async def test_a_hard_rollback_cuts_what_is_under_way(tmp_path):
    gateways = Gateways(g1={"recap": split()}, g2={"recap": split()})
    gateways.away = {"g2"}
    result = await unread_of(gateways, tmp_path).roll_back(asked(hard=True), why=WHY)
    assert (result.cut, result.uncut) == ({"g1": 2}, ("g2",))


async def test_one_that_hangs_until_all_can_have_asked_hides_none_that_was_heard_meanwhile(tmp_path):
    gateways, clock = Gateways(g1={"recap": split()}), Clock()
    gateways.away = {"g1"}
    unread = unread_of(gateways, tmp_path, clock, heard_s=clock() + 4.0)
    call = gateways.call

    def hangs(gateway):
        if gateway == "g1":
            clock.now += 5.0
            gateways.carried["g2"] = {"recap": split()}
            gateways.killed.setdefault("g2", set())
        call(gateway)

    gateways.call = hangs
    result = await unread.roll_back(asked(), why=WHY)
    assert (result.killed, result.missing, result.is_set_aside) == (("g2",), ("g1",), True)


async def test_a_hard_rollback_is_tried_and_told_also_where_no_switch_was_confirmed(tmp_path):
    gateways = Gateways(g1={"recap": split(), "title": split()})
    gateways.stuck, gateways.uncut, gateways.elsewhere = {"g1"}, {("g1", "recap")}, ("g2",)
    result = await unread_of(gateways, tmp_path).roll_back(asked(hard=True), why=WHY)
    assert (result.killed, result.missing) == ((), ("g1", "g2"))
    assert gateways.cuts == [("g1", "title")], "one that fails keeps no other"
    assert (result.cut, result.uncut) == ({"g1": 2}, ("g2", "g1"))
    nobody = await unread_of(Gateways(), tmp_path).roll_back(asked(hard=True), why=WHY)
    assert nobody.uncut == nobody.missing == ("a gateway (none has asked this control yet)",)


async def test_calls_of_another_migration_are_not_cut(tmp_path):
    other = split("other", salt="other-1")
    gateways = Gateways(g1={"recap": split(), "ask": other}, g2={"recap": other, "ask": split()}, g3={})
    result = await unread_of(gateways, tmp_path).roll_back(asked(hard=True), why=WHY)
    assert sorted(gateways.cuts) == [("g1", "recap"), ("g2", "ask")]
    assert (result.cut, result.uncut) == ({"g1": 2, "g2": 2}, ())


async def test_it_is_on_the_disk_before_it_is_done_and_once_for_each_start_and_epoch(tmp_path):
    gateways = Gateways(g1={"recap": split()}, g2={"recap": split(), "title": split()})
    unread = unread_of(gateways, tmp_path)
    kept = []
    gateways.before_kill = lambda: kept.append(len(Aside(unread.aside.path).unsettled()))
    await unread.roll_back(asked(), why=WHY)
    assert kept == [1, 1, 1]
    again = await unread.roll_back(asked(hard=True), why=WHY)
    assert (len(unread.aside.unsettled()), again.is_set_aside) == (1, True)


async def test_a_disk_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("crossfade.control.migration.effects.LOGGED_WITHIN_S", 0.0)
    gateways, goes_on = Gateways(g1={"recap": split()}), threading.Event()
    unread = unread_of(gateways, tmp_path)
    write = unread.aside.write

    class Hangs(Aside):
        def write(self, line):
            goes_on.wait()
            write(line)

    unread.aside = Hangs(unread.aside.path)
    try:
        result = await unread.roll_back(asked(), why=WHY)
        assert (result.is_zero, result.is_set_aside) == (True, False)
    finally:
        goes_on.set()
        await asyncio.gather(*unread.writing.values())


async def test_at_full_share_it_says_that_the_migration_may_be_closed(tmp_path):
    gateways = Gateways(g1={"recap": split(share=1.0)})
    result = await unread_of(gateways, tmp_path).roll_back(asked(), why=WHY)
    assert result.is_zero
    assert result.unlogged.startswith(f"{WHY}; its candidate had all requests: if the migration is closed,")


async def test_where_the_disk_takes_nothing_it_is_done_and_not_promised_to_the_log(tmp_path):
    gateways = Gateways(g1={"recap": split()})
    result = await unread_of(gateways, tmp_path / "nowhere").roll_back(asked(), why=WHY)
    assert (result.is_zero, result.is_set_aside) == (True, False)


async def test_it_holds_to_the_rollback_where_a_gateway_forgets_it_or_is_heard_later(tmp_path):
    gateways = Gateways(g1={"recap": split(), "ask": split("other", salt="other-1")})
    unread = unread_of(gateways, tmp_path)
    await unread.hold()
    assert gateways.killed == {"g1": set()}, "nothing was rolled back yet"
    await unread.roll_back(asked(), why=WHY)
    gateways.killed["g1"].clear()
    gateways.carried["g2"], gateways.killed["g2"] = {"recap": split(epoch=1)}, set()
    gateways.carried["g3"], gateways.killed["g3"] = {"recap": split()}, set()
    gateways.away = {"g3"}
    await unread_of(gateways, tmp_path).hold()  # another process, over the same folder
    assert gateways.killed == {"g1": {"recap"}, "g2": {"recap"}, "g3": set()}
    gateways.away = set()
    await unread.hold()
    assert gateways.killed["g3"] == {"recap"}


@pytest.mark.parametrize("newer", [split(epoch=3), split(salt="move-2", epoch=1), split(share=0.0)])
async def test_it_holds_no_migration_that_was_resumed_or_started_anew(tmp_path, newer):
    gateways = Gateways(g1={"recap": split()})
    unread = unread_of(gateways, tmp_path)
    await unread.roll_back(asked(), why=WHY)
    gateways.carried["g1"], gateways.killed["g1"] = {"recap": newer}, set()
    await unread.hold()
    assert gateways.killed["g1"] == set()


async def test_a_line_that_says_nothing_stops_no_other(tmp_path):
    gateways = Gateways(g1={"recap": split()})
    unread = unread_of(gateways, tmp_path)
    for line in (
        {"reason": "of no migration"},
        {"migration": "move"},
        {"migration": "move", "epoch": "two"},
        {"migration": ["move"], "epoch": 2, "salt": None},
    ):
        unread.aside.write(line)
    await unread.roll_back(asked(), why=WHY)
    gateways.killed["g1"].clear()
    await unread.hold()
    assert gateways.killed["g1"] == {"recap"}


async def test_it_holds_no_more_once_the_log_has_it(tmp_path):
    gateways = Gateways(g1={"recap": split()})
    unread = unread_of(gateways, tmp_path)
    await unread.roll_back(asked(), why=WHY)
    gateways.killed["g1"].clear()
    unread.aside.settle(1)
    await unread.hold()
    assert gateways.killed["g1"] == set()


async def test_gateways_that_carry_two_starts_of_one_name_leave_a_line_of_each(tmp_path):
    gateways = Gateways(
        g1={"recap": split(epoch=1)},
        g2={"recap": split(epoch=3)},
        g3={"recap": split(salt="move-0", epoch=9)},
    )
    unread = unread_of(gateways, tmp_path)
    await unread.roll_back(asked(), why=WHY)
    lines = {(line["salt"], line["epoch"]) for _, line in unread.aside.unsettled()}
    assert {("move-1", 3), ("move-0", 9)} <= lines
