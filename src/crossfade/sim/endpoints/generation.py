"""One endpoint at work: admission, the wait in line, the pace of tokens, settlement and billing.

The three services differ in how they say things; what happens is the same and lives here. `generate` is
a context: leaving it, in whatever way, gives the capacity back and bills exactly what was generated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from crossfade.sim.config import InstancesConfig, ModelConfig, ModelUnitsConfig
from crossfade.sim.endpoints.bills import Bill
from crossfade.sim.endpoints.faults import FOREVER_MS, Fault, FaultKind
from crossfade.sim.judge import JudgeSkill, compose_verdict, read_judge_prompt
from crossfade.sim.load.instances import Instances
from crossfade.sim.load.latency import Timing, draw_timing
from crossfade.sim.load.metered import Charge, ModelUnits, Quota, Refused
from crossfade.sim.text import (
    Length,
    Quality,
    compose_answer,
    compose_json,
    count_tokens,
    split_pieces,
    truncate,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants, free of any dialect."""

    request_id: str
    kind: str  # unary | stream
    texts: tuple[str, ...]  # every message, oldest first, system text included
    source: str  # the last user message
    max_tokens: int | None
    schema: dict[str, Any] | None = None

    @property
    def input_tokens(self) -> int:
        """Four bytes a token, and three tokens around each message."""
        return sum(count_tokens(text) + 3 for text in self.texts)


class RefusedError(Exception):
    """No capacity: `why` is tokens, requests, queue_full or queue_timeout."""

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

    def __init__(self, piece: str) -> None:
        super().__init__(piece)
        self.piece = piece


@dataclass(slots=True)
class Generation:
    """One answer in the making."""

    ask: Ask
    text: str
    stop: str  # end | length
    timing: Timing
    started_s: float
    chunk_tokens: int
    fault: Fault | None
    produced_tokens: int = field(default=0, init=False)
    done: bool = field(default=False, init=False)

    @property
    def output_tokens(self) -> int:
        """The length of the whole answer."""
        return count_tokens(self.text)

    def elapsed_ms(self) -> int:
        """Since service began."""
        return round((_now() - self.started_s) * 1000)

    async def pieces(self) -> AsyncIterator[str]:
        """The answer piece by piece, each when it is due; faults strike here."""
        fault = self.fault
        text = ""
        shift_s = _extra_first_s(fault)
        pieces = split_pieces(self.text, self.chunk_tokens)
        strike_at = -1 if fault is None else min(fault.after_chunks, len(pieces) - 1)
        for count, piece in enumerate(pieces):
            if fault is not None and count == strike_at:
                shift_s += await self._suffer(fault, piece)
            await _sleep_until(self.started_s + shift_s + self.timing.due_s(count_tokens(text)))
            text += piece
            self.produced_tokens = count_tokens(text)
            yield piece
        self.done = True

    async def whole(self) -> str:
        """The whole answer once it would be finished; abandoned early, what was ready counts as produced."""
        late_s = _extra_first_s(self.fault) + _stall_s(self.fault)
        due = self.started_s + late_s + self.timing.due_s(self.output_tokens)
        try:
            await _sleep_until(due)
        except asyncio.CancelledError:
            working_s = max(0.0, _now() - self.started_s - self.timing.first_s)
            ready = working_s / self.timing.per_token_s if self.timing.per_token_s else self.output_tokens
            self.produced_tokens = min(self.output_tokens, int(ready))
            raise
        self.produced_tokens = self.output_tokens
        self.done = True
        return self.text

    async def _suffer(self, fault: Fault, piece: str) -> float:
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
        self.load = _build_load(model, now)
        units = self.load.instances if isinstance(self.load, Instances) else getattr(self.load, "units", 0)
        self.bill = Bill(model, units=units, opened_s=now)

    @asynccontextmanager
    async def generate(self, ask: Ask, fault: Fault | None, unix_s: float) -> AsyncIterator[Generation]:
        """Admit, answer, settle; raises `RefusedError` when there is no room."""
        self._arrivals += 1
        timing = draw_timing(self.model.fit, self._time_scale, self._seed, self.model.id, self._arrivals)
        text, stop = self._compose(ask)
        charge = await self._admit(ask)
        generation = Generation(ask, text, stop, timing, _now(), self.model.output.chunk_tokens, fault)
        outcome = "interrupted"
        try:
            yield generation
            outcome = "completed" if generation.done else "interrupted"
            if generation.done and stop == "length":
                outcome = "truncated"
        except asyncio.CancelledError:
            outcome = "aborted"
            raise
        finally:
            self._settle(ask, charge, generation.produced_tokens)
            tokens = (ask.input_tokens, generation.produced_tokens)
            self.bill.add(ask.request_id, ask.kind, outcome, tokens, unix_s)

    def resize(self, units: int) -> None:
        """Change provisioned units; raises `UnitlessError` for capacity that has none."""
        if isinstance(self.load, Instances):
            self._wake(self.load.resize(units))
        elif isinstance(self.load, ModelUnits):
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

    def _compose(self, ask: Ask) -> tuple[str, str]:
        model = self.model
        judged = read_judge_prompt("\n".join(ask.texts)) if model.judge is not None else None
        if judged is not None and model.judge is not None:
            skill = JudgeSkill(model.judge.sensitivity, model.judge.specificity)
            text = compose_verdict(judged, skill, seed=self._seed, model=model.id)
        else:
            quality = Quality(**model.quality.model_dump())
            length = Length(model.output.mean_tokens, model.output.cv)
            text = compose_answer(ask.source, seed=self._seed, model=model.id, quality=quality, length=length)
            if ask.schema is not None:
                text = compose_json(ask.schema, text)
        limit = min(ask.max_tokens or model.max_output_tokens, model.max_output_tokens)
        return (text, "end") if count_tokens(text) <= limit else (truncate(text, limit), "length")

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


def _build_load(model: ModelConfig, now: float) -> Instances | ModelUnits | Quota:
    capacity = model.capacity
    if isinstance(capacity, InstancesConfig):
        return Instances(capacity.instances, capacity.slots, capacity.queue_limit)
    if isinstance(capacity, ModelUnitsConfig):
        return ModelUnits(capacity.units, (capacity.input_tpm, capacity.output_tpm), capacity.window_s, now)
    return Quota(capacity.tpm, capacity.rpm, capacity.burndown, capacity.window_s, now)


def _extra_first_s(fault: Fault | None) -> float:
    return (fault.delay_ms or 0.0) / 1000 if fault is not None and fault.kind is FaultKind.SLOW else 0.0


def _stall_s(fault: Fault | None) -> float:
    if fault is None or fault.kind is not FaultKind.STALL:
        return 0.0
    return (FOREVER_MS if fault.delay_ms is None else fault.delay_ms) / 1000


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _sleep_until(due_s: float) -> None:
    await asyncio.sleep(max(0.0, due_s - _now()))
