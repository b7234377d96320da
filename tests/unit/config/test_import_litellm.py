"""LiteLLM configs become configs that check; what is left behind is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError
from typer.testing import CliRunner

from crossfade.app.cli.config import app
from crossfade.config.importers.litellm import Imported, import_litellm
from crossfade.config.load import load_text
from crossfade.config.schema import Kind

FOLDER = Path(__file__).parent / "litellm"


def imported(name: str) -> Imported:
    return import_litellm((FOLDER / f"{name}.yaml").read_text())


def left(found: Imported) -> dict[str, str]:
    return {each.where: each.what for each in found.left}


def is_available(kind: str) -> bool:
    try:
        TypeAdapter(Kind).validate_python(kind)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", ["team", "balanced", "clouds"])
def test_the_imported_file_checks_and_every_name_still_serves(name):
    found = imported(name)
    loaded = load_text(found.text, "imported.yaml", secrets=False)

    names = {
        entry["model_name"]
        for entry in yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["model_list"]
        if "*" not in entry["model_name"]
    }
    gone = {where.removeprefix("features.") for where in left(found) if where.startswith("features.")}
    assert names <= set(loaded.config.features) | gone
    assert "sk-" not in found.text


def test_fallbacks_retries_limits_and_overrides_are_carried_over():
    document = imported("team").document

    assert document["features"]["gpt-4o"] == {
        "hierarchy": [{"pool": "gpt-4o", "set": {"temperature": 0.2}}, "gpt-4o-mini"],
        "deadline": "45s",
        "limits": {"attempts": 3},
    }
    assert document["features"]["gpt-4o-mini"]["hierarchy"] == ["gpt-4o-mini", "local-llama"]
    assert document["endpoints"]["gpt-4o-mini"]["capacity"] == {"class": "on-demand", "tpm": "200k"}
    assert document["providers"]["openai"]["auth"] == {"method": "api-key", "env": "OPENAI_API_KEY"}
    assert document["providers"]["hosted-vllm"]["auth"] == {"method": "none"}
    assert document["endpoints"]["local-llama"]["model"] == "meta-llama/Llama-3.1-8B-Instruct"


def test_deployments_of_one_name_become_a_pool_with_their_weights_or_their_order():
    found = imported("balanced")
    document = found.document

    assert document["pools"]["claude"] == {"endpoints": ["claude-1", "claude-2"], "choose": "weighted"}
    assert (document["endpoints"]["claude-1"]["weight"], document["endpoints"]["claude-2"]["weight"]) == (
        3,
        1,
    )
    assert document["pools"]["recap"] == {"endpoints": ["recap-1", "recap-2"]}
    assert document["features"]["gpt-4"] == document["features"]["recap"]
    assert document["features"]["claude"]["hierarchy"] == ["claude", "recap"]
    roles = [provider["auth"].get("role") for provider in document["providers"].values()]
    assert "arn:aws:iam::123456789012:role/llm" in roles


def test_what_has_no_counterpart_is_listed_with_what_stands_in_for_it():
    team, balanced, clouds = (left(imported(name)) for name in ("team", "balanced", "clouds"))

    assert "key create" in team["general_settings.master_key"]
    assert "usd_per_day" in team["litellm_settings.max_budget"]
    assert "records" in team["litellm_settings.success_callback"]
    assert "litellm_settings.drop_params" not in team
    assert "a secret stands in the file" in balanced["model_list[3].litellm_params.api_key"]
    assert "wildcard" in balanced["model_list[5]"]
    assert "least-busy" in balanced["router_settings.routing_strategy"]
    assert "gone" in balanced["fallbacks"]
    assert "breaker" in balanced["router_settings.cooldown_time"]
    assert "usd_per_day" in clouds["model_list[0].litellm_params.max_budget"]
    assert "workload-identity" in clouds["model_list[2].litellm_params.vertex_credentials"]


def test_a_provider_the_schema_does_not_serve_yet_is_left_out_and_said():
    found = imported("clouds")
    kinds = {provider["kind"] for provider in found.document["providers"].values()}

    for kind, name in (("azure-openai", "azure"), ("vertex", "vertex-ai"), ("anthropic", "anthropic")):
        if is_available(kind):
            assert kind in kinds
        else:
            assert "not available yet" in left(found)[f"providers.{name}.kind"]
    assert "openai" in kinds


@pytest.mark.parametrize(
    ("text", "said"), [("[]", "model_list"), ("a: [", "not YAML"), ("model_list: 3", "model_list")]
)
def test_what_is_no_litellm_config_is_said_to_be_none(text, said):
    with pytest.raises(ValueError, match=said):
        import_litellm(text)


def test_the_command_writes_a_file_once_and_lists_the_rest(tmp_path):
    out, source = tmp_path / "crossfade.yaml", str(FOLDER / "balanced.yaml")

    written = CliRunner().invoke(app, ["import-litellm", source, "--out", str(out)])
    again = CliRunner().invoke(app, ["import-litellm", source, "--out", str(out)])
    as_json = CliRunner().invoke(app, ["import-litellm", source, "--json"])
    checked = CliRunner().invoke(app, ["check", str(out)], env={"GROQ_API_KEY": "x", "OPENAI_API_KEY": "x"})

    assert (written.exit_code, again.exit_code, checked.exit_code) == (0, 2, 0), checked.stderr
    assert "not carried over: router_settings.cooldown_time" in written.stderr
    assert json.loads(as_json.stdout)["config"]["features"]


def test_the_address_of_a_private_aws_endpoint_is_carried_over():
    found = import_litellm(
        """
        model_list:
          - model_name: claude
            litellm_params:
              {model: bedrock/us.anthropic.claude-haiku-4-5, aws_region_name: us-east-1,
               aws_bedrock_runtime_endpoint: "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"}
        """
    )

    (provider,) = found.document["providers"].values()
    assert provider["base_url"] == "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"
    assert found.left == ()
