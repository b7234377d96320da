from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossfade.control.migration.guard.plans import KNOWN
from crossfade.control.migration.spec.parse import load_spec
from crossfade.control.migration.spec.reader import Reader, SpecError

REFERENCE = Path(__file__).parents[3] / "docs/reference/migration-file.md"

EXAMPLE = """\
migration: recap-to-bedrock
features: [recap]
incumbent: sagemaker-haiku
candidate: haiku
compliance: {signoffs: [legal, security, fedramp], expires: 90d}
capacity:   {profiles: [recorded, recorded*1.3], slo: {ttft_p95: 2s, attainment: 95%},
             overflow_at_most: 1%, headroom: 15%}
quality:    {margins: {rubric: 5pt, refusals: 3pt, schema: 1pt}, latency: {ttft_p50: 10%, ttft_p90: 10%},
             judges: [judge-a], labels: {rate: 10%, at_most: 800}}
rollout:    {stages: [1%, 5%, 25%, 50%, 100%], bake: 10m, guards: [errors], soak: 24h}
"""


def test_the_documented_example_parses():
    spec = load_spec(EXAMPLE, "m.yaml")
    assert spec.name == "recap-to-bedrock"
    assert spec.capacity.slo_ms == {"ttft_p95": 2000.0}
    assert spec.capacity.attainment == 0.95
    assert spec.quality.margins == {"rubric": 0.05, "refusals": 0.03, "schema": 0.01}
    assert spec.rollout.stages == (0.01, 0.05, 0.25, 0.5, 1.0)
    assert (spec.rollout.bake_s, spec.rollout.soak_s, spec.compliance.expires_s) == (
        600.0,
        86400.0,
        7776000.0,
    )


def test_the_smallest_file_gets_every_default():
    spec = load_spec("migration: m\nfeatures: [f]\nincumbent: a\ncandidate: b\n", "m.yaml")
    assert spec.rollout.guards == ("errors", "failovers", "rejected")
    assert spec.rollout.bake_s == 600.0
    assert spec.capacity.lever is None


def test_the_reference_shows_every_key_with_its_default(monkeypatch):
    text = re.search(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.DOTALL)[1]
    not_shown = {}
    section = Reader.section

    def recorded(self, value, path, known):
        not_shown.setdefault(path, set(known) - set(value))
        return section(self, value, path, known)

    monkeypatch.setattr(Reader, "section", recorded)
    shown = load_spec(text, "reference")

    assert len(not_shown) == 6, "the file, its four sections and the labels"
    assert {path: keys for path, keys in not_shown.items() if keys} == {}
    assert shown == load_spec("\n".join(text.splitlines()[:4]), "what is needed")
    assert [guard for guard in KNOWN if guard not in text] == []


def test_a_candidate_may_be_the_incumbents_pool_with_other_parameters():
    spec = load_spec(
        "migration: m\nfeatures: [f]\nincumbent: a\n"
        "candidate: {pool: a, set: {temperature: 0.2, reasoning_effort: low}}\n",
        "m.yaml",
    )
    assert (spec.candidate, spec.target.set) == ("a", {"temperature": 0.2, "reasoning_effort": "low"})


