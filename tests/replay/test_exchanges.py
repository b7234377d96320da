"""Every recorded exchange is read as its recorder says it must be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossfade import _engine
from crossfade.app.wire.check import problems
from crossfade.app.wire.exchange import read_exchanges

RECORDED = Path(__file__).parents[3] / "shared/data/provider-exchanges/exchanges.jsonl"
# A tool that the provider runs itself, which the recorder lists among the caller's calls.
ARGUED = {"bedrock-converse-stream-42fab36e97d6"}


def test_recorded_exchanges_are_read_right():
    if not RECORDED.is_file():
        pytest.skip("the recorded exchanges are not beside the project (../shared/data)")
    wrong = {exchange.id: found for exchange in read_exchanges(RECORDED) if (found := problems(exchange))}

    assert set(wrong) == ARGUED


# How many citations each recorded answer holds; two of these name no part of the text.
CITED = {
    "anthropic-messages-02899b23e290": 1,
    "anthropic-messages-398007c18336": 1,
    "anthropic-messages-e3a15b7f67d7": 2,
    "cohere-chat-2dc35af03f2e": 2,
    "cohere-chat-3a5d862cd096": 2,
    "gemini-generateContent-fc099d88c458": 1,
    "gemini-streamGenerateContent-12abcb89a9df": 1,
    "gemini-streamGenerateContent-a18586e02348": 9,
    "openai-responses-06ca41502784": 1,
    "openai-responses-0a3245b5c78e": 1,
    "openai-responses-4fc51997eb1d": 1,
    "openrouter-chat.completions-7094bfc3180a": 5,
    "openrouter-chat.completions-929fa997aecd": 5,
}


def test_recorded_citations_stand_behind_whole_words_of_the_answer():
    if not RECORDED.is_file():
        pytest.skip("the recorded exchanges are not beside the project (../shared/data)")
    found = {}
    for exchange in read_exchanges(RECORDED):
        if exchange.kind == "error" or exchange.codec is None:
            continue
        answer = json.loads(_engine.decode_answer(*exchange.codec, exchange.body))
        if answer["citations"]:
            found[exchange.id] = len(answer["citations"])
        text = answer["text"]
        for border in (at for cited in answer["citations"] for at in cited["span"] or ()):
            assert not text[max(0, border - 1) : border + 1].isalnum() or border in {0, len(text)}, (
                exchange.id
            )

    assert found == CITED
