"""Short-lived credentials under traffic: renewed in time; when a source dies, only its endpoints do."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import openai
import pytest
from deployment import Clouds, Deployment, call, running_clouds, running_deployment

LIFE_S = 20
WITHIN_S = 90
MESSAGES = [
    {"role": "user", "content": "Ana confirmed the budget. Bo postponed the review of the login page."}
]
POOL = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/sim/providers/sim"
TENANT, APPLICATION = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"

CONFIG = """
providers:
  google-sim:
    kind: openai-compatible
    base_url: '{clouds.vertex}/v1/projects/acme-llm/locations/us-central1/endpoints/openapi'
    auth: {{method: workload-identity, cloud: gcp, audience: '{pool}', token_file: '{google}',
            sts_url: '{clouds.tokens}'}}
  azure-sim:
    kind: openai-compatible
    base_url: '{clouds.azure}/openai/v1'
    auth: {{method: workload-identity, cloud: azure, tenant: '{tenant}', client_id: '{application}',
            token_file: '{azure}', sts_url: '{clouds.entra}'}}
  bedrock-sim:
    kind: bedrock
    base_url: '{clouds.bedrock}'
    auth: {{method: web-identity, role: 'arn:aws:iam::123456789012:role/llm', token_file: '{aws}',
            sts_url: '{clouds.sts}'}}
endpoints:
  gemini: {{provider: google-sim, model: google/gemini-sim}}
  gpt: {{provider: azure-sim, model: gpt-standard}}
  claude: {{provider: bedrock-sim, region: us-east-1, model: us.anthropic.claude-haiku-4-5}}
features:
  google-first: [gemini, gpt, claude]
  azure-first: [gpt, claude]
  aws-only: [claude, gpt]
"""


@pytest.fixture(scope="module")
def short_lived(tmp_path_factory):
    folder = tmp_path_factory.mktemp("short-lived")
    (folder / "clouds.yaml").write_text(f"identity: {{session_s: {LIFE_S}}}\ntime_scale: 0.01\n")
    with running_clouds(folder, "--config", str(folder / "clouds.yaml")) as clouds:
        yield clouds


@pytest.fixture(scope="module")
def federated(short_lived: Clouds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("federated")
    ca = folder / "ca.pem"
    ca.write_bytes(urllib.request.urlopen(f"{short_lived.admin}/ca.pem", timeout=10).read())
    audiences = {"google": POOL, "azure": "api://AzureADTokenExchange", "aws": "sts.amazonaws.com"}
    files = {
        name: str(token_file(short_lived, folder / name, audience)) for name, audience in audiences.items()
    }
    text = CONFIG.format(clouds=short_lived, pool=POOL, tenant=TENANT, application=APPLICATION, **files)
    with running_deployment(folder, text, {"REQUESTS_CA_BUNDLE": str(ca)}) as running:
        yield running


def token_file(clouds: Clouds, path: Path, audience: str) -> Path:
    path.write_text(call(f"{clouds.tokens}/issue", "POST", {"aud": audience})["token"])
    return path


class Traffic:
    """Requests one after another; every answer is counted, every failure kept."""

    def __init__(self, deployment: Deployment) -> None:
        self.client = openai.OpenAI(base_url=f"{deployment.url}/v1", api_key="unused", max_retries=0)
        self.served: dict[str, list[str]] = {}
        self.failures: list[str] = []

    def send(self) -> None:
        for feature in ("google-first", "azure-first", "aws-only"):
            try:
                raw = self.client.chat.completions.with_raw_response.create(
                    model=feature, messages=MESSAGES, max_tokens=40
                )
            except openai.OpenAIError as error:
                self.failures.append(f"{feature}: {error}")
                continue
            self.served.setdefault(feature, []).append(raw.headers["x-crossfade-endpoint"])

    def until(self, condition) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline, (
                self.failures[-1:],
                {k: v[-1] for k, v in self.served.items()},
            )
            self.send()


def metrics_of(deployment: Deployment) -> dict[str, float]:
    asked = urllib.request.Request(f"{deployment.control}/metrics", headers=deployment.own())
    with urllib.request.urlopen(asked, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for line in lines if line[:1] != "#" for name, value in [line.rsplit(" ", 1)]}


def test_no_request_fails_while_any_credential_is_good_and_the_alarm_comes_before_the_end(
    short_lived, federated
):
    traffic = Traffic(federated)
    broken = {"google-sim": "google-first", "azure-sim": "azure-first"}  # and who is served by it first
    alarmed: dict[str, tuple[float, str]] = {}  # what the alarm's metric said, and who served still

    def troubles() -> dict[str, str]:
        return federated.read("/api/v1/overview")["credentials"]

    def last(feature: str) -> str:
        return traffic.served.get(feature, [""])[-1]

    def is_each_alarmed() -> bool:
        """Each in its own time: they were renewed last at different moments."""
        for name in (name for name, why in troubles().items() if why.startswith("ALARM")):
            metric = metrics_of(federated)[f'crossfade_credential_alarm{{credential="{name}"}}']
            alarmed.setdefault(name, (metric, last(broken[name])))
        return alarmed.keys() == broken.keys()

    traffic.until(
        lambda: [last(f) for f in ("google-first", "azure-first", "aws-only")] == ["gemini", "gpt", "claude"]
    )
    renewals = time.monotonic() + 1.5 * LIFE_S  # no token lives as long
    traffic.until(lambda: time.monotonic() > renewals)
    assert traffic.failures == []
    assert set(traffic.served["google-first"]) == {"gemini"}
    assert troubles() == {}

    short_lived.put_fault("tokens", "*", kind="dead")
    traffic.until(is_each_alarmed)
    assert alarmed == {"google-sim": (1, "gemini"), "azure-sim": (1, "gpt")}, "and still serving"
    traffic.until(lambda: {name for name, why in troubles().items() if why[:7] == "expired"} == broken.keys())
    traffic.until(lambda: [last("google-first"), last("azure-first")] == ["claude", "claude"])

    assert traffic.failures == []
    gone = metrics_of(federated)
    assert gone['crossfade_credential_held{credential="bedrock-sim"}'] == 1
    assert gone['crossfade_credential_held{credential="google-sim"}'] == 0
    short_lived.clear_fault("tokens", "*")
    traffic.until(lambda: troubles() == {} and last("google-first") == "gemini")
    traffic.client.close()
    assert traffic.failures == []
