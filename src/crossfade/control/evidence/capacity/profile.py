"""The traffic shape of features that move together: arrivals and sizes, recorded or scaled."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from statistics import fmean

from crossfade.control.records.store import RecordStore


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a profile: seconds from its start, tokens in, most tokens out, whose.

    Without a limit of the answer (null) it is sent without one, too: a cloud that books the most an answer
    may have books its model's own limit then, and is full far sooner.
    """

    at_s: float
    input_tokens: int
    max_output_tokens: int | None
    feature: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Recorded arrivals, in order. `span_s`: from the first to the last.

    `mean_tokens`: mean (input, output) tokens of a request.
    """

    arrivals: tuple[Arrival, ...]
    span_s: float
    mean_tokens: tuple[float, float]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.arrivals) / self.span_s if self.span_s > 0 else 0.0


USUAL_OUTPUT_TOKENS = 256  # where no recorded answer says how long they are


def record_profile(
    records: RecordStore, features: tuple[str, ...], over_s: float, until_unix_s: float
) -> Profile:
    """The features' own requests of the last `over_s`: what moves together must be carried together.

    Raises:
        LookupError: there are too few to replay.
    """
    rows = records.query(
        "SELECT feature, started_unix_ms, max_output_tokens AS o, coalesce(usage.output, 0) AS out, "
        "coalesce(usage.input_uncached + usage.cache_read + usage.cache_write, 0) AS i "
        "FROM attempts WHERE list_contains(?, feature) AND index = 0 AND arm NOT IN ('shadow', 'pin') "
        "AND started_unix_ms BETWEEN ? AND ? ORDER BY started_unix_ms",
        [list(features), int((until_unix_s - over_s) * 1000), int(until_unix_s * 1000)],
    )
    if len(rows) < 20:
        raise LookupError(
            f"only {len(rows)} recorded requests of {', '.join(features)} (hint: let traffic run for a while)"
        )
    first = rows[0]["started_unix_ms"]
    typical = sorted(row["i"] for row in rows if row["i"]) or [100]
    arrivals = tuple(
        Arrival(
            at_s=(row["started_unix_ms"] - first) / 1000,
            input_tokens=row["i"] or typical[len(typical) // 2],
            max_output_tokens=row["o"] or None,
            feature=row["feature"],
        )
        for row in rows
    )
    outputs = [row["out"] for row in rows if row["out"]] or [USUAL_OUTPUT_TOKENS]
    mean_tokens = (fmean(arrival.input_tokens for arrival in arrivals), fmean(outputs))
    return Profile(arrivals, max(arrivals[-1].at_s, 1.0), mean_tokens)


def replay(profile: Profile, factor: float, span_s: float, seed: int) -> tuple[Arrival, ...]:
    """Arrivals for `span_s`: the recorded ones, sped up by `factor`, repeated from a random start.

    Order and bursts are kept, because burstiness decides how many units are needed.
    """
    draw = random.Random(seed)
    start = draw.randrange(len(profile.arrivals))
    period = (profile.span_s + profile.span_s / len(profile.arrivals)) / factor
    rounds = math.ceil(span_s / period) + 1
    offset = profile.arrivals[start].at_s / factor
    replayed = [
        replace(arrival, at_s=arrival.at_s / factor + turn * period - offset)
        for turn in range(rounds)
        for arrival in profile.arrivals
    ]
    return tuple(arrival for arrival in replayed if 0 <= arrival.at_s < span_s)
