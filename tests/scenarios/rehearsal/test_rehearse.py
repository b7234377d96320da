"""Whole rehearsals: the production controller and engine in virtual time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.main import app
from crossfade.control.migration.guard.samples import ending_of, values_of
from crossfade.domain.attempt import ErrorKind, OutcomeClass, Role

INCIDENTS = Path(__file__).parents[3].parent / "shared/data/incidents/incidents.json"
CONFIG = """
providers:
  one: {kind: openai-compatible, base_url: "http://127.0.0.1:1/v1", auth: {method: none}}
  two: {kind: openai-compatible, base_url: "http://127.0.0.1:2/v1", auth: {method: none}}
  three: {kind: openai-compatible, base_url: "http://127.0.0.1:3/v1", auth: {method: none}}
endpoints:
  old-1: {provider: one, model: a}
  new-1: {provider: two, model: b}
  spare: {provider: three, model: c}
pools:
  old: {endpoints: [old-1], choose: in-order}
  new: {endpoints: [new-1], choose: in-order}
features:
  recap: {hierarchy: [old, spare], policy: {signoffs: [legal]}, content: {capture: 20%}}
"""
MIGRATION = """
migration: move
features: [recap]
incumbent: old
candidate: new
rollout: {guards: [errors, failovers, rejected, schema, ttft], peak: not required}
"""
QUICK = ["--sign-after", "1m", "--mend-after", "10m", "--approve-after", "1m", "--rate", "5", "--quiet"]
MADE_UP = [
    {
        "id": "dead",
        "phases": [{"start_min": 0, "end_min": 60, "mode": "http_error", "fraction": 1.0, "status": 500}],
    },
    {
        "id": "full",
        "phases": [{"start_min": 0, "end_min": 90, "mode": "http_error", "fraction": 0.6, "status": 503}],
    },
    {"id": "picky", "phases": [{"start_min": 0, "end_min": 90, "mode": "http_error", "status": 400}]},
]


@pytest.fixture
def folder(tmp_path: Path):
    (tmp_path / "crossfade.yaml").write_text(CONFIG)
    (tmp_path / "move.yaml").write_text(MIGRATION)
    (tmp_path / "incidents.json").write_text(json.dumps(MADE_UP))
    return tmp_path


def rehearse(folder: Path, *options: str):
    files = ["migration", "rehearse", str(folder / "move.yaml"), "--config", str(folder / "crossfade.yaml")]
    return CliRunner().invoke(app, [*files, *QUICK, *options])


def found(result) -> dict:
    assert result.stdout, result.output
    return json.loads(result.stdout)


def test_the_same_seed_gives_the_same_bytes_and_another_one_another_rehearsal(folder: Path):
    first, again, other = (
        rehearse(folder, "--days", "0.05", "--json", "--seed", seed) for seed in ("1", "1", "2")
    )

    assert first.exit_code == 0
    assert first.stdout == again.stdout
    assert found(first)["requests"] != found(other)["requests"]


def test_a_good_candidate_is_promoted(folder: Path):
    result = rehearse(folder, "--days", "0.22", "--json", "--html", str(folder / "r.html"))
    document = found(result)

    assert result.exit_code == 0
    assert document["state"] == "promoted"
    assert [point["share"] for point in document["timeline"]] == [0.0, 0.01, 0.05, 0.25, 0.5, 1.0, 1.0]
    assert document["candidate_requests"] > 15_000
    assert document["callers_saw_an_error"] < 0.0005 * document["requests"]
    page = (folder / "r.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page


def test_a_dead_candidate_is_dropped_at_once_and_the_rollout_goes_on_after_the_mend(folder: Path):
    result = rehearse(
        folder, "--days", "0.4", "--json", "--incidents", str(folder / "incidents.json"),
        "--incident", "dead", "--at", "5%", "--at", "50%",
    )  # fmt: skip
    document = found(result)

    assert result.exit_code == 0
    assert [fault["outcome"] for fault in document["faults"]] == ["rolled back"] * 2
    for fault in document["faults"]:
        assert 0 < fault["harmed"] < 30
        assert fault["callers_saw_an_error"] == 0
        assert fault["harmed_by_a_clock"] > 20 * fault["harmed"]
    assert document["state"] == "promoted"


@pytest.mark.parametrize("incident", ["full", "picky"])
def test_what_backups_hide_and_what_looks_like_the_callers_mistake_is_rolled_back(
    folder: Path, incident: str
):
    document = found(
        rehearse(
            folder,
            "--days",
            "0.3",
            "--json",
            "--incidents",
            str(folder / "incidents.json"),
            "--incident",
            incident,
        )
    )
    fault = document["faults"][0]

    assert fault["outcome"] == "rolled back"
    assert ("failovers" if incident == "full" else "rejected") in fault["reason"] or "breaker" in fault[
        "reason"
    ]


def test_an_incident_of_both_sides_holds_and_is_not_blamed_on_the_candidate(folder: Path):
    result = rehearse(
        folder, "--days", "0.4", "--json", "--incidents", str(folder / "incidents.json"),
        "--incident", "dead", "--at", "5%", "--at", "50%", "--in", "both",
    )  # fmt: skip
    document = found(result)

    assert result.exit_code == 0
    assert [fault["outcome"] for fault in document["faults"]] == ["held"] * 2
    assert document["state"] == "promoted"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--trace", "none.csv"], "No such file"),
        (["--incident", "dead"], "there is no list of incidents"),
        (["--incidents", "INCIDENTS", "--incident", "gone"], "there is dead, full, picky"),
        (["--incidents", "INCIDENTS"], "which incident"),
        (["--incidents", "INCIDENTS", "--incident", "dead", "--at", "7%"], "no stage"),
        (["--incidents", "INCIDENTS", "--incident", "dead", "--in", "neither"], "candidate, both, each"),
        (["--days", "0"], "must be above 0"),
        (["--sign-after", "soon"], "not a duration"),
    ],
)
def test_a_wrong_option_is_told_before_anything_runs(folder: Path, options: list[str], said: str):
    given = [str(folder / "incidents.json") if option == "INCIDENTS" else option for option in options]
    result = rehearse(folder, *given)

    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.skipif(not INCIDENTS.is_file(), reason=f"{INCIDENTS} is not there")
@pytest.mark.parametrize(
    ("incident", "side", "outcome"),
    [
        ("openai-2025-06-10", "candidate", "rolled back"),
        ("gcp-2025-06-12", "candidate", "rolled back"),
        ("openai-2025-06-10", "both", "held"),
        ("gcp-2025-06-12", "both", "held"),
    ],
)
def test_a_published_incident(folder: Path, incident: str, side: str, outcome: str):
    options = ["--incidents", str(INCIDENTS), "--incident", incident, "--in", side]
    document = found(rehearse(folder, "--days", "0.3", "--json", *options))

    assert [fault["outcome"] for fault in document["faults"]] == [outcome], document["faults"]


def test_a_rehearsals_numbers_are_those_control_reads_from_records(record):
    left = replace(record, index=1, role=Role.FAILOVER)
    refused = replace(
        record, outcome=OutcomeClass.CALLER, error_kind=ErrorKind.INVALID_REQUEST, caller_error=True
    )

    assert ending_of(record) == {"failovers": 0.0, "rejected": 0.0}
    assert ending_of(left) == {"failovers": 1.0, "rejected": 0.0}
    assert ending_of(refused) == {"failovers": 0.0, "rejected": 1.0}
    assert "failovers" not in values_of(record, None)
