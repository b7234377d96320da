from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from deployment import ENVIRONMENT, Clouds, Deployment, running_clouds, running_deployment

CONFIG = """
providers:
  lab: {{kind: openai-compatible, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  bedrock-sim: {{kind: bedrock, base_url: '{clouds.bedrock}', auth: {{method: default-chain}}}}
  sagemaker-sim: {{kind: sagemaker, base_url: '{clouds.sagemaker}', auth: {{method: default-chain}}}}
endpoints:
  gpt: {{provider: lab, model: gpt-sim{breaker}}}
  untouched: {{provider: lab, model: gpt-sim}}  # no other test breaks it, so its breaker is closed
  claude: {{provider: bedrock-sim, region: us-east-1, model: us.anthropic.claude-haiku-4-5{breaker}}}
  haiku-sm: {{provider: sagemaker-sim, region: us-east-1, model: haiku-sm{breaker}}}
features:
  summary: [gpt, claude]
  answer: [claude, gpt]
  recap: [haiku-sm, gpt]
  explained: [untouched, claude]
"""
# One deployment for many tests: what one of them breaks must be asked again by the next.
NEVER_OPENS = ", breaker: {min_hard: 1000000, consecutive_hard: 1000000}"


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory):
    with running_clouds(tmp_path_factory.mktemp("clouds"), "--time-scale", "0.05") as running:
        yield running


@pytest.fixture(scope="session")
def config(clouds: Clouds) -> str:
    """The text of a config that serves four features on the simulated clouds."""
    return CONFIG.format(clouds=clouds, breaker="")


@pytest.fixture(scope="session")
def deployment(clouds: Clouds, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("deployment")
    with running_deployment(
        folder, CONFIG.format(clouds=clouds, breaker=NEVER_OPENS), ENVIRONMENT
    ) as running:
        yield running


@pytest.fixture
def faults(clouds: Clouds):
    """Injects faults, and takes every one back."""
    put: list[tuple[str, str]] = []

    def inject(cloud: str, model: str, **fault: object) -> None:
        put.append((cloud, model))
        clouds.put_fault(cloud, model, **fault)

    yield inject
    for cloud, model in put:
        clouds.clear_fault(cloud, model)


@pytest.fixture
def client(deployment: Deployment):
    openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
    with openai.OpenAI(base_url=f"{deployment.url}/v1", api_key="unused", max_retries=0) as made:
        yield made
