"""What callers are told when nothing of theirs is wrong, when something is, and before they ask."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from deployment import ENVIRONMENT, running_deployment

sys.path.insert(0, str(Path(__file__).parent / "recorded"))
from upstream import Recording, replaying

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

CONFIG = """
providers:
  openai-sim: {{kind: openai, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  wrong-key: {{kind: anthropic, base_url: '{clouds.anthropic}', auth: {{method: api-key, env: WRONG_KEY}}}}
  listener: {{kind: anthropic, base_url: '{listener}', auth: {{method: api-key, env: SIM_KEY}}}}
endpoints:
  chat: {{provider: openai-sim, model: gpt-sim}}
  refused: {{provider: wrong-key, model: claude-sim}}
  listening: {{provider: listener, model: claude-x}}
features:
  to-chat: [chat]
  to-refused: [refused]
  to-listener: [listening]
"""
PLAIN = "Say something about rivers."


ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


@pytest.fixture(scope="module")
def listener():
    with replaying() as upstream:
        body = json.dumps(ANSWER).encode()
        upstream.recordings["up"] = Recording(200, {"content-type": "application/json"}, body, "whole")
        yield upstream


@pytest.fixture(scope="module")
def gateway(clouds, listener, tmp_path_factory):
    environment = {**ENVIRONMENT, "WRONG_KEY": "sk-wrong"}
    folder = tmp_path_factory.mktemp("callers")
    with running_deployment(
        folder, CONFIG.format(clouds=clouds, listener=listener.address("up")), environment
    ) as running:
        yield running.url


@pytest.fixture(scope="module")
def oa(gateway):
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def an(gateway):
    with anthropic.Anthropic(base_url=gateway, api_key="unused", max_retries=0) as made:
        yield made


def test_our_refused_credential_is_never_the_callers_401(oa, an):
    with pytest.raises(openai.APIStatusError) as chat:
        oa.chat.completions.create(model="to-refused", messages=[{"role": "user", "content": PLAIN}])
    with pytest.raises(anthropic.APIStatusError) as messages:
        an.messages.create(model="to-refused", messages=[{"role": "user", "content": PLAIN}], max_tokens=9)

    assert chat.value.status_code == messages.value.status_code == 502
    assert chat.value.body["code"] == "auth"
    assert messages.value.body["error"]["type"] == "api_error"


def test_an_unknown_feature_is_told_in_the_callers_dialect(an):
    with pytest.raises(anthropic.NotFoundError) as error:
        an.messages.create(model="to-nowhere", messages=[{"role": "user", "content": PLAIN}], max_tokens=9)

    assert error.value.body["error"]["type"] == "not_found_error"


def test_tokens_are_estimated_before_the_call(an):
    counted = an.messages.count_tokens(model="to-chat", messages=[{"role": "user", "content": PLAIN}])

    assert 0 < counted.input_tokens < 50


def test_opt_ins_reach_an_upstream_of_the_same_dialect_and_are_named_elsewhere(an, listener):
    ask = {"messages": [{"role": "user", "content": PLAIN}], "max_tokens": 9}
    heard = {"anthropic-beta": "context-1m-2025-08-07, not a word"}
    said = an.messages.create(model="to-listener", extra_headers=heard, **ask)
    other = an.messages.with_raw_response.create(model="to-chat", extra_headers=heard, **ask)

    assert said.content[0].text == "Hi"
    assert listener.heard["up"]["anthropic-beta"] == "context-1m-2025-08-07"
    assert "context-1m-2025-08-07" in other.headers["x-crossfade-warnings"]
