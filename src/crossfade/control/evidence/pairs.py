"""Pairs of answers to the same request, and the blind sample of them that people label."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from crossfade.control.records.store import RecordStore


@dataclass(frozen=True, slots=True)
class Pair:
    """One shadowed request. `unit` is the cluster: answers to one user are alike."""

    pair_id: str
    feature: str
    unit: str
    source: str
    incumbent: str
    candidate: str
    incumbent_ttft_ms: float | None
    candidate_ttft_ms: float | None
    unix_s: float


def pairs_of(records: RecordStore, shadow: str, feature: str, since_unix_s: float) -> list[Pair]:
    """Complete pairs of a shadow, oldest first."""
    return [
        Pair(
            pair_id=twice.request_id,
            feature=feature,
            unit=twice.unit,
            source=source_of(twice.request),
            incumbent=twice.live_response,
            candidate=twice.shadow_response,
            incumbent_ttft_ms=twice.live_ttft_ms,
            candidate_ttft_ms=twice.shadow_ttft_ms,
            unix_s=twice.started_unix_ms / 1000,
        )
        for twice in records.pairs(shadow, feature, since_unix_s)
    ]


def source_of(request: str) -> str:
    """What the model was given to work on: the users' own words of a chat request."""
    messages = json.loads(request).get("messages", [])
    texts = [_text(message.get("content")) for message in messages if message.get("role") == "user"]
    return "\n".join(text for text in texts if text)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def draw_of(salt: str, pair_id: str) -> float:
    """A fixed number in [0, 1) for each pair: the sample is drawn before anybody sees an answer."""
    digest = hashlib.sha256(f"{salt}/{pair_id}".encode()).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


def is_sampled(salt: str, pair_id: str, rate: float) -> bool:
    """Whether people label this pair."""
    return draw_of(f"{salt}/label", pair_id) < rate


def shows_incumbent_first(salt: str, pair_id: str) -> bool:
    """Which answer is X: a coin that the rater cannot see."""
    return draw_of(f"{salt}/order", pair_id) < 0.5
