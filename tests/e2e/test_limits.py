"""What a provider says of its limits, in each one's own words, is what the gateway books by at once."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest
from deployment import ENVIRONMENT, running_deployment

sys.path.insert(0, str(Path(__file__).parent / "recorded"))
from upstream import Recording, replaying

# As each provider wrote them in recorded answers, with nothing left instead of nearly all.
USED_UP = {
    "openai": {
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-remaining-requests": "4999",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "4000000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
    },
    "anthropic": {
        "anthropic-ratelimit-input-tokens-limit": "20000000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2099-03-18T17:50:11Z",
        "anthropic-ratelimit-output-tokens-limit": "4000000",
        "anthropic-ratelimit-output-tokens-remaining": "4000000",
        "anthropic-ratelimit-output-tokens-reset": "2099-03-18T17:50:11Z",
    },
    "azure-openai": {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-renewalperiod-requests": "60",
        "x-ratelimit-reset-requests": "500",
        "x-ratelimit-limit-tokens": "120000",
        "x-ratelimit-remaining-tokens": "119986",
        "x-ratelimit-renewalperiod-tokens": "60",
        "x-ratelimit-reset-tokens": "7",
    },
    "mistral": {
        "x-ratelimit-limit-req-minute": "60",
        "x-ratelimit-remaining-req-minute": "58",
        "x-ratelimit-limit-tokens-minute": "75000",
        "x-ratelimit-remaining-tokens-minute": "0",
        "x-ratelimit-tokens-query-cost": "68",
    },
    "xai": {
        "x-ratelimit-limit-tokens": "10000000",
        "x-ratelimit-remaining-tokens": "10000000",
        "x-ratelimit-limit-requests": "1800",
        "x-ratelimit-remaining-requests": "0",
    },
    "cohere": {"x-trial-endpoint-call-limit": "10", "x-trial-endpoint-call-remaining": "0"},
}
KINDS = {"mistral": "openai-compatible", "xai": "openai-compatible"}
CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}
ANSWERS = {
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 1},
    },
    "cohere": {
        "id": "1",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
        "usage": {"tokens": {"input_tokens": 5, "output_tokens": 1}},
    },
}
# So little that what is used up is not back before the next request; Anthropic limits what goes in and
# what comes out apart.
APART = "{class: provisioned, units: 1 MU, per_unit: {input_tpm: 60, output_tpm: 3000}, window: 60s}"
TOGETHER = "{class: on-demand, tpm: 300, rpm: 12, window: 60s}"
ASK = {"max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with replaying() as upstream:
        lines, endpoints = ["providers:"], ["endpoints:"]
        pools, features = ["pools:"], ["features:"]

        def add(name: str, family: str, headers: dict[str, str]) -> None:
            body = json.dumps(ANSWERS.get(family, CHAT)).encode()
            upstream.recordings[name] = Recording(
                200, {"content-type": "application/json", **headers}, body, "whole"
            )
            kind = KINDS.get(family, family)
            key = "auth: {method: api-key, env: SIM_KEY}"
            lines.append(f"  {name}: {{kind: {kind}, base_url: '{upstream.address(name)}', {key}}}")
            capacity = APART if family == "anthropic" else TOGETHER
            endpoints.append(f"  {name}: {{provider: {name}, model: m, capacity: {capacity}}}")

        add("backup", "openai", {})
        add("silent", "openai", {})
        pools.append("  silents: [silent, backup]")
        features.append("  by-silent: [silents]")
        for family, headers in USED_UP.items():
            add(f"{family}-told", family, headers)
            pools.append(f"  {family}-pool: [{family}-told, backup]")
            features.append(f"  by-{family}: [{family}-pool]")
        config = "\n".join([*lines, *endpoints, *pools, *features]) + "\n"
        with running_deployment(tmp_path_factory.mktemp("limits"), config, ENVIRONMENT) as running:
            yield running


def served_by(gateway, feature: str) -> str:
    request = urllib.request.Request(
        f"{gateway.url}/v1/chat/completions",
        data=json.dumps({"model": feature, **ASK}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.headers["x-crossfade-endpoint"]


@pytest.mark.parametrize("family", USED_UP)
def test_an_endpoint_whose_provider_says_that_nothing_is_left_is_not_asked_again(gateway, family):
    assert served_by(gateway, f"by-{family}") == f"{family}-told"
    assert served_by(gateway, f"by-{family}") == "backup"


def test_an_endpoint_whose_provider_says_nothing_is(gateway):
    assert [served_by(gateway, "by-silent") for _ in range(3)] == ["silent"] * 3
