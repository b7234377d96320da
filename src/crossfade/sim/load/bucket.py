"""A leaky bucket in tokens: what a per-minute allowance means from one second to the next.

The bucket refills at the allowed rate and holds at most one window of it. Admission takes a reservation;
settlement moves the difference between reservation and actual use, in either direction, so over any
interval of length t the settled use of admitted work is at most `rate * (t + window)`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """`rate_per_s` tokens a second, at most `size` of them saved up; starts full."""

    rate_per_s: float
    size: float
    level: float
    updated_s: float

    @classmethod
    def per_minute(cls, tokens_per_minute: float, window_s: float, now: float) -> Bucket:
        """The bucket of a per-minute allowance enforced over `window_s` seconds."""
        rate = tokens_per_minute / 60
        return cls(rate_per_s=rate, size=rate * window_s, level=rate * window_s, updated_s=now)

    def refill(self, now: float) -> None:
        """Credit the time since the last call; time never runs backwards here."""
        elapsed = max(0.0, now - self.updated_s)
        self.level = min(self.size, self.level + elapsed * self.rate_per_s)
        self.updated_s = max(self.updated_s, now)

    def holds(self, amount: float, now: float) -> bool:
        """Whether `amount` could be taken now. A request larger than the bucket needs a full bucket."""
        self.refill(now)
        return self.level + 1e-9 >= min(amount, self.size)

    def take(self, amount: float) -> None:
        """Debit; a settlement above its reservation may take the level below zero."""
        self.level -= amount

    def put_back(self, amount: float) -> None:
        """Refund an unused reservation."""
        self.level = min(self.size, self.level + amount)

    def seconds_until(self, amount: float) -> float:
        """How long until `amount` fits, at the level of the last refill."""
        missing = min(amount, self.size) - self.level
        return 0.0 if missing <= 0 else missing / self.rate_per_s

    def resize(self, tokens_per_minute: float, window_s: float, now: float) -> None:
        """Change the allowance; the same fraction of the bucket stays filled."""
        self.refill(now)
        fraction = self.level / self.size if self.size else 1.0
        self.rate_per_s = tokens_per_minute / 60
        self.size = self.rate_per_s * window_s
        self.level = self.size * fraction
