"""Prompts are estimated before the call as their model families count; the bounds are what was measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench/counting"))

from fit import inside  # noqa: E402 - beside the bench
from prompts import read_prompts  # noqa: E402

RECORDED = ROOT.parent / "shared/data/provider-exchanges/exchanges.jsonl"


def test_most_recorded_prompts_are_estimated_within_fifteen_percent():
    if not RECORDED.is_file():
        pytest.skip("the recorded exchanges are not beside the project (../shared/data)")
    everything = list(read_prompts(RECORDED))
    seen = [prompt for prompt in everything if prompt.unseen is None]

    assert inside(seen) >= 0.72 * len(seen)
    assert inside(everything) >= 0.61 * len(everything)
