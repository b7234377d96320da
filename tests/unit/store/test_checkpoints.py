"""The audit finds what was done to the log, and names the first row."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.main import app
from crossfade.control.api.metrics import LogCollector
from crossfade.control.store import checkpoints
from crossfade.control.store.audit import audit
from crossfade.control.store.checkpoints import Checkpoints
from crossfade.control.store.eventlog import EventLog, StoreError
from crossfade.control.store.signing import SigningKeys

ROWS = 6


class Place:
    """A state folder, its log, and the second place."""

    def __init__(self, folder, log):
        self.folder, self.log = folder, log
        self.points = self.begin()
        self.file = folder / "checkpoints" / "checkpoints.ndjson"

    def begin(self):
        """What a control that starts makes."""
        return Checkpoints(
            self.log, SigningKeys(self.folder / "signing"), self.folder / "checkpoints", lambda: 1000.0
        )

    async def append(self, number, points=None):
        """A row, and what the loop does after it."""
        await self.log.append("s", "k", {"n": number}, actor="ann", reason="because")
        await (points or self.points).write()

    def tamper(self, *statements):
        """What somebody with the database in his hands can do: the triggers do not stop him."""
        with sqlite3.connect(self.folder / "control.db") as database:
            for name in ("events_no_update", "events_no_delete"):
                database.execute(f"DROP TRIGGER IF EXISTS {name}")
            for statement in statements:
                database.execute(statement)
        database.close()

    def metrics(self):
        """By name."""
        return {one.name: one.samples[0].value for one in LogCollector(self.points).collect()}


@pytest.fixture
async def place(tmp_path):
    log = await EventLog.open(f"sqlite:///{tmp_path}/control.db", lambda: 1000.0)
    place = Place(tmp_path, log)
    for number in range(ROWS):
        await place.append(number)
    yield place
    await log.close()


async def test_an_untouched_log_holds(place):
    found = await place.points.audit()
    assert (found.problem, found.rows, found.checkpoints, found.unsigned) == (None, ROWS, ROWS, 0)
    assert await place.points.write() is None  # nothing new, nothing to sign
    assert place.metrics() == {"crossfade_log_broken": 0.0, "crossfade_log_unsigned_seconds": 0.0}


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
        (["DELETE FROM events WHERE seq > 5"], "row 6 is missing: the log had 6 rows at a signed checkpoint"),
        (["DELETE FROM events WHERE seq > 1"], "row 2 is missing: the log had 6 rows at"),
        (["DELETE FROM events"], "row 1 is missing: the log had 6 rows at"),
    ],
    ids=["flipped", "another actor", "deleted", "swapped", "last cut", "all but one cut", "all cut"],
)
async def test_the_first_bad_row_is_named(place, statements, named):
    place.tamper(*statements)
    assert (await place.points.audit()).problem.startswith(named)
    assert place.metrics()["crossfade_log_broken"] == 1.0


@pytest.mark.parametrize("left", [0, 1, ROWS - 1])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_tail_that_grew_again_after_it_was_cut_is_found_and_stays_found(place, left, restarts):
    place.tamper(f"DELETE FROM events WHERE seq > {left}")
    for number in range(3 * ROWS):
        points = place.begin() if restarts else place.points
        await place.append(-1 - number, points)
        assert number or points.problem is not None  # seen at the first row, without an audit
    assert await place.log.verify() is None
    found = await place.begin().audit()
    assert found.problem == f"row {left + 1} is not the one a signed checkpoint saw: the log was written anew"


async def test_an_older_copy_of_the_whole_database_is_found(place):
    copy = place.folder / "copy.db"
    with sqlite3.connect(place.folder / "control.db") as whole, sqlite3.connect(copy) as old:
        whole.backup(old)
    for number in range(3):
        await place.append(number)
    await place.log.close()
    for name in ("control.db-wal", "control.db-shm"):
        (place.folder / name).unlink(missing_ok=True)
    shutil.move(copy, place.folder / "control.db")
    place.log = await EventLog.open(f"sqlite:///{place.folder}/control.db")
    again = place.begin()
    await again.look_back()  # as control starts
    assert again.problem == f"row {ROWS + 1} is missing: the log had {ROWS + 3} rows at a signed checkpoint"
    await place.log.close()


async def test_a_database_moved_away_from_under_control_is_found(place):
    (place.folder / "control.db").rename(place.folder / "elsewhere.db")
    with pytest.raises(StoreError, match="there is no database"):
        await place.points.audit()


async def test_a_log_without_any_checkpoint_is_not_called_good(place):
    unmounted = place.folder / "unmounted"
    found = await audit(place.log, SigningKeys(place.folder / "signing"), unmounted)
    assert found.problem.startswith(f"no signed checkpoint in {unmounted}")
    assert found.unsigned == ROWS
    place.file.unlink()
    place.file.mkdir()
    assert (await place.points.audit()).problem.startswith("the second place cannot be read")


async def test_a_forged_checkpoint_is_found_and_a_torn_one_forgiven(place):
    whole = place.file.read_text()
    place.file.write_text(whole[:-40])  # the power went while it was written
    again = place.begin()
    assert (await again.audit()).problem is None
    assert place.file.read_text().count("\n") == ROWS + 1  # the head is signed once more, after the torn line
    place.file.write_text(whole.replace('"sig": "', '"sig": "00', 1))
    assert (await place.points.audit()).problem.startswith("checkpoint 1 does not verify")
    place.file.write_bytes(whole.encode().replace(b"payload", b"pay\xffoad", 1))
    assert (await place.points.audit()).problem.startswith("checkpoint 1 does not verify")


async def until(is_so):
    """Let the loop and its threads get there."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - files and threads tell by no event
            await asyncio.sleep(0.001)


