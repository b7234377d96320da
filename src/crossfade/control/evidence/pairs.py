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
    found = []
    for live, copy in records.pairs(shadow, since_unix_s):
        if live.feature != feature or live.content is None or copy.content is None:
            continue
        found.append(
            Pair(
                pair_id=live.request_id,
                feature=feature,
                unit=live.unit,
                source=source_of(live.content.request),
                incumbent=live.content.response,
                candidate=copy.content.response,
                incumbent_ttft_ms=live.timings.first_content_ms,
                candidate_ttft_ms=copy.timings.first_content_ms,
                unix_s=live.started_unix_ms / 1000,
            )
        )
    return found


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
