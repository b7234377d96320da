"""What Python compiles is what the engine reads, field for field."""

from __future__ import annotations

import json

import pytest

from crossfade._engine import Decider, check_snapshot, split_point
from crossfade.config.compile import compile_snapshot
from crossfade.config.load import load_text
from crossfade.config.snapshot_json import encode_snapshot

CONFIG = """
providers:
  lab: {kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1', auth: {method: none}}
endpoints:
  a: {provider: lab, model: m}
  b: {provider: lab, model: m}
features:
  recap: {hierarchy: [a, b], experiment: {name: e, arms: {x: 50%, y: {share: 50%, pool: b}}}}
"""


@pytest.fixture
def document() -> dict:
    config = load_text(CONFIG, "c.yaml").config
    return json.loads(
        encode_snapshot(compile_snapshot(config, version=1, issued_unix_s=0, keys=(), overlays={}))
    )


def paths(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from paths(item, (*path, i))


def test_the_engine_reads_a_compiled_snapshot(document):
    check_snapshot(json.dumps(document).encode())


def test_the_engine_refuses_any_missing_field(document):
    named = {"providers", "endpoints", "pools", "features", "set"}  # maps whose keys are names
    for path in list(paths(document)):
        if isinstance(path[-1], int) or (len(path) > 1 and path[-2] in named):
            continue
        broken = json.loads(json.dumps(document))
        holder = broken
        for part in path[:-1]:
            holder = holder[part]
        del holder[path[-1]]
        with pytest.raises(ValueError, match=r"missing field|does not define"):
            check_snapshot(json.dumps(broken).encode())


def test_the_engine_refuses_an_unknown_field(document):
    document["features"]["recap"]["surprise"] = 1

    with pytest.raises(ValueError, match="unknown field"):
        check_snapshot(json.dumps(document).encode())


def test_a_decision_names_its_candidates_and_reasons(document):
    decider = Decider(json.dumps(document).encode())
    facts = {
        "request_id": "r1", "feature": "recap", "unit": "u1", "unix_s": 0, "stream": False, "input_tokens": 5,
        "max_output_tokens": None, "tools": False, "deadline_ms": None, "pin": None,
    }  # fmt: skip

    decision = json.loads(decider.choose(json.dumps(facts), 0.0, 0.5))["ok"]

    wanted = "x" if split_point("experiment/e", "u1") < 0.5 else "y"
    assert decision["arm"]["name"] == f"e/{wanted}"
    assert [c["endpoint"] for c in decision["candidates"]] == (["a", "b"] if wanted == "x" else ["b", "a"])
    assert all(candidate["reason"] for candidate in decision["candidates"])


@pytest.mark.parametrize(
    ("settings", "wait_ms"),
    [
        ("class: interactive", 50),
        ("class: standard", 2500),
        ("class: batch, deadline: 20m", 600_000),
        ("class: interactive, limits: {pushback_wait: 1s}", 1000),
    ],
)
def test_who_is_urgent_does_not_wait_for_a_full_endpoint(settings, wait_ms):
    text = CONFIG.replace("hierarchy: [a, b], ", f"hierarchy: [a, b], {settings}, ")
    snapshot = compile_snapshot(
        load_text(text, "c.yaml").config, version=1, issued_unix_s=0, keys=(), overlays={}
    )

    assert snapshot.features["recap"].attempts.pushback_wait_ms == wait_ms


def test_every_number_of_the_design_is_a_key_of_the_file():
    text = CONFIG.replace(
        "hierarchy: [a, b], ", "hierarchy: [a, b], limits: {baseline: 50, trickle: 0, trickle_share: 20%}, "
    )
    text = text.replace(
        "a: {provider: lab, model: m}",
        "a: {provider: lab, model: m, breaker: {quarantine: 90s, pushback: 250ms, group_openings: 3}, "
        "capacity: {overflow_risk: 0.05, ceiling_back: 60%}}",
    )
    config = load_text(text, "c.yaml").config
    snapshot = compile_snapshot(config, version=1, issued_unix_s=0, keys=(), overlays={})

    feature, place = snapshot.features["recap"], snapshot.endpoints["a"]
    assert feature.deadlines.baseline_answers == 50
    assert (feature.attempts.trickle_per_s, feature.attempts.trickle_share) == (0, 0.2)
    assert (place.breaker.quarantine_s, place.breaker.pushback_ms, place.breaker.group_openings) == (
        90,
        250,
        3,
    )
    assert place.capacity.margin_z == pytest.approx(1.645, abs=0.001)
    assert place.capacity.ceiling_back_per_s == pytest.approx(0.01)
