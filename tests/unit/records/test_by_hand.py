"""What is done at a gateway's own admin port is a line of the log, once, also over a restart of control."""

from __future__ import annotations

import pytest

from crossfade.control.records.by_hand import BY_HAND, CONTROL, ByHand
from crossfade.control.records.counters import CounterBoard
from crossfade.control.store.eventlog import EventLog
from crossfade.domain.attempt import Ack, Counters, EndpointHealth, FeatureEffect

CLOSED = ("closed", "")


class Control:
    """One control process beside others on the same database."""

    def __init__(self, log: EventLog) -> None:
        self.now, self.log, self.own = 100.0, log, set()
        self.board = CounterBoard(lambda: self.now)
        self.by_hand = ByHand(self.board, log, lambda *switch: switch in self.own)

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
def control(log):
    return Control(log)


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


async def test_a_restarted_control_goes_on_from_the_log_and_an_ack_says_nothing_of_endpoints(control, log):
    control.hear(killed=True, endpoint=("forced_closed", "INC-7"))
    rows = await control.told()
    again = Control(log)
    again.board.acknowledge(Ack("g1", 1, 0, (FeatureEffect("recap", 0.0, None, None, True),)))
    assert await again.told() == rows
    again.hear(killed=True, endpoint=("forced_closed", "INC-7"))
    assert await again.told() == rows
    again.hear(endpoint=("forced_closed", "INC-7"))
    released = ("gateway/g1", BY_HAND, "the kill switch of recap is released, or forgotten in a restart")
    assert await again.told() == [*rows, released]


async def test_what_control_pulled_itself_is_told_as_its_own(control):
    control.own.add(("g1", "recap", True))
    control.hear(killed=True)
    assert [actor for _, actor, _ in await control.told()] == [CONTROL]


async def test_of_two_controls_one_tells(control, log):
    other = Control(log)
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
