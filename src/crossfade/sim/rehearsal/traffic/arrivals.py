"""Arrivals of a trace, chunk by chunk, thinned to what a rehearsal may simulate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfade.sim.rehearsal.traffic.trace import Floats, Trace

DAY_S = 86400.0
CHUNK_S = 3600.0
QUARTER_S = 900.0
# An ordinary chat's sizes, where the trace has none (medians and log spreads of the Azure 2023 hour).
INPUT_TOKENS, INPUT_SIGMA = 1000.0, 0.9
OUTPUT_TOKENS, OUTPUT_SIGMA = 150.0, 0.7
NIGHT = 0.35  # of the day's peak, in a synthetic day


@dataclass(frozen=True, slots=True)
class Chunk:
    """Requests of one chunk in order of time: seconds since the start, units, tokens, a draw each."""

    at: Floats
    unit: NDArray[np.uint32]
    tokens: NDArray[np.int64]
    draw: Floats


@dataclass(frozen=True, slots=True)
class Demand:
    """A trace repeated over `span_s`, each request kept with probability `kept`.

    `requests_per_unit`: requests a sticky unit sends in a day, 1 = every request is its own.
    """

    trace: Trace
    span_s: float
    kept: float
    requests_per_unit: float
    seed: int

    @property
    def requests(self) -> float:
        """Expected number of requests."""
        return self.trace.requests / self.trace.span_s * self.span_s * self.kept

    @property
    def busiest_quarter_per_s(self) -> float:
        """Requests a second of the trace's busiest quarter of an hour, as simulated."""
        windows = max(1, round(QUARTER_S / self.trace.window_s))
        rates = self.trace.rates
        whole = rates[: rates.size // windows * windows].reshape(-1, windows)
        return float((whole.mean(axis=1) if whole.size else rates).max()) * self.kept

    def chunk(self, number: int) -> Chunk:
        """The requests of chunk `number`; the same for the same seed."""
        draw = np.random.default_rng([self.seed, 1, number])
        begin, end = number * CHUNK_S, min((number + 1) * CHUNK_S, self.span_s)
        at, tokens = (
            self._recorded(begin, end, draw)
            if self.trace.arrivals is not None
            else self._drawn(begin, end, draw)
        )
        return Chunk(at, self._units(number, at.size, draw), tokens, draw.random(at.size))

    def _recorded(
        self, begin: float, end: float, draw: np.random.Generator
    ) -> tuple[Floats, NDArray[np.int64]]:
        span_s, arrivals, sizes = self.trace.span_s, self.trace.arrivals, self.trace.sizes
        assert arrivals is not None and sizes is not None  # noqa: S101, PT018 - a trace has both or none
        found, shapes = [], []
        for lap in range(int(begin // span_s), math.ceil(end / span_s)):
            first, last = np.searchsorted(arrivals, [begin - lap * span_s, end - lap * span_s])
            found.append(arrivals[first:last] + lap * span_s)
            shapes.append(sizes[first:last])
        at, tokens = np.concatenate(found), np.concatenate(shapes)
        is_kept = draw.random(at.size) < self.kept
        return at[is_kept], tokens[is_kept]

    def _drawn(self, begin: float, end: float, draw: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        window_s, rates = self.trace.window_s, self.trace.rates
        edges = np.unique(
            np.concatenate([[begin, end], np.arange(math.ceil(begin / window_s), end / window_s) * window_s])
        )
        middles, widths = (edges[:-1] + edges[1:]) / 2.0, np.diff(edges)
        counts = draw.poisson(rates[(middles / window_s).astype(np.int64) % rates.size] * widths * self.kept)
        at = np.repeat(edges[:-1], counts) + draw.random(int(counts.sum())) * np.repeat(widths, counts)
        normal = draw.standard_normal((at.size, 2))
        medians, sigmas = np.array([INPUT_TOKENS, OUTPUT_TOKENS]), np.array([INPUT_SIGMA, OUTPUT_SIGMA])
        return np.sort(at), np.maximum(1, medians * np.exp(sigmas * normal)).astype(np.int64)

    def _units(self, number: int, count: int, draw: np.random.Generator) -> NDArray[np.uint32]:
        if self.requests_per_unit <= 1.0:
            return (number * 10_000_000 + np.arange(count)).astype(np.uint32)
        units = max(2, round(self.requests / (self.span_s / DAY_S) / self.requests_per_unit))
        return draw.integers(0, units, count).astype(np.uint32)


def synthetic(requests_per_s: float) -> Trace:
    """A week of days: a peak in the early afternoon, a quiet night, on the mean asked for."""
    window_s = 600.0
    hours = np.arange(7 * DAY_S / window_s) * window_s / 3600.0
    wave = NIGHT + (1.0 - NIGHT) * (0.5 + 0.5 * np.cos((hours - 14.0) / 24.0 * 2.0 * np.pi))
    return Trace("synthetic", "a drawn week, peak at 14:00", window_s, wave / wave.mean() * requests_per_s)


def demand_of(trace: Trace, days: float, at_most: int, requests_per_unit: float, seed: int) -> Demand:
    """The trace over so many days, thinned so that `at_most` requests are to be expected."""
    whole = trace.requests / trace.span_s * days * DAY_S
    return Demand(trace, days * DAY_S, min(1.0, at_most / whole) if whole else 1.0, requests_per_unit, seed)
