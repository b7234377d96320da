"""A recorded answer written in another way says the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mutations import TEXTS, mutators

from crossfade import _engine
from crossfade.app.wire.exchange import Exchange, read_exchanges

RECORDED = Path(__file__).parents[3] / "shared/data/provider-exchanges/exchanges.jsonl"
# Every answer meets every third mutator, and each mutator a third of all answers: 15,000 in all.
SHARE = 3


def exchanges() -> list[Exchange]:
    if not RECORDED.is_file():
        pytest.skip("the recorded exchanges are not beside the project (../shared/data)")
    return list(read_exchanges(RECORDED))


def read(exchange: Exchange, body: bytes) -> dict[str, Any]:
    """What is read, but for how many events it took and what only its own dialect understands."""
    dialect, framing = exchange.codec or ("", "")
    seen = json.loads(_engine.decode_answer(dialect, framing, body))
    return {name: value for name, value in seen.items() if name not in {"frames", "extras", "unknown"}}


def classify(exchange: Exchange, body: bytes) -> Any:
    headers = json.dumps(list(exchange.headers.items()))
    return json.loads(_engine.classify(exchange.provider_kind, "on-demand", exchange.status, headers, body))


def test_the_way_an_answer_is_written_does_not_matter():
    wrong, tried = [], 0
    for place, exchange in enumerate(exchanges()):
        if exchange.kind == "error" or exchange.codec is None:
            continue
        wanted = read(exchange, exchange.body)
        fitting = mutators(exchange.body, exchange.stream)
        for turn, (name, mutate) in enumerate(fitting.items()):
            if (place + turn) % SHARE == 0:
                tried += 1
                if read(exchange, mutate(exchange.body)) != wanted:
                    wrong.append(f"{exchange.id}: {name}")

    assert wrong == []
    assert tried > 10_000


def test_the_way_an_error_is_written_does_not_matter():
    wrong, tried = [], 0
    for exchange in exchanges():
        if exchange.kind != "error" or not exchange.body.lstrip().startswith((b"{", b"[")):
            continue
        wanted = classify(exchange, exchange.body)
        for name, change in TEXTS.items():
            tried += 1
            if classify(exchange, change(exchange.body.decode()).encode()) != wanted:
                wrong.append(f"{exchange.id}: {name}")

    assert wrong == []
    assert tried > 1_000


def test_a_stream_asked_for_as_a_document_and_the_reverse_say_the_same():
    wrong = []
    for exchange in exchanges():
        if exchange.kind == "error" or exchange.codec is None:
            continue
        dialect, _ = exchange.codec
        other = {"bedrock_converse": "aws-events", "bedrock_invoke": "aws-chunks"}.get(dialect, "sse")
        seen = json.loads(
            _engine.decode_answer(dialect, "whole" if exchange.stream else other, exchange.body)
        )
        if {n: v for n, v in seen.items() if n not in {"frames", "extras", "unknown"}} != read(
            exchange, exchange.body
        ):
            wrong.append(exchange.id)

    assert wrong == []
