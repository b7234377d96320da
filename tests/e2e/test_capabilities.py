"""Every caller's SDK asks every upstream kind for everything: it works, or says why not, as documented."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deployment import ENVIRONMENT, call, running_deployment

pytest.importorskip("openai", reason="the openai SDK is not installed")
pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

from capabilities import CALLERS, CAPABILITIES, outcome, page

PAGE = Path(__file__).parents[2] / "docs/reference/capabilities.md"
POOL = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/sim/providers/sim"
CONFIG = """
providers:
  openai-sim: {{kind: openai, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  anthropic-sim: {{kind: anthropic, base_url: '{clouds.anthropic}', auth: {{method: api-key, env: SIM_KEY}}}}
  gemini-sim: {{kind: gemini, base_url: '{clouds.gemini}', auth: {{method: api-key, env: SIM_KEY}}}}
  azure-sim: {{kind: azure-openai, base_url: '{clouds.azure}', auth: {{method: api-key, env: SIM_KEY}}}}
  bedrock-sim: {{kind: bedrock, base_url: '{clouds.bedrock}', auth: {{method: default-chain}}}}
  sagemaker-sim: {{kind: sagemaker, base_url: '{clouds.sagemaker}', auth: {{method: default-chain}}}}
  cohere-sim: {{kind: cohere, base_url: '{clouds.cohere}', auth: {{method: api-key, env: SIM_KEY}}}}
  vertex-sim:
    kind: vertex
    project: acme-llm
    base_url: '{clouds.vertex}'
    auth: {{method: workload-identity, audience: '{pool}', token_file: '{token}', sts_url: '{clouds.tokens}'}}
endpoints:
  chat: {{provider: openai-sim, model: gpt-sim}}
  responses: {{provider: openai-sim, model: gpt-sim, dialect: openai_responses}}
  messages: {{provider: anthropic-sim, model: claude-sim}}
  gemini: {{provider: gemini-sim, model: gemini-sim}}
  vertex-gemini: {{provider: vertex-sim, region: us-central1, model: gemini-sim}}
  vertex-claude: {{provider: vertex-sim, region: us-central1, model: claude-sim@1}}
  vertex-chat: {{provider: vertex-sim, region: us-central1, model: google/gemini-sim}}
  azure: {{provider: azure-sim, model: gpt-standard}}
  converse: {{provider: bedrock-sim, region: us-east-1, model: us.anthropic.claude-haiku-4-5}}
  invoke:
    provider: bedrock-sim
    region: us-east-1
    model: us.anthropic.claude-haiku-4-5
    dialect: bedrock_invoke
  vllm: {{provider: sagemaker-sim, region: us-east-1, model: haiku-sm}}
  tgi:
    provider: sagemaker-sim
    region: us-east-1
    model: llama-tgi
    dialect: tgi
    capabilities: {{schema: yes}}
  lmi: {{provider: sagemaker-sim, region: us-east-1, model: llama-lmi, dialect: tgi}}
  cohere: {{provider: cohere-sim, model: command-sim}}
"""
FAMILIES = {
    "Nova": "us.amazon.nova-pro-v1:0",
    "Titan": "amazon.titan-text-express-v1",
    "Llama": "us.meta.llama3-3-70b-instruct-v1:0",
    "Mistral": "mistral.mixtral-8x7b-instruct-v0:1",
    "Command": "cohere.command-text-v14",
    "Command R": "cohere.command-r-v1:0",
}
INVOKED = {f"invoke-{n}": (family, model) for n, (family, model) in enumerate(FAMILIES.items())}
UPSTREAMS = {
    "chat": "openai (Chat)",
    "responses": "openai (Responses)",
    "azure": "azure-openai",
    "messages": "anthropic",
    "gemini": "gemini",
    "vertex-gemini": "vertex (Gemini)",
    "vertex-claude": "vertex (Claude)",
    "vertex-chat": "vertex (Chat)",
    "converse": "bedrock (Converse)",
    "invoke": "bedrock (InvokeModel, Claude)",
    **{name: f"bedrock (InvokeModel, {family})" for name, (family, _) in INVOKED.items()},
    "vllm": "sagemaker (vLLM)",
    "tgi": "sagemaker (TGI)",
    "lmi": "sagemaker (LMI)",
    "cohere": "cohere",
}
ENDPOINTS = "".join(
    f"  {name}: {{provider: bedrock-sim, region: us-east-1, model: '{model}', dialect: bedrock_invoke}}\n"
    for name, (_, model) in INVOKED.items()
)
FEATURES = "features:\n" + "".join(f"  to-{name}: [{name}]\n" for name in UPSTREAMS)


@pytest.fixture(scope="module")
def gateway(clouds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("capabilities")
    token = folder / "token"
    token.write_text(call(f"{clouds.tokens}/issue", "POST", {"aud": POOL})["token"])
    config = CONFIG.format(clouds=clouds, pool=POOL, token=token) + ENDPOINTS + FEATURES
    with running_deployment(folder, config, ENVIRONMENT) as running:
        yield running.url


def test_every_cell_is_as_the_reference_says(gateway):
    outcomes: dict[tuple[str, str, str], str] = {}
    broken: dict[tuple[str, str, str], str] = {}

    def ask(kind, name):
        caller = kind(gateway)
        for capability in CAPABILITIES:
            cell = (kind.title, name, capability)
            try:
                outcomes[cell] = outcome(caller, capability, f"to-{name}")
            except Exception as error:  # noqa: BLE001 - every cell is tried before the test fails
                broken[cell] = repr(error)[:300]
        caller.client.close()

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(ask, kind, name) for kind in CALLERS for name in UPSTREAMS]:
            done.result()

    assert broken == {}
    if os.environ.get("WRITE_MATRIX"):
        PAGE.write_text(page(outcomes, UPSTREAMS))
    assert PAGE.read_text() == page(outcomes, UPSTREAMS), "run `make matrix`, and look at what changed"
