"""The law by which an endpoint answers: errors, time to the first token, pace, bad answers, incidents.

Chances are drawn once a chunk and kept, so that a fault that begins in the middle of one changes what
the requests after it get and nothing else; two runs under one seed agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crossfade._engine import classify
from crossfade.domain.attempt import ErrorKind
from crossfade.sim.load.latency import LatencyFit
from crossfade.sim.rehearsal.clouds.incident import Incident, Phase
from crossfade.sim.rehearsal.traffic.arrivals import Chunk
from crossfade.sim.rehearsal.traffic.trace import Floats

KINDS = tuple(ErrorKind)
DRAWN = 2  # answers an endpoint has ready for each request: to the first attempt there, and to another
ERRORS = 0.002  # of a healthy provider: its published mean daily availability is 99.8 %
ERROR_MS = 150.0  # until a failing endpoint says so
BAD_FIRST_MS = 30_000.0  # later than this the default deadline has passed
NO_ANSWER = ErrorKind.CONNECTION
ANSWER = np.dtype([("kind", "<u4"), ("first_ms", "<f4"), ("total_ms", "<f4")])
Answers = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class EndpointLaw:
    """A healthy endpoint. `kind`, `capacity`: of its provider, for what a status means there."""

    fit: LatencyFit
    errors: float
    kind: str
    capacity: str


@dataclass(frozen=True, slots=True)
class Fault:
    """An incident at some endpoints from `begin_s` until `until_s` (mended), seconds of the rehearsal.

    `skipped_s`: how far into the incident it starts.
    """

    incident: Incident
    endpoints: frozenset[str]
    begin_s: float
    skipped_s: float
    until_s: float = float("inf")

    @property
    def end_s(self) -> float:
        """When it harms nobody any more."""
        return min(self.until_s, self.begin_s + self.incident.end_s - self.skipped_s)


@dataclass(slots=True)
class Clouds:
    """Every endpoint's law. `names`: the order of endpoints in answers."""

    laws: Mapping[str, EndpointLaw]
    seed: int
    statuses: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Endpoints in order."""
        return list(self.laws)

    def answers(
        self, number: int, chunk: Chunk, faults: Sequence[Fault]
    ) -> tuple[Answers, NDArray[np.bool_]]:
        """Answers of every endpoint, shape (n, endpoints, DRAWN), and which of them are bad in content."""
        shape = (chunk.at.size, len(self.laws), DRAWN)
        draw = np.random.default_rng([self.seed, 2, number])
        error, fault, bad, normal = (
            draw.random(shape), draw.random(shape), draw.random(shape), draw.standard_normal(shape)
        )  # fmt: skip
        answers = np.zeros(shape, dtype=ANSWER)
        is_bad = np.zeros(shape, dtype=bool)
        for place, (name, law) in enumerate(self.laws.items()):
            factor = np.exp(law.fit.sigma * normal[:, place])
            first_ms = law.fit.first_ms * factor
            pace_ms = law.fit.per_token_ms * factor * chunk.tokens[:, 1:]
            kind = np.where(error[:, place] < law.errors, self._kind(law, 500), 0)
            for one in faults:
                if name in one.endpoints:
                    self._strike(
                        one, law, chunk.at, fault[:, place], (kind, first_ms, is_bad[:, place]), bad[:, place]
                    )
            first_ms = np.where((kind > 0) & (first_ms < 5000.0), ERROR_MS * factor, first_ms)
            answers["kind"][:, place], answers["first_ms"][:, place] = kind, first_ms
            answers["total_ms"][:, place] = first_ms + pace_ms
        return answers, is_bad

    def _strike(
        self,
        fault: Fault,
        law: EndpointLaw,
        at: Floats,
        drawn: Floats,
        answered: tuple[NDArray[np.int64], Floats, NDArray[np.bool_]],
        bad: Floats,
    ) -> None:
        """Lay a fault over what an endpoint answers, in place."""
        kind, first_ms, is_bad = answered
        for phase in fault.incident.phases:
            since_s = at - fault.begin_s + fault.skipped_s
            is_in = (
                (since_s >= phase.begin_s)
                & (since_s < phase.end_s)
                & (at >= fault.begin_s)
                & (at < fault.until_s)
            )
            if not phase.fraction or not is_in.any():
                continue
            fraction = (
                np.array([phase.fraction_at(s) for s in since_s]) if phase.mode == "ramp" else phase.fraction
            )
            hit = is_in[:, None] & (drawn < np.broadcast_to(np.asarray(fraction)[..., None], drawn.shape))
            first_ms += np.where(hit, phase.added_s * 1000.0, 0.0)
            if phase.mode in {"quality", "quality_corruption"}:
                is_bad |= hit
            elif phase.statuses:
                self._fail(phase, law, kind, hit, bad)
            elif phase.mode == "ramp":
                kind[hit] = self._kind(law, 503)

    def _fail(
        self, phase: Phase, law: EndpointLaw, kind: NDArray[np.int64], hit: NDArray[np.bool_], drawn: Floats
    ) -> None:
        """Errors of the phase's statuses, evenly."""
        count = len(phase.statuses)
        for number, status in enumerate(phase.statuses):
            kind[hit & (drawn >= number / count) & (drawn < (number + 1) / count)] = self._kind(law, status)

    def _kind(self, law: EndpointLaw, status: int) -> int:
        """What the engine makes of a status there, as a number from 1."""
        if status == 0:
            return KINDS.index(NO_ANSWER) + 1
        key = (f"{law.kind}/{law.capacity}", status)
        if key not in self.statuses:
            body = json.dumps({"error": {"message": "incident", "type": "incident"}}).encode()
            said = json.loads(classify(law.kind, law.capacity, status, "[]", body))
            self.statuses[key] = KINDS.index(ErrorKind(said["kind"])) + 1
        return self.statuses[key]
