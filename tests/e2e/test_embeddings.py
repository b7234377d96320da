"""Embeddings through the gateway, asked for by the official SDK: upstreams of the same form and of others."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from deployment import ENVIRONMENT, call, running_deployment

sys.path.insert(0, str(Path(__file__).parent / "recorded"))
from upstream import Recording, replaying

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")

CONFIG = """
providers:
  openai-sim: {{kind: openai, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  azure-sim: {{kind: azure-openai, base_url: '{clouds.azure}', auth: {{method: api-key, env: SIM_KEY}}}}
  gemini-sim: {{kind: gemini, base_url: '{clouds.gemini}', auth: {{method: api-key, env: SIM_KEY}}}}
  cohere-said: {{kind: cohere, base_url: '{cohere}', auth: {{method: api-key, env: SIM_KEY}}}}
  vertex-said: {{kind: vertex, project: acme, base_url: '{vertex}', auth: {{method: api-key, env: SIM_KEY}}}}
  titan-said: {{kind: bedrock, base_url: '{titan}', auth: {{method: default-chain}}}}
  anthropic-sim: {{kind: anthropic, base_url: '{clouds.anthropic}', auth: {{method: api-key, env: SIM_KEY}}}}
endpoints:
  by-openai: {{provider: openai-sim, model: gpt-sim}}
  by-azure: {{provider: azure-sim, model: gpt-standard}}
  by-gemini: {{provider: gemini-sim, model: gemini-sim}}
  by-cohere: {{provider: cohere-said, model: embed-v4.0}}
  by-vertex: {{provider: vertex-said, region: us-central1, model: text-embedding-005}}
  by-titan: {{provider: titan-said, region: us-east-1, model: 'amazon.titan-embed-text-v2:0'}}
  by-anthropic: {{provider: anthropic-sim, model: claude-sim}}
features:
  to-openai: [by-openai]
  to-azure: [by-azure]
  to-gemini: [by-gemini]
  to-cohere: [by-cohere]
  to-vertex: [by-vertex]
  to-titan: [by-titan]
  to-anthropic: [by-anthropic]
"""
TEXTS = ["a cat", "a dog"]


@pytest.fixture(scope="module")
def gateway(clouds, tmp_path_factory):
    said = {
        "id": "e",
        "embeddings": {"float": [[0.6, 0.8], [0.8, 0.6]]},
        "meta": {"billed_units": {"input_tokens": 4}},
        "response_type": "embeddings_by_type",
    }
    vectors = [
        {"embeddings": {"values": values, "statistics": {"token_count": 2, "truncated": False}}}
        for values in said["embeddings"]["float"]
    ]
    answers = {
        "cohere": said,
        "vertex": {"predictions": vectors},
        "titan": {"embedding": [0.6, 0.8], "inputTextTokenCount": 2},
    }
    with replaying() as upstream:
        for name, answer in answers.items():
            body = json.dumps(answer).encode()
            upstream.recordings[name] = Recording(200, {"content-type": "application/json"}, body, "bytes")
        places = {name: upstream.address(name) for name in answers}
        config = CONFIG.format(clouds=clouds, **places)
        with running_deployment(tmp_path_factory.mktemp("embeddings"), config, ENVIRONMENT) as running:
            yield running.url


@pytest.fixture(scope="module")
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("upstream", ["openai", "azure", "gemini", "cohere", "vertex"])
def test_texts_become_unit_vectors_in_their_order(client, upstream):
    answer = client.embeddings.create(model=f"to-{upstream}", input=TEXTS)
    first, second = answer.data

    assert (first.index, second.index) == (0, 1)
    assert first.embedding != second.embedding
    assert all(math.isclose(sum(value**2 for value in one.embedding), 1, abs_tol=1e-5) for one in answer.data)
    assert answer.model
    assert answer.usage.prompt_tokens > 0 or upstream == "gemini"  # which tells no count


def test_the_same_text_has_the_same_vector_in_every_form(client):
    packed = client.embeddings.create(model="to-openai", input="a cat").data[0].embedding
    plain = (
        client.embeddings.create(model="to-gemini", input="a cat", encoding_format="float").data[0].embedding
    )

    assert packed == pytest.approx(plain, abs=1e-6)


def test_an_endpoint_that_embeds_one_text_a_call_says_so(client):
    answer = client.embeddings.create(model="to-titan", input="a cat")

    assert answer.data[0].embedding == pytest.approx([0.6, 0.8])
    assert answer.usage.prompt_tokens == 2
    with pytest.raises(openai.BadRequestError, match="one text a call"):
        client.embeddings.create(model="to-titan", input=TEXTS)


def test_an_endpoint_that_cannot_embed_says_so(client):
    with pytest.raises(
        openai.BadRequestError, match="embeddings have no form at a provider of kind anthropic"
    ):
        client.embeddings.create(model="to-anthropic", input=TEXTS)
    with pytest.raises(openai.BadRequestError, match="tokens are known to their own model only"):
        client.embeddings.create(model="to-gemini", input=[1, 2, 3])


@pytest.mark.parametrize("given", [None, "", [], [[]], [1.5], {}, [None]])
def test_an_input_that_is_none_is_refused_with_its_place(gateway, given):
    with pytest.raises(Exception, match="400") as refused:
        call(f"{gateway}/v1/embeddings", "POST", {"model": "to-openai", "input": given})

    assert json.loads(refused.value.read())["error"]["message"].startswith("input:")