def test_a_system_prompt_is_a_parameter_that_pages_know_by_its_hash():
    text = (
        "migration: m\nfeatures: [f]\nincumbent: a\ncandidate: {pool: a, set: {system: %s, temperature: 0}}\n"
    )
    spec = load_spec(text % "Say it in French.", "m.yaml")
    assert spec.target.set == {"system": "Say it in French.", "temperature": 0}
    shown = spec.shown_parameters
    assert shown["temperature"] == 0
    assert re.fullmatch(r"sha256:[0-9a-f]{16} \(17 characters\)", str(shown["system"]))
    assert shown != load_spec(text % "Say it in Dutch..", "m.yaml").shown_parameters
    for wrong in ("7", '" "', "null"):
        with pytest.raises(SpecError, match="system: must be the prompt's text"):
            load_spec(text % wrong, "m.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bake: 10m", "bake: 10", "m.yaml:10:48 rollout.bake: 10 is not a duration"),
        ("bake: 10m", "bakes: 10m", "rollout.bakes: unknown key (hint: did you mean `bake`?)"),
        ("1%, 5%", "5%, 1%", "rollout.stages: must rise and end at 100%"),
        ("[errors]", "[errors], metrics: [orders]", "rollout.metrics: must be a mapping of names"),
        ("[errors]", "[errors], metrics: {orders: {}}", "rollout.metrics.orders.direction: must be `higher`"),
        (
            "[errors]",
            "[errors], metrics: {orders: {direction: higher, margin: 60%}}",
            "rollout.metrics.orders.margin: must be at most 50%, is 60%",
        ),
        ("[errors]", "[errors], metrics: {ttft: {direction: lower}}", "is the name of a guard"),
        ("[errors]", '[errors], freeze: ["Friday evening"]', "'Friday evening' is no window"),
        ("[errors]", "[errors], zone: Mars", "unknown time zone 'Mars'"),
        ("[errors]", "[errors], alpha: 40%", "rollout.alpha: must be above 0 and at most 10%"),
        ("[errors]", "[errors], peak: maybe", "rollout.peak: must be `required` or `not required`"),
        ("[errors]", "[errros]", "unknown guard `errros`"),
        ("candidate: haiku", "candidate: sagemaker-haiku", "m.yaml:4:1 candidate: is the incumbent"),
        ("candidate: haiku", "candidate: {pool: sagemaker-haiku}", "m.yaml:4:1 candidate: is the incumbent"),
        ("candidate: haiku", "candidate: {set: {top_p: 1}}", "candidate.pool: must be a name"),
        ("candidate: haiku", "candidate: {pool: b, set: [top_p]}", "candidate.set: must be a mapping"),
        ("candidate: haiku", "candidate: {pool: b, set: {model: x}}", "candidate.set.model: is no parameter"),
        (
            "candidate: haiku",
            "candidate: {pool: b, set: {stop: [x]}}",
            "candidate.set.stop: must be one value",
        ),
        ("candidate: haiku", "candidate: {pool: b, sets: {}}", "did you mean `set`?"),
        ("[recap]", "recap", "m.yaml:2:1 features: must be a list of names"),
        ("rubric: 5pt", "rubric: 5", "quality.margins.rubric: 5 is not a margin (hint: write points of 100"),
        ("rubric: 5pt", "rubric: -3pt", "quality.margins.rubric: '-3pt' is not a margin"),
        ("ttft_p95: 2s", "ttft_p95: fast", "capacity.slo.ttft_p95: 'fast' is not a duration"),
        ("[recorded, recorded*1.3]", "[peak]", "capacity.profiles: 'peak' is not a profile"),
        ("headroom: 15%", "headroom: 15%, lever: here", "capacity.lever: must be an http(s) URL"),
        ("migration: recap-to-bedrock", "migration: [", "not YAML"),
    ],
)
def test_a_mistake_is_one_line_with_place_and_hint(old, new, message):
    assert old in EXAMPLE
    with pytest.raises(SpecError) as raised:
        load_spec(EXAMPLE.replace(old, new), "m.yaml")
    assert message in str(raised.value)


def test_every_mistake_is_reported_at_once():
    with pytest.raises(SpecError) as raised:
        load_spec("migration: m\nfeatures: []\nincumbent: a\n", "m.yaml")
    assert {problem.path for problem in raised.value.problems} == {"features", "candidate"}


def test_the_judge_guard_needs_a_judge():
    text = "migration: m\nfeatures: [f]\nincumbent: a\ncandidate: b\nrollout: {guards: [errors, judge]}\n"
    with pytest.raises(SpecError, match=r"`judge` needs a judge .hint: quality: .judges: .judge-a..."):
        load_spec(text, "m.yaml")
    assert load_spec(text + "quality: {judges: [judge-a]}\n", "m.yaml").rollout.guards == ("errors", "judge")
