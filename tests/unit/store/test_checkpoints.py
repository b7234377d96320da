"""The audit finds what was done to the log, and names the first row."""

from __future__ import annotations

import sqlite3

import pytest

from crossfade.control.store.checkpoints import Checkpoints
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.signing import SigningKeys


@pytest.fixture
async def place(tmp_path):
    log = await EventLog.open(f"sqlite:///{tmp_path}/control.db", lambda: 1000.0)
    points = Checkpoints(log, SigningKeys(tmp_path / "signing"), tmp_path / "elsewhere", lambda: 1000.0)
    for number in range(6):
        await log.append("s", "k", {"n": number}, actor="ann", reason="because")
        if number in {2, 5}:
            await points.write()
    yield tmp_path, log, points
    await log.close()


def tamper(folder, *statements):
    """What somebody with the database in his hands can do: the triggers do not stop him."""
    with sqlite3.connect(folder / "control.db") as database:
        for name in ("events_no_update", "events_no_delete"):
            database.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            database.execute(statement)


async def test_an_untouched_log_holds(place):
    _, _, points = place
    found = await points.audit()
    assert (found.problem, found.rows, found.checkpoints) == (None, 6, 2)
    assert await points.write() is None  # nothing new, nothing to sign


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["UPDATE events SET payload = '{\"n\":9}' WHERE seq = 4"], "row 4 was changed"),
        (["UPDATE events SET actor = 'eve' WHERE seq = 2"], "row 2 was changed"),
        (["DELETE FROM events WHERE seq = 3"], "row 3 is missing"),
        (
            [
                "UPDATE events SET seq = 100, stream_seq = 100 WHERE seq = 2",
                "UPDATE events SET seq = 2, stream_seq = 2 WHERE seq = 3",
                "UPDATE events SET seq = 3, stream_seq = 3 WHERE seq = 100",
            ],
            "row 2 was changed",
        ),
        (["DELETE FROM events WHERE seq > 4"], "row 5 is missing: the log had 6 rows at a signed checkpoint"),
    ],
    ids=["flipped", "another actor", "deleted", "swapped", "truncated"],
)
async def test_the_first_bad_row_is_named(place, statements, named):
    folder, _, points = place
    tamper(folder, *statements)
    assert (await points.audit()).problem.startswith(named)


async def test_a_log_written_anew_is_found_by_its_checkpoints(place):
    folder, log, points = place
    tamper(folder, "DELETE FROM events")
    for number in range(8):
        await log.append("s", "k", {"n": -number}, actor="ann", reason="because")
    assert await log.verify() is None
    assert (await points.audit()).problem.startswith("row 3 is not the one a signed checkpoint saw")


async def test_a_forged_checkpoint_is_found_and_a_torn_one_forgiven(place):
    folder, log, points = place
    file = folder / "elsewhere" / "checkpoints.ndjson"
    whole = file.read_text()
    file.write_text(whole[:-40])  # the power went while it was written
    assert (await points.audit()).problem is None
    await log.append("s", "k", {}, actor="ann", reason="because")
    assert await points.write() is not None
    assert (await points.audit()).problem is None
    file.write_text(whole.replace('"sig": "', '"sig": "00', 1))
    assert (await points.audit()).problem.startswith("checkpoint 1 does not verify")


async def test_a_lease_from_before_the_clock_was_set_back_can_be_taken(tmp_path):
    now = [10_000.0]
    log = await EventLog.open(f"sqlite:///{tmp_path}/control.db", lambda: now[0])
    assert await log.acquire_lease("migrations", "a", 5.0)
    assert not await log.acquire_lease("migrations", "b", 5.0)
    now[0] -= 3600.0
    assert await log.acquire_lease("migrations", "b", 5.0)
    await log.close()
