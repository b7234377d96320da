"""Every caller's SDK over every kind of upstream, through one gateway: text, streams, tools."""

from __future__ import annotations

import json

import pytest
from deployment import ENVIRONMENT, running_deployment

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

CONFIG = """
providers:
  openai-sim: {{kind: openai, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  anthropic-sim: {{kind: anthropic, base_url: '{clouds.anthropic}', auth: {{method: api-key, env: SIM_KEY}}}}
  gemini-sim: {{kind: gemini, base_url: '{clouds.gemini}', auth: {{method: api-key, env: SIM_KEY}}}}
  azure-sim: {{kind: azure-openai, base_url: '{clouds.azure}', auth: {{method: api-key, env: SIM_KEY}}}}
  bedrock-sim: {{kind: bedrock, base_url: '{clouds.bedrock}', auth: {{method: default-chain}}}}
  sagemaker-sim: {{kind: sagemaker, base_url: '{clouds.sagemaker}', auth: {{method: default-chain}}}}
  wrong-key: {{kind: anthropic, base_url: '{clouds.anthropic}', auth: {{method: api-key, env: WRONG_KEY}}}}
endpoints:
  chat: {{provider: openai-sim, model: gpt-sim}}
  responses: {{provider: openai-sim, model: gpt-sim, dialect: openai_responses}}
  messages: {{provider: anthropic-sim, model: claude-sim}}
  gemini: {{provider: gemini-sim, model: gemini-sim}}
  azure: {{provider: azure-sim, model: gpt-standard}}
  converse: {{provider: bedrock-sim, region: us-east-1, model: us.anthropic.claude-haiku-4-5}}
  invoke:  # Messages bodies inside frames
    provider: bedrock-sim
    region: us-east-1
    model: us.anthropic.claude-haiku-4-5
    dialect: bedrock_invoke
  container: {{provider: sagemaker-sim, region: us-east-1, model: haiku-sm}}
  refused: {{provider: wrong-key, model: claude-sim}}
features:
  to-chat: [chat]
  to-responses: [responses]
  to-messages: [messages]
  to-gemini: [gemini]
  to-azure: [azure]
  to-converse: [converse]
  to-invoke: [invoke]
  to-container: [container]
  to-refused: [refused]
"""
UPSTREAMS = ("chat", "responses", "messages", "gemini", "azure", "converse", "invoke", "container")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK = "What is the weather in Paris? Use the weather tool."
PLAIN = "Say something about rivers."


@pytest.fixture(scope="module")
def gateway(clouds, tmp_path_factory):
    environment = {**ENVIRONMENT, "WRONG_KEY": "sk-wrong"}
    folder = tmp_path_factory.mktemp("matrix")
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


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_chat_callers(oa, upstream):
    model, ask = f"to-{upstream}", [{"role": "user", "content": PLAIN}]
    whole = oa.chat.completions.create(model=model, messages=ask, max_tokens=200)
    chunks = list(
        oa.chat.completions.create(
            model=model, messages=ask, max_tokens=200, stream=True, stream_options={"include_usage": True}
        )
    )
    tool = {
        "type": "function",
        "function": {"name": "weather", "description": "weather", "parameters": SCHEMA},
    }
    called = oa.chat.completions.create(
        model=model, messages=[{"role": "user", "content": ASK}], tools=[tool], max_tokens=200
    ).choices[0]

    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason in {"stop", "length"}
    assert whole.usage.prompt_tokens > 0
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage.completion_tokens > 0
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls[0].function.name == "weather"
    assert "city" in json.loads(called.message.tool_calls[0].function.arguments)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_responses_callers(oa, upstream):
    model = f"to-{upstream}"
    whole = oa.responses.create(model=model, input=PLAIN, max_output_tokens=200)
    events = list(oa.responses.create(model=model, input=PLAIN, max_output_tokens=200, stream=True))
    tool = {
        "type": "function",
        "name": "weather",
        "description": "weather",
        "parameters": SCHEMA,
        "strict": False,
    }
    called = oa.responses.create(model=model, input=ASK, tools=[tool], max_output_tokens=200)

    assert whole.output_text
    assert whole.usage.input_tokens > 0
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said
    assert events[-1].type in {"response.completed", "response.incomplete"}
    assert events[-1].response.output_text == said
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert call.name == "weather"
    assert "city" in json.loads(call.arguments)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_messages_callers(an, upstream):
    model, ask = f"to-{upstream}", [{"role": "user", "content": PLAIN}]
    whole = an.messages.create(model=model, messages=ask, max_tokens=200)
    with an.messages.stream(model=model, messages=ask, max_tokens=200) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    tool = {"name": "weather", "description": "weather", "input_schema": SCHEMA}
    first = {"role": "user", "content": ASK}
    called = an.messages.create(model=model, messages=[first], tools=[tool], max_tokens=200)
    (call,) = [block for block in called.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turns = [
        first,
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": [result]},
    ]
    after = an.messages.create(model=model, messages=turns, tools=[tool], max_tokens=200)

    assert whole.content[0].text
    assert whole.usage.input_tokens > 0
    assert said
    assert final.stop_reason in {"end_turn", "max_tokens"}
    assert called.stop_reason == "tool_use"
    assert (call.name, "city" in call.input) == ("weather", True)
    assert any(block.type == "text" and block.text for block in after.content)


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
