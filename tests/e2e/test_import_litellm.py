"""A LiteLLM proxy's config, imported by the command and served: what its callers ask for is answered."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from deployment import ENVIRONMENT, running_deployment

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

# Three configs as teams have them; the addresses are those of private endpoints.
TEAM = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      {{model: openai/gpt-sim, api_base: '{openai}', api_key: os.environ/SIM_KEY, rpm: 500, temperature: 0.2}}
  - model_name: gpt-4o-mini
    litellm_params: {{model: gpt-sim, api_base: '{openai}', api_key: os.environ/SIM_KEY, tpm: 200000}}
  - model_name: local-llama
    litellm_params: {{model: hosted_vllm/gpt-sim, api_base: '{openai}', api_key: os.environ/SIM_KEY}}
litellm_settings:
  drop_params: true
  num_retries: 2
  request_timeout: 45
  fallbacks: [{{gpt-4o: [gpt-4o-mini]}}, {{gpt-4o-mini: [local-llama]}}]
  success_callback: [langfuse]
general_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}
"""
BALANCED = """
model_list:
  - model_name: claude
    litellm_params:
      model: bedrock/us.anthropic.claude-haiku-4-5
      aws_region_name: us-east-1
      aws_bedrock_runtime_endpoint: '{bedrock}'
      weight: 3
      tpm: 2000000
  - model_name: claude
    litellm_params:
      {{model: anthropic/claude-sim, api_base: '{anthropic}', api_key: os.environ/SIM_KEY, weight: 1}}
  - model_name: recap
    litellm_params:
      model: sagemaker_chat/haiku-sm
      aws_region_name: us-east-1
      sagemaker_base_url: '{sagemaker}'
      order: 1
  - model_name: recap
    litellm_params: {{model: openai/gpt-sim, api_base: '{openai}', api_key: os.environ/SIM_KEY, order: 2}}
router_settings:
  routing_strategy: least-busy
  num_retries: 1
  cooldown_time: 30
  model_group_alias: {{gpt-4: recap}}
  fallbacks: [{{claude: [recap]}}]
"""
CLOUDS = """
model_list:
  - model_name: gpt-4.1
    litellm_params:
      model: azure/gpt-standard
      api_base: '{azure}'
      api_version: '2024-10-21'
      api_key: os.environ/SIM_KEY
  - model_name: gpt-4.1
    litellm_params: {{model: openai/gpt-sim, api_base: '{openai}', api_key: os.environ/SIM_KEY}}
  - model_name: gemini-pro
    litellm_params: {{model: gemini/gemini-sim, api_base: '{gemini}', api_key: os.environ/SIM_KEY}}
  - model_name: claude-sonnet
    litellm_params: {{model: anthropic/claude-sim, api_base: '{anthropic}', api_key: os.environ/SIM_KEY}}
litellm_settings: {{default_fallbacks: [gpt-4.1], cache: true}}
"""


@pytest.fixture(params=[TEAM, BALANCED, CLOUDS], ids=["team", "balanced", "clouds"])
def imported(request, clouds, tmp_path):
    """The gateway of an imported config, and the names its callers know."""
    theirs = request.param.format(**vars(clouds))
    (tmp_path / "litellm.yaml").write_text(theirs)
    command = [sys.executable, "-m", "crossfade", "config", "import-litellm", str(tmp_path / "litellm.yaml")]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == 0, made.stderr
    names = {entry["model_name"] for entry in yaml.safe_load(theirs)["model_list"]}
    aliases = (yaml.safe_load(theirs).get("router_settings") or {}).get("model_group_alias") or {}
    with running_deployment(tmp_path, made.stdout, ENVIRONMENT) as running:
        yield running.url, sorted({*names, *aliases})


def test_every_name_of_the_config_answers_the_sdks_its_callers_use(imported):
    url, names = imported
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        listed = {model.id for model in client.models.list()}
        for name in names:
            asked = {
                "model": name,
                "messages": [{"role": "user", "content": "Say something."}],
                "max_tokens": 64,
            }
            answer = client.chat.completions.create(**asked)
            streamed = "".join(
                chunk.choices[0].delta.content or ""
                for chunk in client.chat.completions.create(**asked, stream=True)
                if chunk.choices
            )

            assert name in listed
            assert answer.choices[0].message.content
            assert streamed
    with anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0) as client:
        for name in names:
            message = client.messages.create(
                model=name, max_tokens=64, messages=[{"role": "user", "content": "Say something."}]
            )

            assert message.content[0].text
