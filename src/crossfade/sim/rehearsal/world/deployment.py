"""The parts behind the controller: publisher, counters, people, and timers that virtual time rings."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from crossfade.config.features import Config
from crossfade.control.evidence.fingerprint import fingerprint
from crossfade.control.flags import FlagBook
from crossfade.control.migration.adapters import BURN_LEAST, BURN_OVER_S, ConfigCandidate
from crossfade.control.migration.collecting.drill import DrillParts
from crossfade.control.migration.guard.incident import ordinary_of
from crossfade.control.migration.guard.lately import sum_of
from crossfade.control.migration.guard.samples import CONTROL_KEPT, Sample, SampleBoard
from crossfade.control.migration.ports import Candidate, Ports
from crossfade.control.store.eventlog import ConflictError
from crossfade.domain.attempt import ArmCount
from crossfade.domain.migration import ArmHealth, Frozen, GatewayView
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.snapshot import Rollout
from crossfade.sim.rehearsal.traffic.arrivals import DAY_S, QUARTER_S
from crossfade.sim.rehearsal.world.evidence import RehearsedEvidence
from crossfade.sim.rehearsal.world.gateway import VirtualGateway
from crossfade.sim.rehearsal.world.log import MemoryLog
from crossfade.sim.rehearsal.world.rows import (
    BASELINE,
    MAIN,
    MINUTE_S,
    OK,
    Reading,
    Rows,
    counts_of,
)

GATEWAY = "gateway-1"
SILENT_S = 0.5  # reports come every second


@dataclass(frozen=True, slots=True)
class Published:
    """`ports.Published`: in virtual time every publication takes effect at once."""

    version: int
    missing: tuple[str, ...] = ()
    verified: bool = True


@dataclass(slots=True)
class Timers:
    """Collections that wait for virtual time."""

    waiting: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def due(self) -> float:
        """When the next one rings."""
        return self.waiting[0][0] if self.waiting else float("inf")

    def ring(self, now: float) -> bool:
        """Wake everyone whose time has come; whether there was someone."""
        is_due = self.due() <= now
        while self.waiting and self.waiting[0][0] <= now:
            future = heapq.heappop(self.waiting)[2]
            if not future.done():
                future.set_result(None)
        return is_due

    async def wait(self, until: float) -> None:
        """Sleep in virtual time."""
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (until, next(self.numbers), future))
        await future


@dataclass(slots=True)
class Deployment:
    """`ports.PublisherPort`, `CountersPort`, `CandidatePort`, `BundlePort` and `GatewayAdmin`."""

    gateway: VirtualGateway
    reading: Reading
    timers: Timers = field(default_factory=Timers)
    board: SampleBoard = field(default_factory=lambda: SampleBoard(lambda _: None))
    counts: list[ArmCount] = field(default_factory=list)
    bad_units: set[tuple[int, int, int, int]] = field(default_factory=set)
    minute: int = -1
    recent: deque[tuple[float, int, int, tuple[ArmHealth, ArmHealth]]] = field(default_factory=deque)
    control: deque[Rows] = field(default_factory=deque)
    kept: int = 0
    quarters: dict[int, int] = field(default_factory=dict)
    flags: FlagBook = field(default_factory=lambda: FlagBook(None))
    withheld: dict[str, FeatureOverlay | None] | None = None  # what a cut-off gateway was not told
    evidence: RehearsedEvidence = field(init=False)

    def __post_init__(self) -> None:
        drill = DrillParts(self, self, self, self, self.flags, self.clock, self.pause)
        self.evidence = RehearsedEvidence(self.clock, self.pause, drill)

    @property
    def config(self) -> Config:
        """The config that serves."""
        return self.gateway.config

    def clock(self) -> float:
        """Unix seconds."""
        return self.gateway.epoch_unix_s + self.gateway.now

    async def pause(self, seconds: float) -> None:
        """Sleep in virtual time."""
        await self.timers.wait(self.gateway.now + seconds)

    def ports(self, log: MemoryLog) -> Ports:
        """Everything the controller touches."""
        candidate = ConfigCandidate(self, fingerprint)  # type: ignore[arg-type] # it reads `config` only
        people = self.evidence
        return Ports(
            log,
            self,
            self,
            people,
            _Looked(candidate),
            people,
            people,
            self,
            self.clock,
            ConflictError,
            self,
            self.flags,
            self,
            self.clock,
            log,
        )

    def observe(self, rows: Rows, draw: NDArray[np.float64]) -> ArmHealth:
        """What the gateways would have told control of these requests; how the incumbent served them."""
        minute = int(self.gateway.now // MINUTE_S)
        if minute != self.minute:
            self.minute, self.bad_units = minute, {u for u in self.bad_units if u[3] >= minute - 1}
        self.counts += counts_of(rows, self.reading, self.bad_units)
        for sample in self.reading.samples(rows, draw):
            self.board.add(sample)
        self.evidence.shadows.observe(rows, self.reading.features, self.gateway.epoch_unix_s)
        if not rows.size:
            return ArmHealth()
        healths = self.reading.healths(rows, draw)
        errors = int(rows["caller_error"].sum())
        self.recent.append((self.gateway.now, int(rows.size), errors, healths))
        while self.recent and self.recent[0][0] < self.gateway.now - BURN_OVER_S:
            self.recent.popleft()
        self.control.append(
            rows[((rows["arm"] == MAIN) | (rows["arm"] == BASELINE)) & (rows["first_class"] == OK)]
        )
        self.kept += self.control[-1].size
        while self.kept - self.control[0].size > CONTROL_KEPT:
            self.kept -= self.control.popleft().size
        quarter = int(self.gateway.now // QUARTER_S)
        self.quarters[quarter] = self.quarters.get(quarter, 0) + int(rows.size)
        return healths[1]

    # PublisherPort
    def overlays(self) -> Mapping[str, FeatureOverlay]:
        """See `PublisherPort`."""
        return dict(self.gateway.overlays)

    async def publish(
        self, change: dict[str, FeatureOverlay | None], *, actor: str, reason: str
    ) -> Published:
        """See `PublisherPort`."""
        if self.withheld is not None:
            self.withheld |= change
            return Published(self.gateway.version + 1, (GATEWAY,), verified=False)
        if actor and reason:
            self.gateway.lay(change)
        return Published(self.gateway.version)

    # CountersPort
    def views(self, features: tuple[str, ...]) -> tuple[GatewayView, ...]:
        """See `CountersPort`."""
        effects = tuple(effect for effect in self.gateway.effects() if effect.feature in features)
        return (GatewayView(GATEWAY, SILENT_S, effects),)

    def since(self, migration: str, cursor: int) -> tuple[int, list[ArmCount]]:
        """See `CountersPort`. All counts are about the one that is rehearsed, and none is read twice."""
        fresh = self.counts[cursor:] if cursor >= 0 and migration == self.reading.migration else []
        return len(self.counts), fresh

    def samples(self, migration: str, cursor: int) -> tuple[int, list[Sample]]:
        """See `CountersPort`."""
        return self.board.since(migration, cursor)

    def failures(self, features: tuple[str, ...]) -> int:
        """See `CountersPort`: a rehearsal chooses its own looks."""
        return len(self.counts) if features else 0

    def incident(self, features: tuple[str, ...], errors_at_most: float) -> str | None:
        """See `CountersPort`: as `adapters.BoardCounters`, over all features together."""
        requests, errors = sum(one[1] for one in self.recent), sum(one[2] for one in self.recent)
        if requests >= BURN_LEAST and errors > errors_at_most * requests:
            return f"{', '.join(features)}: more than {errors_at_most:.1%} of its callers see errors"
        return None

    def health(self, features: tuple[str, ...], over_s: float) -> dict[str, tuple[ArmHealth, ArmHealth]]:
        """See `CountersPort`: as `adapters.BoardCounters`, over all features together."""
        recent = [healths for at, _, _, healths in self.recent if at > self.gateway.now - over_s]
        ours, theirs = (sum_of(healths[side] for healths in recent) for side in (0, 1))
        return {", ".join(features): (ours, theirs)}

    def is_well(self, features: tuple[str, ...], over_s: float) -> bool:
        """See `CountersPort`."""
        return not any(theirs.is_spotted for _, theirs in self.health(features, over_s).values())

    async def freeze(self, features: tuple[str, ...]) -> Frozen | None:
        """See `CountersPort`."""
        if not self.kept:
            return None
        # The control's own requests, in the form in which records of them are kept.
        control = np.concatenate(self.control)[-CONTROL_KEPT:]
        control["arm"], control["share"] = BASELINE, 0.0
        for sample in self.reading.samples(control, np.zeros((control.size, 2))):
            self.board.control.setdefault(sample.feature, deque(maxlen=CONTROL_KEPT)).append(sample)
        frozen = self.board.freeze(features)
        if frozen is not None:
            healths = self.health(features, BURN_OVER_S)
            frozen = replace(frozen, ordinary={name: ordinary_of(one[1]) for name, one in healths.items()})
        passed = [
            count for quarter, count in self.quarters.items() if (quarter + 1) * QUARTER_S <= self.gateway.now
        ]
        if frozen is None:
            return None
        if self.gateway.now < DAY_S:  # the trace is taken to have run the week before, too
            return replace(frozen, peak_per_s=self.gateway.demand.busiest_quarter_per_s)
        return replace(frozen, peak_per_s=max(passed) / QUARTER_S)

    # MetricsPort
    def unread(self, spec: MigrationSpec) -> str | None:
        """See `MetricsPort`: a rehearsal has no business."""
        if spec.rollout.metrics:
            raise ValueError(f"{spec.name} is rehearsed without its business metrics")
        return None

    # BundlePort
    async def write(self, migration: str, files: dict[str, str]) -> dict[str, str]:
        """See `BundlePort`: a rehearsal has a report of its own."""
        return dict.fromkeys(files, "") if migration else {}

    # GatewayAdmin
    def names(self) -> tuple[str, ...]:
        """See `ports.GatewayAdmin`."""
        return (GATEWAY,)

    def uncallable(self) -> tuple[str, ...]:
        """See `ports.GatewayAdmin`."""
        return ()

    async def kill(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """See `ports.GatewayAdmin`."""
        if gateway == GATEWAY:
            self.gateway.engine.kill(feature, is_killed)

    async def cut(self, gateway: str, feature: str) -> int:
        """See `ports.GatewayAdmin`: nothing is under way between two looks."""
        return 0 if gateway == GATEWAY and feature else -1

    async def share(self, gateway: str, feature: str) -> float:
        """See `ports.GatewayAdmin`."""
        effects = self.gateway.effects() if gateway == GATEWAY else ()
        return next((effect.candidate_share for effect in effects if effect.feature == feature), 0.0)

    async def rollouts(self, gateway: str) -> dict[str, Rollout]:
        """See `ports.GatewayAdmin`."""
        laid = self.gateway.overlays.items() if gateway == GATEWAY else ()
        return {feature: overlay.rollout for feature, overlay in laid if overlay.rollout is not None}

    # Isolation
    def cut_off(self, gateways: Collection[str]) -> None:
        """See `drill.Isolation`."""
        if GATEWAY in gateways:
            self.withheld = {}

    def heal(self) -> None:
        """See `drill.Isolation`: it catches up at once."""
        change, self.withheld = self.withheld, None
        if change:
            self.gateway.lay(change)


@dataclass(slots=True)
class _Looked:
    """The candidate of a config that does not change, looked up once."""

    candidate: ConfigCandidate
    found: Candidate | None = None

    async def look(self, spec: MigrationSpec) -> Candidate:
        """See `CandidatePort`."""
        if self.found is None:
            self.found = await self.candidate.look(spec)
        return self.found
