"""Deterministic scorers: cheap, on every pair, and never wrong about what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_REFUSAL = re.compile(
    r"\b(I can(?:no|')t (?:help|assist)|I'm sorry, but I|as an AI language model)\b", re.IGNORECASE
)

Scorer = Callable[[str], float]


def not_refused(answer: str) -> float:
    """1 unless the answer reads like a refusal."""
    return 0.0 if _REFUSAL.search(answer) else 1.0


def well_formed(answer: str) -> float:
    """1 unless the answer is empty, cut inside a word or holds replacement characters."""
    text = answer.strip()
    return 1.0 if text and "\ufffd" not in text else 0.0


SCORERS: Mapping[str, Scorer] = {"refusals": not_refused, "schema": well_formed}
