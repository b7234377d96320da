from __future__ import annotations

import pytest

from crossfade.config.compile import compile_snapshot
from crossfade.config.load import ConfigError, load_text
from crossfade.domain.route import Span

GOOD = """
endpoints:
  gpt: openai/gpt-5-mini
  mini: openai/gpt-5-nano
features:
  summary: [gpt, mini]
"""


RULED = "{hierarchy: [mini], rules: [{when: {input_tokens: {at_most: 1k}}, hierarchy: [gpt]}]}"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, "c.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_config_expands_to_a_whole_snapshot():
    config = load_text(GOOD, "c.yaml").config
    snapshot = compile_snapshot(config, version=3, issued_unix_s=1, keys=(), overlays={})

    assert snapshot.features["summary"].eligible == ("gpt", "mini")
    assert [target.pool for target in snapshot.features["summary"].hierarchy] == ["gpt", "mini"]
    assert snapshot.edge.open_access
    assert snapshot.providers["openai"].auth.credential == "openai"


def test_a_rule_and_a_pools_way_to_choose_reach_the_gateway():
    text = GOOD.replace("[gpt, mini]", RULED) + "pools: {both: {endpoints: [gpt, mini], choose: fastest}}\n"
    config = load_text(text, "c.yaml").config
    snapshot = compile_snapshot(config, version=3, issued_unix_s=1, keys=(), overlays={})
    feature = snapshot.features["summary"]

    assert feature.eligible == ("mini", "gpt"), "a rule's endpoints may serve"
    [rule] = feature.rules
    assert (rule.when.input_tokens, rule.when.tools) == (Span(at_least=None, at_most=1000), None)
    assert [target.pool for target in rule.hierarchy] == ["gpt"]
    both = snapshot.pools["both"]
    assert (both.choose, both.explore, both.penalty_ms, both.memory_s) == ("fastest", 0.05, 5000.0, 300.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("summary: [gpt, mini]", "summary: {hierarchy: [gpt], deadlin: 4s}"), "c.yaml:6:31"),
        (GOOD.replace("[gpt, mini]", "[gpt, min]"), "did you mean mini?"),
        (GOOD.replace("features:", "feetures:"), "did you mean features?"),
        (GOOD.replace("[gpt, mini]", "{hierarchy: [gpt], deadline: 4}"), "write a unit"),
        (GOOD.replace("[gpt, mini]", RULED.replace("gpt]}]", "gtp]}]")), "did you mean gpt?"),
        (GOOD.replace("[gpt, mini]", RULED.replace("{at_most: 1k}", "{}")), "names neither at_least nor"),
        (
            GOOD.replace("[gpt, mini]", RULED.replace("{at_most: 1k}", "{at_most: 1k, at_least: 2k}")),
            "no request has this shape",
        ),
        (GOOD.replace("[gpt, mini]", "{hierarchy: [gpt], rules: [{when: {}, hierarchy: [gpt]}]}"), "every"),
        (GOOD.replace("[gpt, mini]", "{hierarchy: [gpt], streams: {rescue: [rerun]}}"), "'resume' or"),
        (GOOD.replace("openai/gpt-5-mini", "vertex/gemini-x"), "project is missing"),
        (
            GOOD.replace("openai/gpt-5-mini", "opnai/gpt-5"),
            ":3:3 endpoints.gpt.provider: there is no provider",
        ),
        (GOOD.replace("openai/gpt-5-mini", "goq/llama"), "did you mean groq?"),
        (GOOD + "  summary: [gpt]\n", "the key stands twice"),
        (GOOD + "gateway: {listen: 0.0.0.0:4000}\n", "without keys only loopback is served"),
        (GOOD + "gateway: {listen: 127.0.0.1:4100}\n", "is used twice"),
        (GOOD + "gateway: {tls: {cert: none.crt, key: none.key}}\n", "there is no file none.crt"),
        ("endpoints: &a {x: *a}\nfeatures: {}\n", "leads back to itself"),
        ("endpoints: [", "is not YAML"),
    ],
)
def test_each_mistake_is_told_with_place_and_hint(text, said):
    found = problems(text)

    assert any(said in problem for problem in found), found


def test_all_problems_are_told_at_once():
    text = GOOD.replace("[gpt, mini]", "{hierarchy: [gpt], deadlin: 4s, limits: {ttft: 4}}")

    assert len(problems(text)) == 2


def test_an_unset_secret_is_one_line(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")

    assert len(problems(GOOD)) == 1


def test_a_feature_without_a_backup_is_only_a_warning():
    loaded = load_text(GOOD.replace("[gpt, mini]", "[gpt]"), "c.yaml")

    assert "has no backup" in str(loaded.warnings[0])


def test_a_cross_region_profile_outside_the_policy_is_refused():
    text = """
providers: {b: {kind: bedrock, auth: {method: default-chain}}}
endpoints: {h: {provider: b, region: us-east-1, model: us.anthropic.claude-haiku-4-5}}
features: {recap: {hierarchy: [h], policy: {regions: [us-east-1]}}}
"""

    assert "us-east-2, us-west-2" in problems(text)[0]


def test_the_shares_of_an_experiment_must_be_whole():
    arms = "{name: e, arms: {a: 90%, b: {share: 20%, pool: mini}}}"
    text = GOOD.replace("[gpt, mini]", f"{{hierarchy: [gpt], experiment: {arms}}}")

    assert "sum to 110%" in problems(text)[0]
