"""Recorded answers reach the official SDKs right, through a real gateway."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip("openai", reason="the openai SDK is not installed")
pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

from cut import run as cut_streams

from crossfade.app.wire.exchange import read_exchanges
from replay import BOUND, run

RECORDED = Path(__file__).parents[4] / "shared/data/provider-exchanges/exchanges.jsonl"
# A bounded part for every run: `make replay` takes all of them, in two minutes.
EVERY = 8
# And of `make cut-streams`, which cuts ten thousand.
CUT = 400


def test_callers_see_recorded_answers_right():
    if not RECORDED.is_file():
        pytest.skip("the recorded exchanges are not beside the project (../shared/data)")
    score = run(list(read_exchanges(RECORDED))[::EVERY])

    assert score.cases > 500
    assert score.share >= BOUND, score.wrong


def test_no_stream_that_was_cut_looks_finished():
    if not RECORDED.is_file():
        pytest.skip("the recorded exchanges are not beside the project (../shared/data)")
    told = cut_streams(list(read_exchanges(RECORDED)), CUT, seed=7)

    assert told.streams == CUT
    assert sum(told.errors.values()) > CUT / 2
    assert not told.false_ends
