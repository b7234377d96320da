"""What is told: which migration, which callers, what goes wrong on the way and how it may end."""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.app.demo.traffic import Stream

OTHERS = (
    Stream("search-answer", rate=2.0, streamed=0.8, max_tokens=120),
    Stream("digest", rate=1.0, streamed=0.0, max_tokens=120),
)


@dataclass(frozen=True, slots=True)
class Story:
    """One migration of `recap`, whose callers come first in `streams`.

    `first_traffic_s`: what the load test replays was recorded in it. `has_real_model`: the candidate is a
    true model, which a gate may refuse: an ending, not a mistake. Without it the candidate is simulated,
    and at 25 % half of all calls to it begin to fail.
    """

    migration: str
    streams: tuple[Stream, ...]
    first_traffic_s: float
    within_s: float
    has_real_model: bool

    @property
    def file(self) -> str:
        """The migration's file in the scene."""
        return f"{self.migration}.yaml"


TO_BEDROCK = Story(
    migration="recap-to-bedrock",
    streams=(Stream("recap", rate=20.0, streamed=0.7, max_tokens=120), *OTHERS),
    first_traffic_s=9.0,
    within_s=600.0,
    has_real_model=False,
)
# One processor generates some thirty tokens a second, so callers are few and answers short.
TO_REAL_MODEL = Story(
    migration="recap-to-real-model",
    streams=(Stream("recap", rate=0.35, streamed=0.7, max_tokens=40), *OTHERS),
    first_traffic_s=75.0,
    within_s=1800.0,
    has_real_model=True,
)
