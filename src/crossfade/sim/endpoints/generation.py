"""One endpoint at work: admission, the wait in line, the pace of tokens, settlement and billing.

The services differ in how they say things; what happens is the same and lives here. `generate` is
a context: leaving it, in whatever way, gives the capacity back and bills exactly what was generated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from crossfade.sim.config import InstancesConfig, ModelConfig, ModelUnitsConfig, ThroughputConfig
from crossfade.sim.endpoints.answer import Answer, Ask, Part, PartKind, Stop, compose
from crossfade.sim.endpoints.bills import Bill, Used
from crossfade.sim.endpoints.faults import FOREVER_MS, Fault, FaultKind
from crossfade.sim.load.instances import Instances
from crossfade.sim.load.latency import Timing, draw_timing
from crossfade.sim.load.metered import Charge, ModelUnits, Quota, Refused, Throughput
from crossfade.sim.text import count_tokens, split_pieces

CACHE_S = 300.0  # the shortest life of a cached prefix among the providers
CACHED_PREFIXES = 1024  # remembered for each endpoint; the oldest are forgotten


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of one part of the answer; `part` is its place, `first` and `last` bound it."""

    place: int
    part: Part
    text: str
    first: bool
    last: bool


class RefusedError(Exception):
    """No capacity: `why` is tokens, requests, provisioned, queue_full or queue_timeout."""

    def __init__(self, why: str, retry_after_s: float) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s


class UnitlessError(Exception):
    """On-demand capacity has no units to change."""


class StreamBrokenError(Exception):
    """A fault wants an error inside the stream here."""


class StreamCutError(Exception):
    """A fault wants the connection broken within the piece it carries."""

    def __init__(self, piece: Piece) -> None:
        super().__init__(piece.text)
        self.piece = piece


@dataclass(slots=True)
class Generation:
    """One answer in the making; `stop` is final once it is done."""

    ask: Ask
    answer: Answer
    timing: Timing
    started_s: float
    chunk_tokens: int
    fault: Fault | None
    cache_read: int
    cache_write: int
    produced_tokens: int = field(default=0, init=False)
    thought_tokens: int = field(default=0, init=False)
    done: bool = field(default=False, init=False)

    @property
    def stop(self) -> Stop:
        """Why the answer ends."""
        return Stop.FILTERED if _filters(self.fault) else self.answer.stop

    @property
    def text(self) -> str:
        """The words of the whole answer."""
        return "".join(part.text for part in self.answer.parts if part.kind is PartKind.TEXT)

    @property
    def output_tokens(self) -> int:
        """The length of the whole answer."""
        return sum(part.tokens for part in self.answer.parts)

    def elapsed_ms(self) -> int:
        """Since service began."""
        return round((_now() - self.started_s) * 1000)

    async def pieces(self) -> AsyncIterator[Piece]:
        """The answer piece by piece, each when it is due; faults strike here."""
        fault = self.fault
        shift_s = _extra_first_s(fault)
        pieces = [piece for place, part in enumerate(self.answer.parts) for piece in self._split(place, part)]
        strike_at = -1 if fault is None else min(fault.after_chunks, len(pieces) - 1)
        before, text = 0, ""
        for count, piece in enumerate(pieces):
            if fault is not None and count == strike_at:
                if _filters(fault):
                    break
                shift_s += await self._suffer(fault, piece)
            await _sleep_until(self.started_s + shift_s + self.timing.due_s(self.produced_tokens))
            if piece.first:
                before, text = self.produced_tokens, ""
            text += piece.text
            self._count(before, piece, text)
            yield piece
        self.done = True

    async def whole(self) -> tuple[Part, ...]:
        """All parts once they would be finished; abandoned early, what was ready counts as produced."""
        late_s = _extra_first_s(self.fault) + _stall_s(self.fault)
        due = self.started_s + late_s + self.timing.due_s(self.output_tokens)
        try:
            await _sleep_until(due)
        except asyncio.CancelledError:
            working_s = max(0.0, _now() - self.started_s - self.timing.first_s)
            ready = working_s / self.timing.per_token_s if self.timing.per_token_s else self.output_tokens
            self.produced_tokens = min(self.output_tokens, int(ready))
            raise
        self.done = True
        if _filters(self.fault):
            return ()
        self.produced_tokens = self.output_tokens
        self.thought_tokens = sum(part.tokens for part in self.answer.parts if part.kind is PartKind.THOUGHT)
        return self.answer.parts

    def _split(self, place: int, part: Part) -> list[Piece]:
        texts = split_pieces(part.text, self.chunk_tokens) or [""]
        last = len(texts) - 1
        return [Piece(place, part, text, n == 0, n == last) for n, text in enumerate(texts)]

    def _count(self, before: int, piece: Piece, text: str) -> None:
        tokens = count_tokens(text) + count_tokens(piece.part.name)
        self.produced_tokens = before + tokens
        if piece.part.kind is PartKind.THOUGHT:
            self.thought_tokens = tokens

    async def _suffer(self, fault: Fault, piece: Piece) -> float:
        """Act a fault out; returns how many seconds everything after it is late."""
        if fault.kind is FaultKind.STALL:
            await asyncio.sleep(_stall_s(fault))
            return _stall_s(fault)
        if fault.kind is FaultKind.EXCEPTION:
            raise StreamBrokenError
        if fault.kind is FaultKind.CUT:
            raise StreamCutError(piece)
        return 0.0


