"""A candidate that is the incumbent's own pool with other parameters: only its arm is asked so."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent))

from process import ask, running_gateway

CONFIG = """
providers:
  old: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/old/v1', auth: {{method: none}}}}
endpoints: {{o: {{provider: old, model: m}}}}
pools: {{old: {{endpoints: [o]}}}}
features:
  f: {{hierarchy: [old]}}
"""
PARAMETERS = {"temperature": 0.2, "max_tokens": 300, "reasoning_effort": "low"}
USERS = [f"user-{number}" for number in range(40)]


def half(snapshot: dict) -> dict:
    snapshot["features"]["f"]["rollout"] = {
        "migration": "cooler", "epoch": 1, "salt": "s", "share": 0.5, "baseline_share": 0.5,
        "candidate": {"pool": "old", "set": PARAMETERS}, "dead_hard": 5, "dead_of": 20,
    }  # fmt: skip
    return snapshot


def prompted(snapshot: dict) -> dict:
    half(snapshot)["features"]["f"]["rollout"]["candidate"]["set"] = {"system": "Speak like a pirate."}
    return snapshot


def test_half_of_the_users_are_answered_by_the_candidates_system_prompt(cloud):
    own = {"role": "system", "content": "Be brief."}
    said = {"role": "user", "content": "Hello"}
    with running_gateway(CONFIG.format(port=cloud.port), prompted) as gateway:
        for user in USERS:
            assert ask(gateway.port, stream=False, user=user, messages=[own, said]).status == 200

    heard = [json.loads(call.body)["messages"] for call in cloud.calls]
    pirate = [{"role": "system", "content": "Speak like a pirate."}, said]
    assert all(messages in ([own, said], pirate) for messages in heard)
    assert 8 < heard.count(pirate) < 32


def test_half_of_the_users_are_answered_with_the_candidates_parameters_and_stay_there(cloud):
    with running_gateway(CONFIG.format(port=cloud.port), half) as gateway:
        for user in USERS * 2:
            answer = ask(gateway.port, stream=False, user=user, temperature=1.0, seed=7)
            assert answer.status == 200

    asked = [json.loads(call.body) for call in cloud.calls]
    first, again = asked[: len(USERS)], asked[len(USERS) :]
    cool = [body["temperature"] == 0.2 for body in first]
    assert 8 < sum(cool) < 32
    assert cool == [body["temperature"] == 0.2 for body in again], "a user stays in an arm"
    for body, is_candidate in zip(first, cool, strict=True):
        wanted = PARAMETERS if is_candidate else {"temperature": 1.0}
        assert {name: body.get(name) for name in wanted} == wanted
        assert body["seed"] == 7, "what the candidate does not set is the caller's"
        assert is_candidate or "max_tokens" not in body


def limited(snapshot: dict) -> dict:
    for target in snapshot["features"]["f"]["hierarchy"]:
        target["set"] = {"max_tokens": 300}
    return snapshot


def test_a_limit_of_the_config_stands_for_the_one_that_messages_ask_for(cloud):
    ask_for = {"model": "f", "messages": [{"role": "user", "content": "Hello"}]}
    with running_gateway(CONFIG.format(port=cloud.port), limited) as gateway:
        address = f"http://127.0.0.1:{gateway.port}/v1/messages"
        assert httpx.post(address, json=ask_for).status_code == 200
        assert httpx.post(address, json=ask_for | {"max_tokens": None}).status_code == 200

    assert [json.loads(call.body)["max_tokens"] for call in cloud.calls] == [300, 300]
