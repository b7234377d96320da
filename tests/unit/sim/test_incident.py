from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.sim import app

OUTAGE = {"start_min": 0, "end_min": 10, "mode": "http_error", "fraction": 1.0, "status": 500}
FULL = {"start_min": 0, "end_min": 30, "mode": "http_error", "fraction": 1.0, "status": 429}
SLOW = {"start_min": 0, "end_min": 20, "mode": "stall", "fraction": 0.6, "added_latency_s": 12}


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "incidents.json"
    rows = [
        {"id": "outage", "title": "all fail", "source": "made up", "phases": [OUTAGE]},
        {"id": "overload", "title": "all full", "source": "made up", "phases": [FULL]},
        {"id": "brown-out", "title": "slow", "source": "made up", "phases": [SLOW]},
    ]
    path.write_text(json.dumps(rows))

    def call(*options):
        return CliRunner().invoke(app, ["incident", str(path), "--rate", "5", *options])

    return call


def one(result):
    assert result.exit_code == 0, result.output
    [found] = json.loads(result.output)["incidents"]
    return found


def test_an_outage_is_left_within_seconds_and_comes_back_by_the_ramp(run):
    found = one(run("--incident", "outage", "--json"))

    assert found["left_after_s"] <= 10
    assert found["callers_saw_an_error"] <= found["requests"] * 0.001
    # After so many openings it stays open for five minutes at a time; then the ramp's levels.
    assert 45 <= found["whole_again_after_s"] <= 420, "by evidence and time, not at once"
    shares = [window["shares"]["primary"] for window in found["windows"]]
    assert shares[0] == 1.0
    assert {0.0, 1.0} < set(shares), "with steps between"
    assert one(run("--incident", "outage", "--json")) == found, "the same seed, the same numbers"


def test_an_overload_of_an_hour_is_not_waited_out(run):
    found = one(run("--incident", "overload", "--json"))
    first = found["first_token_p90_ms"]

    assert found["callers_saw_an_error"] <= found["requests"] * 0.001
    assert first["during"] < 1.5 * first["before"], "the backup serves at once"


def test_a_brown_out_sheds_load_and_the_first_token_recovers(run):
    found = one(run("--incident", "brown-out", "--json"))
    first = found["first_token_p90_ms"]

    assert first["worst"] > 3 * first["before"], "it was felt"
    assert first["during"] < 2 * first["before"], "and then the backup served"


def test_plots_are_one_page_and_mistakes_are_told(run, tmp_path):
    page = tmp_path / "page.html"
    assert run("--html", str(page)).exit_code == 0
    text = page.read_text()
    assert text.count("<svg") == 9
    assert "<script" not in text

    for options, said in [
        (["--incident", "other"], "there is outage, overload, brown-out"),
        (["--at", "other"], "there is primary, backup"),
        (["--feature", "other"], "there is answers"),
    ]:
        result = run(*options)
        assert result.exit_code == 2
        assert said in result.output
