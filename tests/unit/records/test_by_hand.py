"""What is done at a gateway's own admin port is a line of the log, once, also over a restart of control."""

from __future__ import annotations

import pytest

from crossfade.control.records.by_hand import BY_HAND, CONTROL, ByHand
from crossfade.control.records.counters import CounterBoard
from crossfade.control.records.own_turns import UNSEEN_S, OwnTurns
from crossfade.control.store.eventlog import EventLog
from crossfade.domain.attempt import Ack, Counters, EndpointHealth, FeatureEffect

CLOSED = ("closed", "")


class Control:
    """One control process beside others on the same database, with a state folder of its own."""

    def __init__(self, log: EventLog, place) -> None:
        self.now, self.log, self.place = 100.0, log, place
        self.board = CounterBoard(lambda: self.now)
        self.own = OwnTurns(place, lambda: self.now)
        self.by_hand = ByHand(self.board, log, self.own)

    def turn(self, *, killed):
        """It turns the switch itself."""
        self.own.note("g1", "recap", is_killed=killed)

    def restarted(self):
        return Control(self.log, self.place)

    async def actors(self):
        return [actor for _, actor, _ in await self.told()]

    def hear(self, *, killed=False, endpoint=CLOSED, gateway="g1"):
        state, reason = endpoint
        self.board.observe(
            Counters(
                gateway, 1, 0, 1, (), (EndpointHealth("new-1", state, 1.0, reason),),
                (FeatureEffect("recap", 0.0, None, None, killed),), 0, 0, 0,
            )
        )  # fmt: skip

    async def told(self):
        await self.by_hand.look()
        return [(line.stream, line.actor, line.reason) for line in await self.log.read()]


@pytest.fixture
async def log(tmp_path):
    opened = await EventLog.open(f"sqlite:///{tmp_path}/c.db")
    yield opened
    await opened.close()


@pytest.fixture
def control(log, tmp_path):
    return Control(log, tmp_path / "turns.json")


async def test_a_switch_and_a_force_are_told_once_with_gateway_and_reason(control):
    control.hear()
    assert await control.told() == []
    control.hear(killed=True, endpoint=("forced_open", "INC-7"))
    rows = [
        ("gateway/g1", BY_HAND, "the kill switch of recap is pulled"),
        ("gateway/g1", BY_HAND, "new-1 is forced open: INC-7"),
    ]
    assert await control.told() == rows
    assert await control.told() == rows
    control.hear(killed=True, endpoint=("open", "5 of 20 failed"))
    rows.append(
        ("gateway/g1", BY_HAND, "new-1 is not forced any more: released, run out, or forgotten in a restart")
    )
    assert await control.told() == rows


async def test_a_restarted_control_goes_on_from_the_log_and_an_ack_says_nothing_of_endpoints(control):
    control.hear(killed=True, endpoint=("forced_closed", "INC-7"))
    rows = await control.told()
    again = control.restarted()
    again.board.acknowledge(Ack("g1", 1, 0, (FeatureEffect("recap", 0.0, None, None, True),)))
    assert await again.told() == rows
    again.hear(killed=True, endpoint=("forced_closed", "INC-7"))
    assert await again.told() == rows
    again.hear(endpoint=("forced_closed", "INC-7"))
    released = ("gateway/g1", BY_HAND, "the kill switch of recap is released, or forgotten in a restart")
    assert await again.told() == [*rows, released]


async def test_what_control_pulled_itself_is_told_as_its_own(control):
    control.hear()
    await control.told()
    control.turn(killed=True)
    control.turn(killed=True)
    control.hear(killed=True)
    assert await control.actors() == [CONTROL]


async def test_what_control_pulled_before_it_was_killed_is_told_as_its_own_when_it_is_back(control):
    control.turn(killed=True)
    again = control.restarted()
    again.now += 3600.0
    again.hear(killed=True)
    assert await again.actors() == [CONTROL]
    assert await again.restarted().actors() == [CONTROL]


async def test_a_turn_that_is_back_before_it_was_looked_at_is_still_told_as_its_own(control):
    """As in a drill, which goes on as soon as a report shows the switch pulled."""
    control.hear()
    await control.told()
    control.turn(killed=True)
    control.hear(killed=True)
    control.turn(killed=False)
    assert await control.actors() == [CONTROL]
    control.hear()
    assert await control.actors() == [CONTROL, CONTROL]


async def test_what_others_do_after_control_is_theirs(control):
    control.turn(killed=True)
    control.hear(killed=True)
    for killed in (True, False, True):
        control.hear(killed=killed)
        await control.told()
    assert await control.actors() == [CONTROL, BY_HAND, BY_HAND]


async def test_what_no_report_shows_is_not_waited_for(control):
    control.hear()
    control.turn(killed=True)
    control.turn(killed=False)
    await control.told()
    control.now += UNSEEN_S + 1.0
    control.hear()
    await control.told()
    control.hear(killed=True)
    assert await control.actors() == [BY_HAND]
    assert control.restarted().own.turns == []


async def test_turns_that_cannot_be_kept_or_read_stop_nothing(control, log, tmp_path):
    (tmp_path / "turns.json").write_text('[{"gateway":')
    torn = control.restarted()
    torn.hear(killed=True)
    assert await torn.actors() == [BY_HAND]
    full = Control(log, tmp_path / "no such folder" / "turns.json")
    full.hear(killed=True)
    await full.told()
    full.turn(killed=False)
    full.hear()
    assert await full.actors() == [BY_HAND, CONTROL]


async def test_of_two_controls_one_tells(control, log, tmp_path):
    other = Control(log, tmp_path / "other.json")
    for one in (control, other):
        one.hear()
        await one.told()
    for one in (control, other):
        one.hear(killed=True)
        await one.told()
    assert len(await other.told()) == 1


async def test_a_gateway_that_is_silent_is_not_looked_at(control):
    control.hear(killed=True)
    control.now += 6.0
    assert await control.told() == []
