"""What each simulated cloud charges: its own count, to hold a customer's ledger against."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

from crossfade.sim.config import ModelConfig, QuotaConfig

CACHE_READ_PRICE, CACHE_WRITE_PRICE = 0.1, 1.25  # of the input price; the usual public multipliers
KEPT_LINES = 2000  # the newest requests kept by id, for each endpoint


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one request; what was read from or written to the prompt cache lies within the input."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One billed request."""

    request_id: str
    kind: str  # unary | stream
    outcome: str  # completed | truncated | aborted | interrupted
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    usd: float
    unix_s: float


@dataclass(slots=True)
class Bill:
    """One endpoint's account: tokens for on-demand capacity, unit-hours for provisioned capacity."""

    model: ModelConfig
    units: int
    opened_s: float
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0
    token_usd: float = 0.0
    unit_hours: float = 0.0
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    _counted_to_s: float = -1.0

    def add(self, request_id: str, kind: str, outcome: str, used: Used, unix_s: float) -> None:
        """Bill one request for what it used, whatever became of it."""
        usd = self._token_price(used)
        self.requests += 1
        self.kinds[kind] += 1
        self.outcomes[outcome] += 1
        self.input_tokens += used.input
        self.output_tokens += used.output
        self.token_usd += usd
        tokens = (used.input, used.output, used.cache_read, used.cache_write)
        self.lines.append(Line(request_id, kind, outcome, *tokens, usd, unix_s))

    def refuse(self, code: str) -> None:
        """Count a request that was turned away and is not billed."""
        self.refused[code] += 1

    def count_units(self, now: float) -> None:
        """Book the unit-hours since the last call, at the present number of units."""
        since = self.opened_s if self._counted_to_s < 0 else self._counted_to_s
        if self.model.is_provisioned:
            self.unit_hours += self.units * max(0.0, now - since) / 3600
        self._counted_to_s = now

    def resize(self, units: int, now: float) -> None:
        """Change the units from now on."""
        self.count_units(now)
        self.units = units

    def report(self, now: float) -> dict[str, Any]:
        """The bill so far, as JSON."""
        self.count_units(now)
        capacity = self.model.capacity
        unit_usd = 0.0 if isinstance(capacity, QuotaConfig) else self.unit_hours * capacity.usd_per_unit_hour
        return {
            "requests": self.requests,
            "kinds": dict(self.kinds),
            "outcomes": dict(self.outcomes),
            "refused": dict(self.refused),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "units": self.units if self.model.is_provisioned else None,
            "unit_hours": self.unit_hours,
            "usd": self.token_usd + unit_usd,
        }

    def listed(self) -> list[dict[str, Any]]:
        """The newest requests, oldest first."""
        return [asdict(line) for line in self.lines]

    def _token_price(self, used: Used) -> float:
        capacity = self.model.capacity
        if not isinstance(capacity, QuotaConfig):
            return 0.0
        plain = used.input - used.cache_read - used.cache_write
        weighted = plain + CACHE_READ_PRICE * used.cache_read + CACHE_WRITE_PRICE * used.cache_write
        return (weighted * capacity.usd_per_m_input + used.output * capacity.usd_per_m_output) / 1e6
