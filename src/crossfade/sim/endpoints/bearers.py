"""Access tokens that the simulated token endpoints issued, and what they are good for."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

KEPT_TOKENS = 4096  # the oldest are forgotten and then unknown

State = Literal["good", "expired", "other", "unknown"]


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token's subject, what it may be used for, and its end in Unix seconds."""

    target: str
    subject: str
    expires_unix_s: float


class Bearers:
    """Issues and judges tokens; `wall` is the clock, in Unix seconds."""

    def __init__(self, wall: Callable[[], float], session_s: int | None) -> None:
        self._wall = wall
        self._session_s = session_s
        self._held: dict[str, Bearer] = {}

    def issue(self, target: str, subject: str, lifetime_s: int) -> tuple[str, int]:
        """A fresh token for a target (google, azure:SCOPE, openai, anthropic) and its seconds to live."""
        lifetime_s = self._session_s or lifetime_s
        token = f"sim.{target.partition(':')[0]}.{secrets.token_urlsafe(48)}"
        self._held[token] = Bearer(target, subject, self._wall() + lifetime_s)
        while len(self._held) > KEPT_TOKENS:
            del self._held[next(iter(self._held))]
        return token, lifetime_s

    def state(self, target: str, token: str | None) -> State:
        """Whether a token opens a target now; `other` = it is for something else."""
        bearer = self._held.get(token or "")
        if bearer is None:
            return "unknown"
        if bearer.expires_unix_s <= self._wall():
            return "expired"
        return "good" if bearer.target == target else "other"

    def is_valid(self, target: str, token: str | None) -> bool:
        """Whether a token opens a target now."""
        return self.state(target, token) == "good"

    def subject(self, token: str | None) -> str | None:
        """Who a token speaks for."""
        bearer = self._held.get(token or "")
        return None if bearer is None else bearer.subject
