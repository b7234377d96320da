"""Business metrics of the migrations under way: totals read now and then become events of each arm.

What matters to the guards is only how many events each arm has had while the share was what it is:
given that an event happens, it is the candidate's with the probability of its part of the units. So the
query needs no rate and no denominator. Events between two looks of which one was at another share are
nobody's: they are left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from crossfade.config.shape.control import MetricSection
from crossfade.control.migration.guard.samples import Sample, SampleBoard
from crossfade.control.migration.metrics.judging import LiveJudge
from crossfade.control.migration.metrics.metric_sources import MetricError, read_total
from crossfade.domain.attempt import ArmKind
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.snapshot import Rollout

LOOK_S = 1.0
ARMS = (ArmKind.CANDIDATE, ArmKind.BASELINE)
Read = Callable[[MetricSection, str, str], Awaitable[float]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric's totals by arm, under which epoch and share, and when. `problem`: why there are none."""

    at_s: float
    placed: tuple[int, float] | None
    totals: dict[ArmKind, float] = field(default_factory=dict)
    problem: str | None = None


@dataclass(slots=True)
class MetricBook:
    """`ports.MetricsPort`. `overlays`: what is laid over the features now; `steady`: seconds."""

    sources: Callable[[], Mapping[str, MetricSection]]
    overlays: Callable[[], Mapping[str, FeatureOverlay]]
    board: SampleBoard
    judge: LiveJudge
    steady: Callable[[], float]
    unix: Callable[[], float]
    read: Read = read_total
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    wanted: dict[str, MigrationSpec] = field(default_factory=dict)
    readings: dict[tuple[str, str], Reading] = field(default_factory=dict)

    def unread(self, spec: MigrationSpec) -> str | None:
        """Why one of the migration's metrics, or its judge, cannot be asked now; from then on they are."""
        problem = self.judge.want(spec)
        if problem is not None:
            return problem
        if spec.rollout.metrics:
            self.wanted[spec.name] = spec
        for metric in spec.rollout.metrics:
            source = self.sources().get(metric.name)
            if source is None:
                return f"{metric.name} is not in the config any more (hint: control.metrics)"
            reading = self.readings.get((spec.name, metric.name))
            if source.query is not None and reading is not None and reading.problem is not None:
                return f"{metric.name}: {reading.problem}"
        return None

    async def run(self) -> None:
        """Look every second, for ever."""
        while True:
            await self.look()
            await self.pause(LOOK_S)

    async def look(self) -> None:
        """Read what is due; one source that is slow delays no other."""
        due = []
        for spec in self.wanted.values():
            live = self._live(spec)
            for metric in spec.rollout.metrics if live is not None else ():
                source = self.sources().get(metric.name)
                if source is None or source.query is None:
                    continue
                if self._is_due(spec, metric.name, source):
                    due.append(self._look_at(spec, metric.name, source))
        await asyncio.gather(*due)

    def _live(self, spec: MigrationSpec) -> tuple[str, Rollout] | None:
        """The first feature with its rollout, where a share is live."""
        laid = self.overlays()
        for feature in spec.features:
            overlay = laid.get(feature)
            live = overlay.rollout if overlay is not None else None
            if live is not None and live.migration == spec.name and live.share:
                return feature, live
        return None

    def _is_due(self, spec: MigrationSpec, name: str, source: MetricSection) -> bool:
        before = self.readings.get((spec.name, name))
        return before is None or self.steady() >= before.at_s + source.every

    async def _look_at(self, spec: MigrationSpec, name: str, source: MetricSection) -> None:
        before, placed = self.readings.get((spec.name, name)), self._placed(spec)
        try:
            answers = await asyncio.gather(*(self.read(source, arm.value, spec.name) for arm in ARMS))
        except MetricError as error:
            if before is None or before.problem != str(error):
                log.warning("metric %s: %s", name, error)
            totals = before.totals if before is not None else {}
            still = before.placed if before is not None else None
            self.readings[spec.name, name] = Reading(self.steady(), still, totals, str(error))
            return
        now = Reading(self.steady(), placed, dict(zip(ARMS, answers, strict=True)))
        self.readings[spec.name, name] = now
        live = self._live(spec)
        if before is None or live is None or not before.totals:
            return
        if before.placed == placed == self._placed(spec):
            self._tell(spec, live, name, (before, now))

    def _placed(self, spec: MigrationSpec) -> tuple[int, float] | None:
        live = self._live(spec)
        return None if live is None else (live[1].epoch, live[1].share)

    def _tell(
        self, spec: MigrationSpec, live: tuple[str, Rollout], name: str, readings: tuple[Reading, Reading]
    ) -> None:
        """What came between two readings. A total that fell was reset: what it has now is new."""
        before, now = readings
        for arm in ARMS:
            grown = now.totals[arm] - before.totals[arm]
            events = round(grown if grown >= 0.0 else now.totals[arm])
            if events:
                feature, rollout = live
                told = {name: events}
                self.board.add(Sample(feature, arm, spec.name, rollout.share, "", self.unix(), {}, told))
