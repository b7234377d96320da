"""What the simulation knows and the product must find: the true number of units, and the bills.

The true number comes from the simulator's own limiter in virtual time, fed by the demo's own law of
arrivals for twenty minutes; the load test has some seconds of real time and no such insight.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import Any

from crossfade.app.demo.traffic import Stream, request_body
from crossfade.sim.config import ModelConfig, ModelUnitsConfig
from crossfade.sim.load.latency import draw_timing
from crossfade.sim.load.metered import Charge, ModelUnits
from crossfade.sim.text import Length, Quality, compose_answer, count_tokens

VIRTUAL_S = 600.0
MOST_UNITS = 64


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of the law: when, its tokens in and out, the most it may generate, how long it takes."""

    at_s: float
    input_tokens: int
    output_tokens: int
    max_tokens: int
    service_s: float


def true_units(model: ModelConfig, stream: Stream, factor: float, overflow_at_most: float, seed: int) -> int:
    """The smallest number of units whose limiter refuses at most so much of the stream."""
    capacity = model.capacity
    if not isinstance(capacity, ModelUnitsConfig):
        raise TypeError(f"{model.id} has no units")
    arrivals = _arrivals(model, stream, factor, seed)
    per_unit = (capacity.input_tpm, capacity.output_tpm)
    low, high = 0, MOST_UNITS  # more units never refuse more
    while high - low > 1:
        middle = (low + high) // 2
        limiter = ModelUnits(middle, per_unit, capacity.window_s, 0.0)
        low, high = (low, middle) if _refused_share(limiter, arrivals) <= overflow_at_most else (middle, high)
    return high


def _arrivals(model: ModelConfig, stream: Stream, factor: float, seed: int) -> list[Arrival]:
    draws = random.Random(seed + 99)
    law = Length(model.output.mean_tokens, model.output.cv)
    at_s = 0.0
    found: list[Arrival] = []
    while at_s < VIRTUAL_S:
        at_s += draws.expovariate(stream.rate * factor)
        body = request_body(stream, draws)
        texts = [message["content"] for message in body["messages"]]
        answer = compose_answer(
            texts[-1], seed=seed, model=model.id, quality=Quality(**model.quality.model_dump()), length=law
        )
        output = min(count_tokens(answer), stream.max_tokens)
        timing = draw_timing(model.fit, 1.0, seed, model.id, len(found))
        tokens = sum(count_tokens(text) + 3 for text in texts)
        found.append(Arrival(at_s, tokens, output, stream.max_tokens, timing.due_s(output)))
    return found


def _refused_share(limiter: ModelUnits, arrivals: list[Arrival]) -> float:
    running: list[tuple[float, int, Charge]] = []
    refused = 0
    for number, arrival in enumerate(arrivals):
        while running and running[0][0] <= arrival.at_s:
            ended_s, which, charge = heapq.heappop(running)
            limiter.settle(charge, arrivals[which].output_tokens, ended_s)
        charged = limiter.admit(arrival.input_tokens, arrival.max_tokens, arrival.at_s)
        if isinstance(charged, Charge):
            heapq.heappush(running, (arrival.at_s + arrival.service_s, number, charged))
        else:
            refused += 1
    return refused / len(arrivals)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one book says of a model: (input, output) tokens, and USD, null where it is unpriced."""

    tokens: tuple[int, int]
    usd: float | None

    def since(self, opening: Entry) -> Entry:
        """What has come since the opening of the book."""
        tokens = (self.tokens[0] - opening.tokens[0], self.tokens[1] - opening.tokens[1])
        usd = None if self.usd is None or opening.usd is None else self.usd - opening.usd
        return Entry(tokens, usd)


@dataclass(frozen=True, slots=True)
class Books:
    """One model in both books: ours from attempt records, theirs as the cloud counted."""

    model: str
    ours: Entry
    theirs: Entry

    def are_equal(self, usd_tolerance: float) -> bool:
        """Tokens to the token; money within a share of it (unit-hours are read at two moments)."""
        if self.ours.tokens != self.theirs.tokens or self.ours.usd is None or self.theirs.usd is None:
            return False
        return abs(self.ours.usd - self.theirs.usd) <= max(1e-6, usd_tolerance * self.theirs.usd)

    def since(self, opening: Books) -> Books:
        """Both books over the same time: bought units cost money before anybody looks."""
        return Books(self.model, self.ours.since(opening.ours), self.theirs.since(opening.theirs))


def read_books(lines: list[dict[str, Any]], models: dict[str, str], bills: dict[str, Any]) -> list[Books]:
    """Ledger lines beside bills, by model. `models`: endpoint to model id."""
    theirs = {model: bill for cloud in bills["clouds"].values() for model, bill in cloud.items()}
    books = []
    for model, bill in theirs.items():
        own = [line for line in lines if models.get(line["endpoint"]) == model]
        priced = [line["usd"] for line in own]
        tokens = (sum(line["input_tokens"] for line in own), sum(line["output_tokens"] for line in own))
        ours = Entry(tokens, None if any(usd is None for usd in priced) else sum(priced))
        books.append(Books(model, ours, Entry((bill["input_tokens"], bill["output_tokens"]), bill["usd"])))
    return books
