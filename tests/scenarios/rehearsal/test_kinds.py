"""Every kind of migration takes the same four steps; a model upgrade fits into a day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.main import app

CONFIG = """
providers:
  one: {{kind: openai-compatible, base_url: "http://127.0.0.1:1/v1", auth: {{method: none}}}}
  two: {{kind: openai-compatible, base_url: "http://127.0.0.1:2/v1", auth: {{method: none}}}}
endpoints:
  old-1: {{provider: one, region: us-east-1, model: haiku-4-5}}
  new-1: {candidate}
  spare: {{provider: two, model: other}}
pools:
  old: {{endpoints: [old-1], choose: in-order}}
  new: {{endpoints: [new-1], choose: in-order}}
features:
  recap: {{hierarchy: [old, spare], policy: {{signoffs: [legal]}}, content: {{capture: 20%}}}}
  search: {{hierarchy: [old, spare], policy: {{signoffs: [legal, security]}}, content: {{capture: 20%}}}}
"""
MIGRATION = """
migration: move
features: {features}
incumbent: old
candidate: {target}
rollout: {{guards: [errors, failovers, rejected, schema, ttft], peak: {peak}}}
"""

ELSEWHERE = "{provider: one, region: eu-west-1, model: haiku, capacity: {class: provisioned, units: 4 MU}}"


def rehearse(
    folder: Path, candidate: str, features: str, peak: str, *options: str, target: str = "new"
) -> dict:
    (folder / "crossfade.yaml").write_text(CONFIG.format(candidate=candidate))
    (folder / "move.yaml").write_text(MIGRATION.format(features=features, peak=peak, target=target))
    files = ["migration", "rehearse", str(folder / "move.yaml"), "--config", str(folder / "crossfade.yaml")]
    result = CliRunner().invoke(app, [*files, "--quiet", "--json", *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_model_upgrade_with_fresh_evidence_goes_through_in_a_day_with_nothing_skipped(tmp_path: Path):
    document = rehearse(
        tmp_path, "{provider: one, region: us-east-1, model: haiku-4-6}", "[recap]", "required",
        "--days", "1", "--rate", "2", "--sign-after", "30m", "--approve-after", "10m",
    )  # fmt: skip

    assert document["state"] == "promoted"
    assert document["seconds_to_promotion"] < 86_400.0
    assert [point["share"] for point in document["timeline"]] == [0.0, 0.01, 0.05, 0.25, 0.5, 1.0, 1.0]
    reasons = " ".join(row["reason"] for row in document["log"])
    for needed in (
        "sign-off", "capacity_mapping", "shadow_confirmation", "quality_parity", "latency_parity", "drill:",
        "waiting for a daily peak", "soaking",
    ):  # fmt: skip
        assert needed in reasons, needed
    half = next(point["unix_s"] for point in document["timeline"] if point["share"] == 0.5)
    assert half > 3.5 * 3600.0, "the day begins at 08:00 and its busiest hours at noon: half waits for them"
    assert document["callers_saw_an_error"] < 0.0005 * document["requests"]


@pytest.mark.parametrize(
    ("candidate", "features", "target"),
    [
        (ELSEWHERE, "[recap]", "new"),
        ("{provider: two, model: haiku-4-5}", "[recap, search]", "new"),
        (ELSEWHERE, "[recap]", "{pool: old, set: {temperature: 0.2, max_tokens: 300}}"),
    ],
    ids=["region and capacity class", "several features", "parameters only"],
)
def test_another_kind_takes_the_same_steps(tmp_path: Path, candidate: str, features: str, target: str):
    document = rehearse(
        tmp_path, candidate, features, "not required",
        "--days", "0.35", "--rate", "2.5", "--sign-after", "1m", "--approve-after", "1m", target=target,
    )  # fmt: skip

    assert document["state"] == "promoted"
    assert [point["share"] for point in document["timeline"]] == [0.0, 0.01, 0.05, 0.25, 0.5, 1.0, 1.0]
    reasons = " ".join(row["reason"] for row in document["log"])
    assert all(f"quality_parity of {name}" in reasons for name in features.strip("[]").split(", "))
