"""Migration files that nobody should write: each is refused in one line, with its place, in no time."""

from __future__ import annotations

import pytest

from crossfade.config.load import MOST_BYTES, ConfigError, load_text
from crossfade.control.migration.spec.parse import load_spec
from crossfade.control.migration.spec.reader import SpecError, read_file

SMALLEST = "migration: m\nfeatures: [f]\nincumbent: a\ncandidate: b\n"


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as raised:
        load_spec(text, "m.yaml")
    return str(raised.value)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n" + SMALLEST


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x00", "m.yaml:1:1 file: is not YAML: character U+0000"),
        ("migration: m\nfeatures: [\x07]\n", "m.yaml:2:1 file: is not YAML: character U+0007"),
        ("migration: " + "[" * 3000 + "]" * 3000, "file: is nested too deeply"),
        (bomb(9), "says more than 200,000 values (hint: write out what its aliases repeat)"),
        ("&a {migration: m, features: *a}", "features: an alias leads back to itself"),
        (SMALLEST + "migration: other\n", "m.yaml:5:1 migration: the key stands twice"),
        ("migration: 2024-13-45\n", "m.yaml:1:12 migration: cannot be read: month must be in 1..12"),
        (SMALLEST + f"rollout: {{at_least: {'9' * 5000}}}\n", "m.yaml:5:21 rollout.at_least: cannot be read"),
        ("? [a]\n: b\n", "a key must be a name"),
        ("- a\n", "not a migration"),
        ("", "not a migration"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text, said):
    assert said in refusal(text)


@pytest.mark.parametrize("name", ["..", ".", "-rf", "ü", "a/b", "m" * 101, "a b", ""])
def test_a_name_that_could_not_be_a_folder_or_an_address_is_refused(name):
    assert "migration: must be a name" in refusal(SMALLEST.replace("migration: m", f"migration: {name!r}"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("quality: {margins: {rubrik: 5pt}}", "quality.margins.rubrik: not available yet"),
        ("quality: {margins: {faithfulness: 3pt}}", "known: rubric, refusals, schema"),
        ("quality: {margins: {rubric: 0pt}}", "quality.margins.rubric: must be above 0"),
        ("quality: {margins: {rubric: 60pt}}", "quality.margins.rubric: must be at most 50pt"),
        ("quality: {latency: {}}", "quality.latency: names no metric"),
        ("quality: {latency: {ttft_p101: 10%}}", "quality.latency.ttft_p101: unknown metric"),
        ("quality: {latency: {e2e_p50: 10%}}", "quality.latency.e2e_p50: unknown metric"),
        ("quality: {latency: {ttft: 10%}}", "quality.latency.ttft: unknown metric"),
        ("quality: {latency: {ttft_p50: 0%}}", "quality.latency.ttft_p50: must be above 0"),
        ("quality: {labels: {rate: 0%}}", "quality.labels.rate: must be above 0"),
        ("quality: {shadow: 0%}", "quality.shadow: must be above 0"),
        ("capacity: {slo: {}}", "capacity.slo: names no objective"),
        ("capacity: {slo: {attainment: 95%}}", "capacity.slo: names no objective"),
        ("capacity: {slo: {ttft_p95: 0s}}", "capacity.slo.ttft_p95: must be above 0"),
        ("capacity: {slo: {ttft_p95: 2s, attainment: 0%}}", "capacity.slo.attainment: must be above 0"),
        ("capacity: {slo: [2s]}", "capacity.slo: must be a mapping"),
        ("capacity: {profiles: []}", "capacity.profiles: names no load"),
        ("capacity: {profiles: ['recorded*']}", "'recorded*' is not a profile"),
        ("capacity: {probe: 0s}", "capacity.probe: must be above 0"),
        ("compliance: {expires: 0d}", "compliance.expires: must be above 0"),
        ("compliance: {expires: 99999d}", "compliance.expires: '99999d' is more than 366d"),
        ("rollout: {bake: 999999h}", "rollout.bake: '999999h' is more than 366d"),
        ("rollout: {bake: 0s}", "rollout.bake: must be above 0 (hint: bake: 10m)"),
        ("rollout: {errors_at_most: 51%}", "rollout.errors_at_most: must be at most 50%, is 51%"),
        ("candidate: {pool: b, set: {temperature: 9}}", "temperature: must be between 0 and 2, is 9 (hint: "),
        ("candidate: {pool: b, set: {top_p: -0.1}}", "candidate.set.top_p: must be between 0 and 1, is -0.1"),
        ("candidate: {pool: b, set: {max_tokens: 0}}", "candidate.set.max_tokens: must be at least 1"),
        ("candidate: {pool: b, set: {max_tokens: 1.5}}", "must be a whole number, is 1.5"),
        ("candidate: {pool: b, set: {temperature: warm}}", "must be a number, is 'warm'"),
        ("candidate: {pool: b, set: {temperature: true}}", "must be a number, is True"),
        ("rollout: {at_least: 10000000000}", "rollout.at_least: must be at most 1,000,000,000"),
        ("rollout: {freeze: ['Fri 15:00 - Fri 15:00']}", "'Fri 15:00 - Fri 15:00' has no length"),
        ("candidate: {pool: a, set: {temperature: .nan}}", "candidate.set.temperature: is no number: nan"),
    ],
)
def test_a_value_that_would_open_a_gate_or_never_could_is_refused(section, said):
    text = SMALLEST.replace("candidate: b\n", "") if section.startswith("candidate") else SMALLEST
    assert said in refusal(text + section + "\n")


def test_what_is_at_the_edge_is_taken():
    text = SMALLEST.replace(
        "candidate: b", "candidate: {pool: b, set: {temperature: 2, top_p: 1.0, seed: 7}}"
    )
    spec = load_spec(text + "rollout: {errors_at_most: 50%, bake: 1s, soak: 0s}\n", "m.yaml")
    assert (spec.rollout.errors_at_most, spec.rollout.bake_s) == (0.5, 1.0)


def test_a_feature_of_the_config_refuses_the_same():
    endpoints = "endpoints: {a: openai/gpt-5-mini}\npools: {p: {endpoints: [a]}}\n"
    text = endpoints + "features: {f: {hierarchy: [{pool: p, set: {temperature: 9}}]}}\n"
    with pytest.raises(ConfigError, match="temperature must be between 0 and 2, is 9"):
        load_text(text, "crossfade.yaml")


def test_the_judged_metric_keeps_its_margin_where_only_others_are_named():
    spec = load_spec(SMALLEST + "quality: {margins: {schema: 2pt}}\n", "m.yaml")
    assert spec.quality.margins == {"rubric": 0.05, "schema": 0.02}


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MOST_BYTES + 1))
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"migration: \xfc\n")
    for path, said in (
        (large, "is larger than 4 MiB"),
        (latin, "is not UTF-8 text"),
        (tmp_path, "directory"),
    ):
        with pytest.raises(SpecError, match=said):
            read_file(path)
    with pytest.raises(SpecError, match=r"No such file .*give the path of a migration file"):
        read_file(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["\x00", "a: 2024-13-45", "? [a]\n: b\n", bomb(9), "- a", "[" * 3000])
def test_a_config_is_read_with_the_same_care(text):
    with pytest.raises(ConfigError):
        load_text(text, "crossfade.yaml", secrets=False)
