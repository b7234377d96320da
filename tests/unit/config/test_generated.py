from __future__ import annotations

from pathlib import Path

from crossfade.config.generate import generated

ROOT = Path(__file__).parents[3]


def test_committed_schemas_and_reference_are_fresh():
    stale = [path for path, text in generated().items() if (ROOT / path).read_text() != text]

    assert stale == [], "run `make docs`"
