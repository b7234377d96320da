"""Events that applications push: counted for the arm that the request or the unit fell on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crossfade.config.shape.control import MetricSection
from crossfade.control.migration.guard.samples import REMEMBERED, Sample, SampleBoard
from crossfade.domain.attempt import ArmKind


@dataclass(frozen=True, slots=True)
class Event:
    """Of a metric: about a request, or about a feature's unit. `event_id`: the same counts once."""

    metric: str
    request_id: str | None
    feature: str
    unit: str
    event_id: str | None


@dataclass(slots=True)
class Pushed:
    """Takes events in. `arm_of(feature, unit)`: {kind, name, share}, as the engine splits now."""

    board: SampleBoard
    sources: Callable[[], Mapping[str, MetricSection]]
    arm_of: Callable[[str, str], Mapping[str, Any]]
    clock: Callable[[], float]
    known: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)

    def take(self, event: Event) -> str:
        """`accepted`, or `duplicate` if this event was told before.

        Raises:
            LookupError: no such metric, or one with a source of its own, or no record of the request.
        """
        source = self.sources().get(event.metric)
        if source is None:
            raise LookupError(f"no metric {event.metric!r} (hint: define it under control.metrics)")
        if source.query is not None:
            raise LookupError(f"{event.metric!r} is read from its source (hint: push another metric)")
        sample = self._about(event)
        key = (event.metric, event.event_id or "")
        if event.event_id is not None and key in self.known:
            return "duplicate"
        self.known[key] = None
        if len(self.known) > REMEMBERED:
            self.known.popitem(last=False)
        self.board.add(sample)
        return "accepted"

    def _about(self, event: Event) -> Sample:
        if event.request_id is not None:
            asked = self.board.asked.get(event.request_id)
            if asked is None:
                raise LookupError(
                    f"no record of request {event.request_id!r} (hint: it is too old, or came less than a "
                    "second ago; feature and unit need no record)"
                )
            return asked._replace(values={event.metric: 1.0})
        arm = self.arm_of(event.feature, event.unit)
        kind = ArmKind(arm["kind"])
        return Sample(
            event.feature, kind, arm["name"], arm["share"], event.unit, self.clock(), {event.metric: 1.0}
        )
