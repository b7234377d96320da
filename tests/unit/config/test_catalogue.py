"""What the catalogue says of providers and models, and how the config goes over it."""

from __future__ import annotations

import pytest

from crossfade.config.catalogue.capabilities import ALL, ROWS, capabilities_of
from crossfade.config.compile import compile_snapshot
from crossfade.config.expand import CATALOGUE
from crossfade.config.load import ConfigError, load_text


def compiled(text: str):
    config = load_text(text, "c.yaml").config
    return compile_snapshot(config, version=1, issued_unix_s=1, keys=(), overlays={})


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_provider_of_the_catalogue_needs_no_entry_of_its_own(monkeypatch, name):
    address, variable = CATALOGUE[name]
    monkeypatch.setenv(variable, "x")

    snapshot = compiled(f"endpoints:\n  fast: {name}/some-model\nfeatures:\n  recap: [fast]\n")

    assert snapshot.providers[name].base_url == address
    assert snapshot.endpoints["fast"].dialect == "openai_chat"


@pytest.mark.parametrize(
    "name",
    [
        "claude-opus-4-8",
        "us.anthropic.claude-opus-4-8-20260801-v1:0",
        "claude-opus-4-8@20260801",
        "anthropic/claude-sonnet-5",
    ],
)
def test_a_model_is_known_by_any_of_its_names(name):
    takes = capabilities_of(name)

    assert (takes.sampling, takes.prefill, takes.thinking_budget) == (False, False, False)
    assert takes.images


@pytest.mark.parametrize(
    ("name", "sampling"), [("gpt-5-mini", False), ("gpt-5-chat-latest", True), ("foo3-large", True)]
)
def test_the_more_exact_row_decides_and_a_name_begins_where_a_row_does(name, sampling):
    assert capabilities_of(name).sampling is sampling


def test_a_model_without_a_row_takes_everything_and_each_row_names_its_source():
    assert capabilities_of("some-model") == ALL
    assert all(differs and source for _, differs, source in ROWS)


CONFIG = """
providers:
  lab: {{kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1', auth: {{method: none}}}}
endpoints:
  fast: {{provider: lab, model: gpt-5-mini, capabilities: {{{over}}}}}
features:
  recap: [fast]
"""


def test_the_config_goes_over_the_models_profile():
    takes = compiled(CONFIG.format(over="sampling: yes, images: no, schema: no, context: 128k"))
    takes = takes.endpoints["fast"].takes

    assert (takes.sampling, takes.images, takes.schema, takes.context) == (True, False, False, 128_000)
    assert takes.tools


def test_an_unknown_capability_is_refused_by_name():
    with pytest.raises(ConfigError) as caught:
        compiled(CONFIG.format(over="vision: no"))

    assert "vision" in str(caught.value)
