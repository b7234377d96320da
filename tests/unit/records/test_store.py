"""Intake and storage of attempt records: nothing lost, nothing twice, whatever breaks between."""

from __future__ import annotations

import fcntl
import json
import threading

import duckdb
import pytest

from crossfade.control.evidence.capacity.loadtest import body_of
from crossfade.control.evidence.capacity.profile import record_profile, replay
from crossfade.control.records import files
from crossfade.control.records.layout import Layout
from crossfade.control.records.store import RecordStore

HOUR_MS = 3_600_000


def line(number: int, *, arm: str = "main", at_ms: int = 1_795_000_000_000, text: str | None = None) -> str:
    shadow = arm == "shadow"
    timings = dict.fromkeys(("queue_ms", "total_ms"), 1.0) | dict.fromkeys(
        ("connect_ms", "header_ms", "first_content_ms", "gap_p50_ms", "gap_max_ms")
    )
    record = {
        "attempt_id": f"r{number}.{'s' if shadow else ''}0", "request_id": f"r{number}", "index": 0,
        "gateway": "g", "snapshot_version": 1, "started_unix_ms": at_ms + number, "feature": "recap",
        "caller": None, "unit": f"u{number}", "arm": arm, "arm_name": "move" if shadow else None,
        "share": None, "endpoint": "e", "provider": "p", "region": None, "model": "m",
        "capacity_class": "on-demand", "served_tier": None, "role": "shadow" if shadow else "first",
        "reason": "primary", "next_reason": None, "stream": True, "outcome": "ok", "error_kind": None,
        "error_detail": None, "http_status": 200, "provider_request_id": None, "pushback_ms": None,
        "committed": True, "final": True, "caller_error": False, "timings": timings, "usage": None,
        "stop_reason": "end", "max_output_tokens": None,
        "content": {"request": "{}", "response": text} if text else None,
    }  # fmt: skip
    return json.dumps(record)


@pytest.fixture
def opened(tmp_path):
    """Opens a store on the same folder as if control had started (again)."""
    made: list[RecordStore] = []

    def start() -> RecordStore:
        for before in made:
            before.close()
        made[:] = [RecordStore(tmp_path)]
        return made[0]

    yield start
    for store in made:
        store.close()


def count(store: RecordStore) -> int:
    return store.query("SELECT count(*) AS n FROM attempts")[0]["n"]


def test_records_are_there_before_and_after_they_become_parquet(opened, tmp_path):
    store = opened()
    assert store.ingest([line(1), line(2)]).accepted == 2
    assert count(store) == 2
    assert not list(tmp_path.glob("date=*/**/*.parquet"))

    store.flush()

    assert count(store) == 2
    assert len(list(tmp_path.glob("date=*/hour=*/*.parquet"))) == 1
    assert not list((tmp_path / "pending").iterdir())


def test_each_attempt_counts_once_also_across_a_restart(opened, tmp_path):
    store = opened()
    store.ingest([line(1), line(1), line(2)])
    store.flush()
    store.ingest([line(3)])
    again = opened().ingest([line(1), line(3), line(4)])

    assert (again.accepted, again.duplicates) == (1, 2)
    assert count(opened()) == 4


def test_rows_land_in_the_partition_of_their_own_hour(opened, tmp_path):
    store = opened()
    store.ingest([line(1), line(2, at_ms=1_795_000_000_000 + HOUR_MS)])
    store.flush()

    assert len({path.parent for path in tmp_path.glob("date=*/hour=*/*.parquet")}) == 2


def test_what_is_no_record_is_kept_apart_and_said(opened, tmp_path):
    intake = opened().ingest([line(1), "{}", "garbage"])

    assert (intake.accepted, intake.refused) == (1, 2)
    assert len((tmp_path / "refused.ndjson").read_text().splitlines()) == 2


def test_a_half_written_line_of_a_crash_is_cut_off_and_the_rest_kept(opened, tmp_path):
    opened().ingest([line(1)])
    pending = next((tmp_path / "pending").iterdir())
    with pending.open("a") as file:
        file.write(line(2)[:100])

    assert count(opened()) == 1


def test_a_crash_between_conversion_and_deletion_doubles_nothing(opened, tmp_path):
    store = opened()
    store.ingest([line(1), line(2)])
    pending = next((tmp_path / "pending").iterdir())
    text = pending.read_text()
    store.flush()
    pending.write_text(text)  # as if the crash had come before its deletion

    assert count(opened()) == 2


