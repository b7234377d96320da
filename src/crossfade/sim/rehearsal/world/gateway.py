"""One gateway in virtual time: the production engine, fed by a trace and answered by the clouds' law."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossfade._engine import Traffic
from crossfade.config.compile import compile_snapshot
from crossfade.config.features import Config
from crossfade.config.snapshot_json import encode_snapshot
from crossfade.control.ledger.prices import snapshot_prices
from crossfade.domain.attempt import FeatureEffect
from crossfade.domain.overlay import FeatureOverlay
from crossfade.sim.rehearsal.clouds.law import KINDS, Answers, Clouds, Fault
from crossfade.sim.rehearsal.traffic.arrivals import CHUNK_S, Chunk, Demand
from crossfade.sim.rehearsal.world.rows import ROW, Rows

BAD = np.uint32(1 << 31)  # of an answer whose content is bad
ARRIVAL = np.dtype(
    [
        ("at", "<f8"), ("draw", "<f8"), ("unit", "<u4"), ("feature", "<u4"), ("input", "<u4"),
        ("output", "<u4"),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loaded:
    """The chunk whose requests are under way, with every answer as drawn."""

    number: int
    chunk: Chunk
    features: np.ndarray[Any, np.dtype[np.uint32]]


@dataclass(slots=True)
class VirtualGateway:
    """`now` is seconds since the rehearsal began; `epoch_unix_s` makes wall time of it."""

    config: Config
    clouds: Clouds
    demand: Demand
    features: tuple[str, ...]
    epoch_unix_s: float
    overlays: dict[str, FeatureOverlay] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    version: int = 1
    now: float = 0.0
    loaded: Loaded | None = None
    engine: Traffic = field(init=False)

    def __post_init__(self) -> None:
        kinds = [kind.value for kind in KINDS]
        snapshot, names = self._snapshot(), self.clouds.names
        self.engine = Traffic(snapshot, names, list(self.features), kinds, self.epoch_unix_s)

    def lay(self, change: Mapping[str, FeatureOverlay | None]) -> None:
        """Publish overlays; they take effect at once."""
        for feature, overlay in change.items():
            if overlay is None:
                self.overlays.pop(feature, None)
            else:
                self.overlays[feature] = overlay
        self.version += 1
        self.engine.apply(self._snapshot())

    def effects(self) -> tuple[FeatureEffect, ...]:
        """What the engine does with our features, asked of the engine."""
        rows = json.loads(self.engine.effects())
        return tuple(FeatureEffect(**row) for row in rows if row["feature"] in self.features)

    def strike(self, faults: Sequence[Fault]) -> None:
        """Let other faults be in force from now on."""
        self.faults = list(faults)
        if self.loaded is not None:
            self._load(self.loaded)

    def advance(self, until: float) -> Rows:
        """Let time pass until `until`, the end of the chunk, or a failed request of the candidate."""
        number = int(self.now // CHUNK_S)
        if self.loaded is None or self.loaded.number != number:
            chunk = self.demand.chunk(number)
            draw = np.random.default_rng([self.demand.seed, 3, number])
            which = draw.integers(0, len(self.features), chunk.at.size).astype(np.uint32)
            self._load(Loaded(number, chunk, which))
        end = min(until, (number + 1) * CHUNK_S)
        reached, raw = self.engine.advance(self.epoch_unix_s + end)
        self.now = end if reached >= self.epoch_unix_s + end else reached - self.epoch_unix_s
        rows = np.frombuffer(raw, dtype=ROW).copy()
        rows["began"] -= self.epoch_unix_s
        rows["ended"] -= self.epoch_unix_s
        return rows

    def answers(
        self, loaded: Loaded, faults: Sequence[Fault]
    ) -> tuple[Answers, np.ndarray[Any, np.dtype[np.bool_]]]:
        """What every endpoint would say to the chunk's requests under these faults."""
        return self.clouds.answers(loaded.number, loaded.chunk, faults)

    def _load(self, loaded: Loaded) -> None:
        self.loaded = loaded
        chunk = loaded.chunk
        answers, is_bad = self.answers(loaded, self.faults)
        answers["kind"] |= np.where(is_bad & (answers["kind"] == 0), BAD, np.uint32(0))
        first = int(np.searchsorted(chunk.at, self.now))
        arrivals = np.zeros(chunk.at.size - first, dtype=ARRIVAL)
        arrivals["at"] = chunk.at[first:] + self.epoch_unix_s
        arrivals["draw"], arrivals["unit"] = chunk.draw[first:], chunk.unit[first:]
        arrivals["feature"] = loaded.features[first:]
        arrivals["input"], arrivals["output"] = chunk.tokens[first:, 0], chunk.tokens[first:, 1]
        self.engine.load(arrivals.tobytes(), answers[first:].tobytes())

    def _snapshot(self) -> bytes:
        snapshot = compile_snapshot(
            self.config,
            version=self.version,
            issued_unix_s=int(self.epoch_unix_s),
            keys=(),
            overlays=self.overlays,
            prices=snapshot_prices(self.config),
        )
        return encode_snapshot(snapshot)
