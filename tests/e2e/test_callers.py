"""What callers are told when nothing of theirs is wrong, when something is, and before they ask."""

from __future__ import annotations

import pytest
from deployment import ENVIRONMENT, running_deployment

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

CONFIG = """
providers:
  openai-sim: {{kind: openai, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  wrong-key: {{kind: anthropic, base_url: '{clouds.anthropic}', auth: {{method: api-key, env: WRONG_KEY}}}}
endpoints:
  chat: {{provider: openai-sim, model: gpt-sim}}
  refused: {{provider: wrong-key, model: claude-sim}}
features:
  to-chat: [chat]
  to-refused: [refused]
"""
PLAIN = "Say something about rivers."


@pytest.fixture(scope="module")
def gateway(clouds, tmp_path_factory):
    environment = {**ENVIRONMENT, "WRONG_KEY": "sk-wrong"}
    folder = tmp_path_factory.mktemp("callers")
    with running_deployment(folder, CONFIG.format(clouds=clouds), environment) as running:
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