async def test_the_loop_signs_each_row_at_once_and_many_together(place):
    running = asyncio.create_task(place.points.run())
    for number in range(50):
        await place.log.append("s", "k", {"n": number}, actor="ann", reason="because")
    assert place.points.unsigned_since is not None
    await until(lambda: place.points.unsigned_since is None)
    heads = [json.loads(line) for line in place.file.read_text().splitlines()]
    assert ROWS < len(heads) <= ROWS + 50
    running.cancel()
    found = await place.points.audit()
    assert (found.problem, found.rows, found.unsigned) == (None, ROWS + 50, 0)


async def test_no_append_waits_for_a_second_place_that_is_away(place, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(checkpoints, "RETRY_S", 0.0)
    away = place.folder / "away"
    place.file.parent.rename(away)
    place.file.parent.write_text("no folder")
    running = asyncio.create_task(place.points.run())
    for number in range(3):
        await place.log.append("s", "k", {"n": number}, actor="ann", reason="because")
    await until(lambda: "checkpoints: " in caplog.text)
    assert place.metrics()["crossfade_log_unsigned_seconds"] > 0.0
    place.file.parent.unlink()
    away.rename(place.file.parent)
    await until(lambda: place.points.unsigned_since is None)
    running.cancel()
    assert caplog.text.count("File exists") + caplog.text.count("Not a directory") == 1  # told once
    assert "written again" in caplog.text
    assert (await place.points.audit()).problem is None


async def test_the_end_of_control_signs_what_is_left(place):
    await place.log.append("s", "k", {}, actor="ann", reason="because")
    await place.points.close()
    place.tamper(f"DELETE FROM events WHERE seq > {ROWS}")
    assert (await place.points.audit()).problem.startswith(f"row {ROWS + 1} is missing")


def cli(place, *more):
    """`crossfade audit verify` where no control answers."""
    (place.folder / "crossfade.yaml").write_text(
        "endpoints: {gpt: openai/gpt-5-mini}\nfeatures: {recap: [gpt]}\ncontrol: {listen: 127.0.0.1:9}\n"
    )
    asked = [
        "audit",
        "verify",
        "--config",
        f"{place.folder}/crossfade.yaml",
        "--state",
        str(place.folder),
        *more,
    ]
    return CliRunner().invoke(app, asked)


async def test_the_command_reads_the_log_where_control_has_stopped(place):
    await place.log.close()
    said = await asyncio.to_thread(cli, place)
    assert (said.exit_code, said.stdout) == (0, f"the log holds: {ROWS} rows, {ROWS} checkpoints\n")
    assert "does not answer" in said.stderr
    place.tamper(f"DELETE FROM events WHERE seq = {ROWS}")
    said = await asyncio.to_thread(cli, place, "--offline", "--json")
    found = json.loads(said.stdout)
    assert (said.exit_code, found["ok"], said.stderr) == (1, False, "")
    assert found["problem"] == f"row {ROWS} is missing: the log had {ROWS} rows at a signed checkpoint"
    (place.folder / "control.db").unlink()
    said = await asyncio.to_thread(cli, place, "--offline")
    assert said.exit_code == 1
    assert "there is no database" in said.stderr
    assert not (place.folder / "control.db").exists()


async def test_rows_after_the_last_checkpoint_are_told(place):
    await place.log.append("s", "k", {}, actor="ann", reason="because")  # and control is killed here
    await place.log.close()
    said = await asyncio.to_thread(cli, place, "--offline")
    assert (
        said.stdout
        == f"the log holds: {ROWS + 1} rows, {ROWS} checkpoints; the last 1 are in no checkpoint yet\n"
    )


async def test_pages_of_an_audit_are_one_chain(place, monkeypatch):
    monkeypatch.setattr("crossfade.control.store.eventlog.PAGE_ROWS", 4)
    assert (await place.points.audit()).rows == ROWS
    place.tamper("UPDATE events SET previous_hash = 'x', hash = 'y' WHERE seq = 5")
    assert (await place.points.audit()).problem == "row 5 was changed"


async def test_a_lease_from_before_the_clock_was_set_back_can_be_taken(tmp_path):
    now = [10_000.0]
    log = await EventLog.open(f"sqlite:///{tmp_path}/control.db", lambda: now[0])
    assert await log.acquire_lease("migrations", "a", 5.0)
    assert not await log.acquire_lease("migrations", "b", 5.0)
    now[0] -= 3600.0
    assert await log.acquire_lease("migrations", "b", 5.0)
    await log.close()
