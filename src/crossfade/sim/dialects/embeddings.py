"""Embeddings: unit vectors that depend on the text alone; billed by input tokens."""

from __future__ import annotations

import base64
import math
import struct
import time
from collections.abc import Mapping
from typing import Any

from crossfade.sim.dialects.call import BodyError, read_object
from crossfade.sim.draws import normal
from crossfade.sim.endpoints.bills import Used
from crossfade.sim.endpoints.generation import Endpoint
from crossfade.sim.text import count_tokens

DIMENSIONS = 64


def embed(text: str, dimensions: int) -> list[float]:
    """A unit vector, the same for the same text."""
    raw = [normal("embedding", text, place) for place in range(dimensions)]
    length = math.sqrt(sum(value * value for value in raw))
    return [value / length for value in raw]


def embed_openai(body: bytes, endpoints: Mapping[str, Endpoint], request_id: str) -> dict[str, Any] | None:
    """The answer to an OpenAI embeddings body; None when the model is unknown. Raises `BodyError`."""
    document = read_object(body)
    given = document.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BodyError("Invalid type for 'input': expected a string or an array of strings.", "input")
    endpoint = endpoints.get(document.get("model", ""))
    if endpoint is None:
        return None
    tokens = sum(count_tokens(text) for text in texts)
    vectors = [embed(text, document.get("dimensions") or DIMENSIONS) for text in texts]
    packed = document.get("encoding_format") == "base64"
    endpoint.bill.add(request_id, "embedding", "completed", Used(tokens, 0), time.time())
    return {
        "object": "list",
        "model": endpoint.model.serves or endpoint.model.id,
        "data": [
            {"object": "embedding", "index": n, "embedding": _pack(vector) if packed else vector}
            for n, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def embed_cohere(body: bytes, endpoints: Mapping[str, Endpoint], request_id: str) -> dict[str, Any] | None:
    """The answer to a Cohere embed body; None when the model is unknown. Raises `BodyError`."""
    document = read_object(body)
    texts = document.get("texts")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BodyError("invalid request: texts must be a list of at least one string", "texts")
    if "input_type" not in document:
        raise BodyError("invalid request: input_type must be set", "input_type")
    endpoint = endpoints.get(document.get("model", ""))
    if endpoint is None:
        return None
    tokens = sum(count_tokens(text) for text in texts)
    dimensions = document.get("output_dimension") or DIMENSIONS
    endpoint.bill.add(request_id, "embedding", "completed", Used(tokens, 0), time.time())
    return {
        "id": request_id,
        "texts": texts,
        "embeddings": {"float": [embed(text, dimensions) for text in texts]},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
        "response_type": "embeddings_by_type",
    }


def _pack(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
