"""How long an answer takes: a lognormal law fitted to latencies that real providers reported.

Model of one answer with o output tokens: T = (first_ms + per_token_ms * o) * exp(sigma * Z), Z normal.
Fitted by least squares on log T with a soft-L1 loss (outliers are queueing, not service). `first_ms` is
the time to the first token; `sigma` is the spread within one model: the root of the pooled variance of
the log residuals around each model's own mean, over models with at least five rows.
Only the parameters and the number of rows (n) are kept here; `latency_fit` is how they were found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossfade.sim.draws import normal


@dataclass(frozen=True, slots=True)
class LatencyFit:
    """Medians in milliseconds, spread in log units, and the rows the fit stands on."""

    first_ms: float
    per_token_ms: float
    sigma: float
    n: int


@dataclass(frozen=True, slots=True)
class Timing:
    """One request's own latency: when the first token comes after service starts, and the pace after it."""

    first_s: float
    per_token_s: float

    def due_s(self, tokens: int) -> float:
        """Seconds after service start at which `tokens` tokens are out."""
        return self.first_s + self.per_token_s * tokens


# whole answers (not streamed), by who served them; open-weight models stand for self-hosted instances
FITS: dict[str, LatencyFit] = {
    "bedrock": LatencyFit(first_ms=512.4, per_token_ms=16.87, sigma=0.462, n=315),
    "openai": LatencyFit(first_ms=549.6, per_token_ms=13.93, sigma=0.539, n=1162),
    "anthropic": LatencyFit(first_ms=1319.3, per_token_ms=16.035, sigma=0.4696, n=232),
    "open-weights": LatencyFit(first_ms=354.7, per_token_ms=6.839, sigma=0.300, n=61),
}


def draw_timing(fit: LatencyFit, time_scale: float, *identity: str | float) -> Timing:
    """The latency of one request, the same for the same identity."""
    factor = math.exp(fit.sigma * normal("latency", *identity)) * time_scale / 1000
    return Timing(fit.first_ms * factor, fit.per_token_ms * factor)
