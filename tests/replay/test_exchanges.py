"""Every recorded exchange is read as its recorder says it must be."""

from __future__ import annotations

from pathlib import Path

import pytest

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
