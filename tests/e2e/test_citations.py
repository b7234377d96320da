"""Recorded answers that cite, as upstreams of official SDKs in other dialects; what a model does not take."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from deployment import ENVIRONMENT, running_deployment

sys.path.insert(0, str(Path(__file__).parent / "recorded"))
from upstream import Recording, replaying

from crossfade.app.wire.exchange import read_exchanges

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

RECORDED = Path(__file__).parents[3] / "shared/data/provider-exchanges/exchanges.jsonl"
CONFIG = """
providers:
  google: {{kind: gemini, base_url: '{google}', auth: {{method: api-key, env: SIM_KEY}}}}
  streaming: {{kind: gemini, base_url: '{streaming}', auth: {{method: api-key, env: SIM_KEY}}}}
  cohere: {{kind: cohere, base_url: '{cohere}', auth: {{method: api-key, env: SIM_KEY}}}}
  blind: {{kind: gemini, base_url: '{google}', auth: {{method: api-key, env: SIM_KEY}}}}
endpoints:
  grounded: {{provider: google, model: gemini-2.5-flash}}
  streamed: {{provider: streaming, model: gemini-2.5-flash}}
  tools: {{provider: cohere, model: command-a-03-2025}}
  words: {{provider: blind, model: words-only, capabilities: {{images: no}}}}
features:
  to-grounded: [grounded]
  to-streamed: [streamed]
  to-tools: [tools]
  to-words: [words]
  to-either: [words, grounded]
"""
UPSTREAMS = {
    "google": "gemini-generateContent-fc099d88c458",
    "streaming": "gemini-streamGenerateContent-12abcb89a9df",
    "cohere": "cohere-chat-3a5d862cd096",
}
SOURCE = "https://ai.pydantic.dev"
ASK = [{"role": "user", "content": "What is it?"}]
LOOK = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        ],
    }
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    if not RECORDED.is_file():
        pytest.skip("the recorded exchanges are not beside the project (../shared/data)")
    exchanges = {exchange.id: exchange for exchange in read_exchanges(RECORDED)}
    with replaying() as upstream:
        for name, recorded in UPSTREAMS.items():
            exchange = exchanges[recorded]
            cut = "events" if name == "streaming" else "whole"
            upstream.recordings[name] = Recording(200, dict(exchange.headers), exchange.body, cut)
        config = CONFIG.format(**{name: upstream.address(name) for name in UPSTREAMS})
        with running_deployment(tmp_path_factory.mktemp("citations"), config, ENVIRONMENT) as running:
            yield running


@pytest.fixture(scope="module")
def chat(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_grounding_is_an_annotation_of_chat_and_of_responses(chat):
    message = chat.chat.completions.create(model="to-grounded", messages=ASK).choices[0].message
    (annotation,) = message.annotations
    assert annotation.url_citation.url == SOURCE
    cited = message.content[annotation.url_citation.start_index : annotation.url_citation.end_index]
    assert cited == message.content

    (item,) = chat.responses.create(model="to-grounded", input="What is it?").output
    (annotation,) = item.content[0].annotations
    assert (annotation.type, annotation.url) == ("url_citation", SOURCE)


def test_grounding_is_a_citation_of_a_block_of_messages(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="unused", max_retries=0) as client:
        answer = client.messages.create(model="to-grounded", max_tokens=99, messages=ASK)
        (citation,) = answer.content[0].citations
        assert (citation.type, citation.source) == ("search_result_location", SOURCE)

        with client.messages.stream(model="to-streamed", max_tokens=99, messages=ASK) as stream:
            (citation,) = stream.get_final_message().content[0].citations
        assert citation.source == SOURCE


def test_grounding_of_a_stream_is_told_in_the_stream(chat):
    with chat.responses.stream(model="to-streamed", input="What is it?") as stream:
        events = list(stream)
    added = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert [event.annotation.url for event in added] == [SOURCE]
    assert events[-1].response.output[0].content[0].annotations[0].url == SOURCE


def test_a_tools_result_that_is_cited_has_no_form_in_chat_and_is_named(chat):
    raw = chat.chat.completions.with_raw_response.create(model="to-tools", messages=ASK)

    assert raw.headers["x-crossfade-warnings"].startswith("2 citations have no form in this dialect")
    assert raw.parse().choices[0].message.content


def test_a_request_goes_where_the_model_takes_it_or_is_told_why_nowhere(chat):
    raw = chat.chat.completions.with_raw_response.create(model="to-either", messages=LOOK)
    assert raw.headers["x-crossfade-endpoint"] == "grounded"

    with pytest.raises(openai.BadRequestError) as refused:
        chat.chat.completions.create(model="to-words", messages=LOOK)
    assert refused.value.code == "unsupported"
    assert "reads no images" in refused.value.message
