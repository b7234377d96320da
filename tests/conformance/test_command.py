"""`crossfade sim` against running clouds."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from crossfade.app.cli.sim import app


def invoke(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_faults_are_set_listed_and_cleared(running):
    admin = ("--admin", running.clouds.admin_url)

    given = invoke(
        "faults", "set", "bedrock/recap", "slow", "--rate", "0.5", "--with", "delay_ms=300", *admin
    )
    listed = invoke("faults", "list", "--json", *admin)
    cleared = invoke("faults", "clear", "bedrock", *admin)

    assert given.exit_code == 0
    assert json.loads(listed.stdout) == [
        {
            "cloud": "bedrock",
            "model": "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/recap",
            "kind": "slow",
            "rate": 0.5,
            "delay_ms": 300.0,
            "after_chunks": 0,
            "capacity": "all",
        }
    ]
    assert cleared.stdout == "cleared 1\n"


def test_a_wrong_fault_is_wrong_use_with_a_hint(running):
    admin = ("--admin", running.clouds.admin_url)

    unknown_model = invoke("faults", "set", "bedrock/other", "slow", *admin)
    unknown_kind = invoke("faults", "set", "bedrock/recap", "sloww", *admin)

    assert (unknown_model.exit_code, unknown_kind.exit_code) == (2, 2)
    assert "hint: one of" in unknown_model.stderr
    assert "kind" in unknown_kind.stderr


def test_a_clouds_file_that_does_not_check_is_wrong_use(tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text("sead: 1\n")

    done = invoke("clouds", "--config", str(path))

    assert done.exit_code == 2
    assert f"{path}:1:1 sead: unknown key (hint: did you mean `seed`?)" in done.stderr


def test_a_missing_admin_api_is_a_failure():
    assert invoke("faults", "list", "--admin", "http://127.0.0.1:9").exit_code == 1
