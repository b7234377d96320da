"""What providers' error bodies mean: the references' tables, and what servers are seen to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossfade import _engine

# One body a line; `kinds`: those that are right for it.
BODIES = Path(__file__).parents[3] / "spec/wire/errors.jsonl"
ROWS = [json.loads(line) for line in BODIES.read_text().splitlines()]


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row['provider']} {row['status']} {row['body']!s:.60}"
)
def test_an_error_body_means_what_its_provider_says(row: dict[str, Any]):
    raw = row["body"] if isinstance(row["body"], str) else json.dumps(row["body"])
    headers = json.dumps(list(row["headers"].items()))
    seen = json.loads(_engine.classify(row["provider"], "on-demand", row["status"], headers, raw.encode()))

    assert seen["kind"] in row["kinds"], seen