def test_many_small_files_are_merged_and_a_crash_in_between_doubles_nothing(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MERGE_AT", 3)
    store = opened()
    for number in range(2):
        store.ingest([line(number)])
        store.flush()
    kept = {path: path.read_bytes() for path in tmp_path.glob("date=*/hour=*/*.parquet")}
    store.ingest([line(2)])
    store.flush()
    merged = list(tmp_path.glob("date=*/hour=*/*.parquet"))
    assert [path.stem.startswith("merged") for path in merged] == [True]

    for path, content in kept.items():  # as if the crash had come before the deletion
        path.write_bytes(content)
    merged[0].with_suffix(".merging").write_text(json.dumps([path.name for path in kept]))

    assert count(opened()) == 3


def test_a_full_disk_takes_nothing_of_the_batch_and_leaves_the_file_whole(opened, tmp_path, monkeypatch):
    store = opened()
    store.ingest([line(1)])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.ingest([line(2)])

    assert store.ingest([line(2)]).accepted == 1
    assert count(store) == 2


def test_pairs_are_answers_of_both_sides_to_the_same_request(opened, tmp_path):
    store = opened()
    store.ingest([line(1, text="live"), line(1, arm="shadow", text="copy"), line(2, text="alone")])

    (pair,) = store.pairs("move", "recap", 0)
    assert (pair.request_id, pair.live_response, pair.shadow_response) == ("r1", "live", "copy")
    assert store.pairs("move", "other", 0) == []


def test_a_reader_keeps_movers_out_and_other_readers_in():
    layout = Layout()
    with layout.reading(), layout.reading(), layout.moving(0.0) as is_free:
        assert not is_free
    with layout.moving(0.0) as is_free:
        assert is_free
        entered = threading.Event()

        def read() -> None:
            with layout.reading():
                entered.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert not entered.is_set()
    reader.join(10)
    assert entered.is_set()


@pytest.fixture
def beside(tmp_path):
    """Opens one more store on the same folder, as another process would: locks are of the open file."""
    made: list[RecordStore] = []

    def start() -> RecordStore:
        made.append(RecordStore(tmp_path))
        return made[-1]

    yield start
    for store in made:
        store.close()


def test_a_second_process_on_the_same_folder_takes_nothing_away(beside, tmp_path):
    first = beside()
    first.ingest([line(1), line(2)])
    second = beside()  # starts while the first still writes
    assert first.ingest([line(3)]).accepted == 1
    second.ingest([line(4)])
    first.flush()
    first.ingest([line(5)])
    second.flush()
    first.flush()
    assert (count(first), count(second)) == (5, 5)
    assert list((tmp_path / "pending").glob("*.ndjson")) == []


def test_what_a_dead_process_left_is_taken_over_but_not_what_a_living_one_writes(beside, tmp_path):
    (tmp_path / "pending").mkdir(parents=True)
    (tmp_path / "pending" / "dead.ndjson").write_text(line(1) + "\n" + line(2)[:40])
    first = beside()
    first.ingest([line(3)])
    beside()
    assert count(first) == 2
    assert [path.name for path in (tmp_path / "pending").glob("dead*")] == []


def test_conversion_waits_for_the_next_call_while_another_process_moves_files(beside, tmp_path):
    store = beside()
    store.ingest([line(1)])
    with (tmp_path / "moving.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store.flush()
        assert len(list((tmp_path / "pending").glob("*.ndjson"))) == 1
    store.flush()
    assert (count(store), list((tmp_path / "pending").glob("*.ndjson"))) == (1, [])


def test_who_named_no_limit_of_the_answer_is_replayed_without_one(opened):
    store = opened()
    limits = [None, 80, 0] * 8
    store.ingest(
        [json.dumps(json.loads(line(50 * i)) | {"max_output_tokens": most}) for i, most in enumerate(limits)]
    )
    profile = record_profile(store, ("recap",), 3600.0, 1_795_000_100.0)
    assert [body_of(arrival).get("max_tokens") for arrival in profile.arrivals[:3]] == [None, 80, None]


def test_the_profile_of_features_that_move_together_is_all_of_their_requests(opened):
    store = opened()
    of_two = [
        json.loads(line(50 * number)) | {"feature": ("recap", "search")[number % 2]} for number in range(40)
    ]
    other = json.loads(line(7, at_ms=1_795_000_000_100)) | {"feature": "digest", "attempt_id": "other"}
    store.ingest([json.dumps(record) for record in [*of_two, other]])

    both = record_profile(store, ("recap", "search"), 3600.0, 1_795_000_100.0)
    alone = record_profile(store, ("recap",), 3600.0, 1_795_000_100.0)

    assert [arrival.feature for arrival in both.arrivals] == ["recap", "search"] * 20
    assert both.rate == pytest.approx(2 * alone.rate, rel=0.06)
    assert {body_of(arrival)["model"] for arrival in replay(both, 1.3, 1.0, seed=1)} == {"recap", "search"}
    with pytest.raises(LookupError, match="only 1 recorded requests of digest, none "):
        record_profile(store, ("digest", "none"), 3600.0, 1_795_000_100.0)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{outside}')",
        "SELECT * FROM read_text('{inside}/../outside')",
        "COPY (SELECT 1) TO '{outside}'",
        "COPY (SELECT 1) TO '{inside}/x.parquet'",
        "SET enable_external_access = true",
        "ATTACH '{outside}.db'",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_a_query_reads_the_records_and_nothing_else(tmp_path, sql):
    outside, inside = tmp_path / "outside", tmp_path / "it's records"
    outside.write_text("a signing key")
    store = RecordStore(inside)
    store.ingest([line(1)])
    store.flush()
    assert store.query("WITH one AS (FROM attempts) SELECT request_id FROM one") == [{"request_id": "r1"}]
    with pytest.raises(duckdb.Error):
        store.query(sql.format(outside=outside, inside=str(inside).replace("'", "''")))
    assert outside.read_text() == "a signing key"
    store.close()
