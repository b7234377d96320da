from __future__ import annotations

import pytest

from crossfade.control.ledger.units import UnitsBook, UnitsChange, unit_hours
from crossfade.control.store.eventlog import EventLog


def test_units_are_charged_from_each_change_to_the_next():
    changes = [UnitsChange(0, "a", 4), UnitsChange(1800, "a", 10), UnitsChange(1800, "b", 1)]

    assert unit_hours(changes, 3600) == {"a": pytest.approx(4 * 0.5 + 10 * 0.5), "b": pytest.approx(0.5)}


def test_units_given_back_cost_nothing_any_more():
    assert unit_hours([UnitsChange(0, "a", 4), UnitsChange(3600, "a", 0)], 36_000) == {"a": pytest.approx(4)}


async def test_the_book_survives_a_restart_and_notes_only_what_changed(tmp_path):
    now = [0.0]
    log = await EventLog.open(f"sqlite:///{tmp_path}/log.db", clock=lambda: now[0])
    await UnitsBook(log).note({"a": 4}, actor="control", reason="started")
    now[0] = 1800.0
    await UnitsBook(log).note({"a": 4}, actor="control", reason="started")
    await UnitsBook(log).note({"a": 8}, actor="control", reason="load test")

    assert await UnitsBook(log).hours(3600) == {"a": pytest.approx(2 + 4)}
    assert len(await log.read("units")) == 2
    await log.close()
