"""Upstreams that take one plain prompt: what they are sent, and what they are not."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from crossfade import _engine
from crossfade.config.catalogue.capabilities import ALL, capabilities_of
from crossfade.domain.snapshot import Dialect

TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Why?"},
]
WRITTEN = "Be short.\n\nUser: Hi\nAssistant: Hello.\nUser: Why?\nAssistant:"
HEADED = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe short.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
HISTORY = [{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello."}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
BODIES = {
    "amazon.titan-text-express-v1": {
        "inputText": WRITTEN,
        "textGenerationConfig": {"maxTokenCount": 9, "topP": 0.5},
    },
    "meta.llama3-3-70b-instruct-v1:0": {"prompt": HEADED, "max_gen_len": 9, "top_p": 0.5},
    "mistral.mixtral-8x7b-instruct-v0:1": {"prompt": WRITTEN, "max_tokens": 9, "top_p": 0.5},
    "cohere.command-text-v14": {"prompt": WRITTEN, "max_tokens": 9, "p": 0.5},
    "cohere.command-r-v1:0": {
        "message": "Why?",
        "chat_history": HISTORY,
        "preamble": "Be short.",
        "max_tokens": 9,
        "p": 0.5,
    },
}


def sent(dialect: Dialect, model: str, **more: object) -> dict:
    body = {"model": "m", "messages": TALK, "max_completion_tokens": 9, "top_p": 0.5, **more}
    takes = json.dumps(asdict(ALL))
    return json.loads(
        _engine.translate_request("openai_chat", dialect, model, takes, json.dumps(body).encode())
    )


@pytest.mark.parametrize("model", BODIES)
def test_each_family_gets_the_conversation_in_its_own_form(model):
    assert sent(Dialect.BEDROCK_INVOKE, model) == {"body": BODIES[model], "warnings": []}


@pytest.mark.parametrize("model", BODIES)
def test_what_a_plain_prompt_cannot_say_is_refused_and_the_catalogue_knows_it(model):
    takes = capabilities_of(model, Dialect.BEDROCK_INVOKE)

    assert not any((takes.tools, takes.schema, takes.images, takes.prefill))
    for asked in ({"tools": [TOOL]}, {"response_format": FORM}):
        with pytest.raises(ValueError, match="unsupported"):
            sent(Dialect.BEDROCK_INVOKE, model, **asked)
    assert capabilities_of(model).tools  # by Converse it does


def test_nova_takes_tools_but_no_schema():
    model = "us.amazon.nova-pro-v1:0"
    takes = capabilities_of(model, Dialect.BEDROCK_INVOKE)

    assert (takes.tools, takes.images, takes.schema) == (True, True, False)
    assert "toolConfig" in sent(Dialect.BEDROCK_INVOKE, model, tools=[TOOL])["body"]
    with pytest.raises(ValueError, match="unsupported: response_format"):
        sent(Dialect.BEDROCK_INVOKE, model, response_format=FORM)


def test_a_setting_without_a_word_is_named():
    said = sent(Dialect.BEDROCK_INVOKE, "amazon.titan-text-express-v1", seed=1, reasoning_effort="low")

    assert said["warnings"] == [
        "seed has no form at this endpoint and was left out",
        "reasoning_effort has no form at this endpoint and was left out",
    ]


def test_a_container_of_texts_is_held_to_a_schema_by_its_grammar():
    said = sent(Dialect.TGI, "llama", response_format=FORM)["body"]

    assert said["inputs"] == WRITTEN
    assert said["parameters"]["grammar"] == {"type": "json", "value": SCHEMA}
    assert not capabilities_of("llama", Dialect.TGI).schema  # until the config says that it is TGI itself