class Endpoint:
    """One model in one cloud, with its capacity and its bill."""

    def __init__(self, model: ModelConfig, seed: int, time_scale: float, now: float) -> None:
        self.model = model
        self._seed = seed
        self._time_scale = time_scale
        self._arrivals = 0
        self._starts: dict[str, asyncio.Event] = {}
        self._cached: dict[str, float] = {}
        self.load = _build_load(model, now)
        units = self.load.instances if isinstance(self.load, Instances) else getattr(self.load, "units", 0)
        self.bill = Bill(model, units=units, opened_s=now)

    @asynccontextmanager
    async def generate(self, ask: Ask, fault: Fault | None, unix_s: float) -> AsyncIterator[Generation]:
        """Admit, answer, settle; raises `RefusedError` when there is no room."""
        self._arrivals += 1
        timing = draw_timing(self.model.fit, self._time_scale, self._seed, self.model.id, self._arrivals)
        answer = compose(ask, self.model, self._seed)
        charge = await self._admit(ask)
        chunk = self.model.output.chunk_tokens
        generation = Generation(ask, answer, timing, _now(), chunk, fault, *self._cache(ask, unix_s))
        outcome = "interrupted"
        try:
            yield generation
            outcome = "completed" if generation.done else "interrupted"
            if generation.done and generation.stop is Stop.LENGTH:
                outcome = "truncated"
        except asyncio.CancelledError:
            outcome = "aborted"
            raise
        finally:
            self._settle(ask, charge, generation.produced_tokens)
            used = Used(
                ask.input_tokens, generation.produced_tokens, generation.cache_read, generation.cache_write
            )
            self.bill.add(ask.request_id, ask.kind, outcome, used, unix_s)

    def resize(self, units: int) -> None:
        """Change provisioned units; raises `UnitlessError` for capacity that has none."""
        if isinstance(self.load, Instances):
            self._wake(self.load.resize(units))
        elif isinstance(self.load, ModelUnits | Throughput):
            self.load.resize(units, _now())
        else:
            raise UnitlessError(self.model.id)
        self.bill.resize(units, _now())

    def remaining(self) -> tuple[Quota, float, float] | None:
        """The quota with the tokens and requests left in it, for endpoints that have one."""
        if not isinstance(self.load, Quota):
            return None
        self.load.tokens.refill(_now())
        requests = self.load.requests
        if requests is not None:
            requests.refill(_now())
        return (
            self.load,
            max(0.0, self.load.tokens.level),
            0.0 if requests is None else max(0.0, requests.level),
        )

    def _cache(self, ask: Ask, unix_s: float) -> tuple[int, int]:
        """Tokens read from and written to the prompt cache; a written prefix lives `CACHE_S` seconds."""
        name, tokens = ask.prefix
        if not tokens:
            return 0, 0
        until = self._cached.get(name, 0.0)
        self._cached[name] = unix_s + CACHE_S
        while len(self._cached) > CACHED_PREFIXES:
            del self._cached[next(iter(self._cached))]
        return (tokens, 0) if until > unix_s else (0, tokens)

    async def _admit(self, ask: Ask) -> Charge | None:
        if isinstance(self.load, Instances):
            await self._queue(self.load, ask)
            return None
        most = min(ask.max_tokens or self.model.max_output_tokens, self.model.max_output_tokens)
        charge = self.load.admit(ask.input_tokens, most, _now())
        if isinstance(charge, Refused):
            raise RefusedError(charge.exhausted, charge.retry_after_s)
        return charge

    async def _queue(self, load: Instances, ask: Ask) -> None:
        started = load.arrive(ask.request_id)
        if started == "full":
            raise RefusedError("queue_full", 1.0)
        if started == "started":
            return
        self._starts[ask.request_id] = event = asyncio.Event()
        capacity = self.model.capacity
        limit_s = capacity.queue_timeout_s if isinstance(capacity, InstancesConfig) else None
        try:
            await asyncio.wait_for(event.wait(), limit_s)
        except TimeoutError:
            self._wake(load.leave(ask.request_id))
            raise RefusedError("queue_timeout", 1.0) from None
        except asyncio.CancelledError:
            self._wake(load.leave(ask.request_id))
            raise
        finally:
            self._starts.pop(ask.request_id, None)

    def _settle(self, ask: Ask, charge: Charge | None, output_tokens: int) -> None:
        if isinstance(self.load, Instances):
            self._wake(self.load.leave(ask.request_id))
        elif charge is not None:
            self.load.settle(charge, output_tokens, _now())

    def _wake(self, started: list[str]) -> None:
        for request_id in started:
            if request_id in self._starts:
                self._starts[request_id].set()


def _build_load(model: ModelConfig, now: float) -> Instances | ModelUnits | Throughput | Quota:
    capacity = model.capacity
    if isinstance(capacity, InstancesConfig):
        return Instances(capacity.instances, capacity.slots, capacity.queue_limit)
    if isinstance(capacity, ModelUnitsConfig):
        return ModelUnits(capacity.units, (capacity.input_tpm, capacity.output_tpm), capacity.window_s, now)
    if isinstance(capacity, ThroughputConfig):
        return Throughput(capacity.units, (capacity.tpm, capacity.output_ratio), capacity.window_s, now)
    return Quota(capacity.tpm, capacity.rpm, capacity.burndown, capacity.window_s, now)


def _extra_first_s(fault: Fault | None) -> float:
    return (fault.delay_ms or 0.0) / 1000 if fault is not None and fault.kind is FaultKind.SLOW else 0.0


def _filters(fault: Fault | None) -> bool:
    return fault is not None and fault.kind is FaultKind.FILTERED


def _stall_s(fault: Fault | None) -> float:
    if fault is None or fault.kind is not FaultKind.STALL:
        return 0.0
    return (FOREVER_MS if fault.delay_ms is None else fault.delay_ms) / 1000


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _sleep_until(due_s: float) -> None:
    await asyncio.sleep(max(0.0, due_s - _now()))
