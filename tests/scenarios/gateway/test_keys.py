"""Virtual keys: who is let in, and how much each may ask for, told in the words of each SDK."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cloud import Cloud
from process import get, running_gateway

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

CONFIG = """
providers:
  up: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/a/v1', auth: {{method: none}}}}
endpoints: {{a: {{provider: up, model: m}}}}
features: {{f: {{hierarchy: [a]}}}}
"""
PEPPER = b"pepper"
MONEY = 'crossfade_key_money_used{key="two-dollars"}'
LIMITS = {
    "free": (None, None),
    "three": (3, None),
    "two-calls": (2, None),
    "few-tokens": (None, 60),
    "other-feature": (None, None),
    "two-dollars": (None, None),
}
HELLO: Any = [{"role": "user", "content": "Hi"}]
LONG: Any = [{"role": "user", "content": "word " * 60}]


def secret(name: str) -> str:
    return f"cf-{name}_secret"


def with_keys(snapshot: dict[str, Any]) -> dict[str, Any]:
    snapshot["edge"]["open_access"] = False
    snapshot["keys"] = [
        {
            "id": name,
            "hmac": hmac.new(PEPPER, secret(name).encode(), hashlib.sha256).hexdigest(),
            "features": ["g"] if name == "other-feature" else ["*"],
            "measure": False,
            "rpm": rpm,
            "tpm": tpm,
            "usd_per_day": 2.0 if name == "two-dollars" else None,
        }
        for name, (rpm, tpm) in LIMITS.items()
    ]
    # The simulated answer counts five tokens in: a dollar a call.
    price = {"input": 1e6 / 5, "cache_read": 0.0, "cache_write": 0.0, "output": 0.0}
    snapshot["endpoints"]["a"]["price"] = price
    return snapshot


@pytest.fixture(scope="module")
def port():
    cloud = Cloud()
    cloud.script("a", ["ok"])
    with running_gateway(CONFIG.format(port=cloud.port), with_keys) as running:
        yield running.port
    cloud.close()


def client(port: int, key: str) -> Any:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=secret(key), max_retries=0)


def test_a_stranger_and_a_key_for_something_else_are_turned_away(port):
    with client(port, "nobody") as caller, pytest.raises(openai.AuthenticationError) as stranger:
        caller.chat.completions.create(model="f", messages=HELLO)
    with client(port, "other-feature") as caller, pytest.raises(openai.PermissionDeniedError) as known:
        caller.chat.completions.create(model="f", messages=HELLO)

    # A stranger's body is not read: whoever keeps connections is told that this one ends.
    assert stranger.value.response.headers["connection"] == "close"
    assert "connection" not in known.value.response.headers


def test_a_key_is_told_what_it_has_left_and_when_to_come_back(port):
    with client(port, "three") as caller:
        left = []
        for _ in range(3):
            answer = caller.chat.completions.with_raw_response.create(model="f", messages=HELLO)
            left.append(answer.headers["x-ratelimit-remaining-requests"])
        with pytest.raises(openai.RateLimitError) as refused:
            caller.chat.completions.create(model="f", messages=HELLO)

    assert left == ["2", "1", "0"]
    headers = refused.value.response.headers
    assert 0 < int(headers["retry-after-ms"]) <= 20_000  # a third of a minute
    assert headers["x-ratelimit-limit-requests"] == "3"
    assert headers["x-should-retry"] == "true"
    assert "3 requests a minute" in refused.value.message


def test_tokens_are_charged_as_the_provider_counted_them(port):
    with client(port, "few-tokens") as caller:
        caller.chat.completions.create(model="f", messages=LONG)
        with pytest.raises(openai.RateLimitError, match="60 tokens a minute"):
            caller.chat.completions.create(model="f", messages=LONG)


def test_another_dialect_says_it_in_its_own_words(port):
    address = f"http://127.0.0.1:{port}"
    with anthropic.Anthropic(base_url=address, api_key=secret("two-calls"), max_retries=0) as caller:
        answer = caller.messages.with_raw_response.create(model="f", messages=HELLO, max_tokens=10)
        caller.messages.create(model="f", messages=HELLO, max_tokens=10)
        with pytest.raises(anthropic.RateLimitError) as refused:
            caller.messages.create(model="f", messages=HELLO, max_tokens=10)

    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "1"
    assert refused.value.response.headers["anthropic-ratelimit-requests-limit"] == "2"
    assert refused.value.response.headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_a_days_money_is_a_hard_stop_that_a_restart_does_not_lift():
    cloud = Cloud()
    cloud.script("a", ["ok"])
    config = CONFIG.format(port=cloud.port)
    with running_gateway(config, with_keys) as running, client(running.port, "two-dollars") as caller:
        used = []
        for _ in range(2):
            caller.chat.completions.create(model="f", messages=HELLO)
            [line] = [row for row in get(running.admin_port, "/metrics").splitlines() if MONEY in row]
            used.append(float(line.split()[-1]))
        with pytest.raises(openai.RateLimitError, match="2 USD a day") as refused:
            caller.chat.completions.create(model="f", messages=HELLO)
    assert used == [0.5, 1.0]
    assert 0 < int(refused.value.response.headers["retry-after-ms"]) <= 86_400_000

    before = json.dumps({"two-dollars": {"day": int(time.time()) // 86_400, "usd": 2.0}})
    with (
        running_gateway(config, with_keys, {"spent.json": before}) as running,
        client(running.port, "two-dollars") as caller,
        pytest.raises(openai.RateLimitError, match="2 USD a day"),
    ):
        caller.chat.completions.create(model="f", messages=HELLO)
    cloud.close()


def test_a_key_without_limits_has_none(port):
    with client(port, "free") as caller:
        for _ in range(5):
            answer = caller.chat.completions.with_raw_response.create(model="f", messages=HELLO)
            assert "x-ratelimit-limit-requests" not in answer.headers
