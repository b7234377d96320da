"""What single requests say to the guards, as records come in: one bounded queue for all migrations.

A sample is a number for each guard: milliseconds, dollars, or 1 for a bad event and 0 for none. What
makes a number bad is decided later, by the migration's frozen limits. Content is looked at where it
was captured, which the engine draws by request id and so equally in both arms.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from crossfade.control.evidence.scorers import not_refused, well_formed
from crossfade.control.migration.guard.lately import Lately
from crossfade.control.migration.guard.plans import HARD, LIMIT_QUANTILES
from crossfade.control.records.backlog import Backlog
from crossfade.domain.attempt import ArmKind, AttemptRecord, ErrorKind, OutcomeClass, Role
from crossfade.domain.migration import ArmHealth, Frozen

KEPT = 200_000  # samples a slow turn may be behind by: an hour at 50 requests a second
REMEMBERED = 200_000  # requests that feedback can still be about without asking the records
CONTROL_KEPT = 5_000  # of the incumbent, by feature, for the frozen limits
CONTROL_LEAST = 200  # a p95 of fewer is a guess
FEW_TOKENS = 8  # below it the time per token is the network's
_ARMS = (ArmKind.CANDIDATE, ArmKind.BASELINE)
_BAD = frozenset((name, 1.0) for name in HARD)
_FAILED = frozenset({OutcomeClass.HARD, OutcomeClass.OVERLOAD, OutcomeClass.CONFIG})
_REFUSED_STOPS = frozenset(
    {"content_filter", "content_filtered", "guardrail_intervened", "refusal", "safety"}
)

Price = Callable[[AttemptRecord], float | None]  # USD of an attempt


class Sample(NamedTuple):
    """One request's numbers by guard. `share`: the candidate's when the request was assigned.

    `events`: or how many events of each business metric an arm had since the last look at its source.
    `endpoint`: which served it first; empty where it is not known. A tuple, because it is made for every
    request of a rollout, and a frozen dataclass takes five times as long to make.
    """

    feature: str
    arm: ArmKind
    arm_name: str | None
    share: float | None
    unit: str
    unix_s: float
    values: dict[str, float]
    events: Mapping[str, int] = MappingProxyType({})
    endpoint: str = ""


@dataclass(slots=True)
class SampleBoard:
    """Holds what came in. All in memory: totals are logged by the controller."""

    price: Price
    queue: Backlog[Sample] = field(default_factory=lambda: Backlog(KEPT))
    asked: OrderedDict[str, Sample] = field(default_factory=OrderedDict)
    control: dict[str, deque[Sample]] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    lately: Lately = field(default_factory=Lately)
    lock: threading.RLock = field(default_factory=threading.RLock)  # records come in on other threads

    def observe(self, record: AttemptRecord) -> None:
        """Take in an attempt: the arm's own first one, and a request's last."""
        if record.arm in {ArmKind.SHADOW, ArmKind.PIN} or not (record.index == 0 or record.final):
            return
        usd = self.price(record) if record.usage is not None else None
        is_asked = record.index == 0 and not is_kept_away(record)
        values = values_of(record, usd) if is_asked else {}
        sample = Sample(
            feature=record.feature,
            arm=record.arm,
            arm_name=record.arm_name,
            share=record.share,
            unit=record.unit,
            unix_s=record.started_unix_ms / 1000,
            values={**values, **ending_of(record)} if record.final else values,
            endpoint=record.endpoint,
        )
        with self.lock:
            if record.index == 0:
                self.asked[record.request_id] = sample._replace(values={})
            if len(self.asked) > REMEMBERED:
                self.asked.popitem(last=False)
            if record.index == 0:
                self.lately.note(record, health_of(record, values))
            # Of the main arm only a rule's requests have a name, and they are no one's control.
            is_main = record.arm is ArmKind.MAIN and record.arm_name is None
            if is_main or record.arm is ArmKind.BASELINE:
                kept = self.control.setdefault(record.feature, deque(maxlen=CONTROL_KEPT))
                kept.append(sample)
            self.add(sample)

    def add(self, sample: Sample) -> None:
        """Take in numbers that are about a rollout's arm; others guard nothing."""
        if sample.arm_name is None or sample.arm not in _ARMS:
            return
        if sample.values or sample.events:
            with self.lock:
                self.queue.add(sample.arm_name, sample)
                if not _BAD.isdisjoint(sample.values.items()):
                    self.bad[sample.feature] = self.bad.get(sample.feature, 0) + 1

    def failures(self, feature: str) -> int:
        """Bad events of the hard guards on a rollout's arms so far."""
        return self.bad.get(feature, 0)

    def since(self, migration: str, cursor: int) -> tuple[int, list[Sample]]:
        """Samples of a migration's arms after `cursor` and the new cursor; -1 = from now on."""
        with self.lock:
            return self.queue.since(migration, cursor)

    def health(self, feature: str, since_unix_s: float) -> tuple[ArmHealth, ArmHealth]:
        """How candidate and incumbent have served since then, five minutes back at most."""
        with self.lock:
            return self.lately.since(feature, since_unix_s)

    def is_well(self, feature: str, since_unix_s: float) -> bool:
        """Whether nothing of the incumbent's requests since then was bad."""
        return self.lately.is_well(feature, since_unix_s)

    def freeze(self, features: tuple[str, ...]) -> Frozen | None:
        """Limits from the incumbent's latest requests; null while a feature has too few."""
        if any(len(self.control.get(feature, ())) < CONTROL_LEAST for feature in features):
            return None
        limits: dict[str, dict[str, float]] = {}
        for feature in features:
            with self.lock:
                kept = tuple(self.control[feature])
            limits[feature] = {}
            for name, quantile in LIMIT_QUANTILES.items():
                values = [sample.values[name] for sample in kept if name in sample.values]
                if len(values) >= CONTROL_LEAST / 2:
                    limits[feature][name] = float(np.quantile(np.array(values), quantile))
        return Frozen(limits)


def is_kept_away(record: AttemptRecord) -> bool:
    """Whether the arm's own target was not asked at all, its breaker being open.

    The engine says so in its reason for a target that is not the hierarchy's first.
    """
    return "backup" in record.reason


def is_failed(record: AttemptRecord) -> bool:
    """Whether a first attempt broke, was refused as full, or was refused as the caller's mistake."""
    return record.outcome in _FAILED or is_mistake(record)


def is_mistake(record: AttemptRecord) -> bool:
    """Refused as the caller's mistake; what a content filter catches is another guard's."""
    return record.outcome is OutcomeClass.CALLER and record.error_kind is not ErrorKind.CONTENT_FILTERED


def health_of(record: AttemptRecord, values: Mapping[str, float]) -> ArmHealth:
    """One request, by its first attempt and that attempt's numbers."""
    if is_kept_away(record):
        return ArmHealth(1, kept_away=1)
    looked_at = [values[name] for name in ("schema", "refusals") if name in values]
    failed, bad = is_failed(record), any(looked_at)
    return ArmHealth(1, 0, int(failed), int(bool(looked_at)), int(bad), int(failed or bad))


def ending_of(record: AttemptRecord) -> dict[str, float]:
    """How the request ended for its arm: left to another target or lost, refused as the caller's mistake.

    Neither is an error the other guards see: a candidate that answers 503 or 429 to everybody is saved
    by its backups, and one that answers 400 seems to have callers who err.
    """
    left = record.role in {Role.FAILOVER, Role.RESCUE} or record.caller_error
    mistake = is_mistake(record)
    return {"failovers": float(left and not mistake), "rejected": float(mistake)}


def values_of(record: AttemptRecord, usd: float | None) -> dict[str, float]:
    """The guards' numbers of one attempt. Failed attempts are the errors guard's, from the counters."""
    filtered = record.error_kind is ErrorKind.CONTENT_FILTERED
    malformed = record.error_kind is ErrorKind.MALFORMED_OUTPUT
    if record.outcome is not OutcomeClass.OK:
        values = {"guardrail": 1.0} if filtered else {}
        return {**values, "schema": 1.0} if malformed else values
    values = {"guardrail": 0.0}
    timings, usage = record.timings, record.usage
    first_ms = timings.first_content_ms
    if first_ms is not None:
        values["ttft"] = timings.queue_ms + first_ms
        if record.stream and usage is not None and usage.output >= FEW_TOKENS:
            values["tpot"] = max(0.0, timings.total_ms - first_ms) / (usage.output - 1)
    if usd is not None:
        values["cost"] = usd
    refused = (record.stop_reason or "").lower() in _REFUSED_STOPS
    values["refusals"] = float(refused)
    if record.content is not None:
        answer = record.content.response
        values["refusals"] = float(refused or not not_refused(answer))
        values["schema"] = float(not _keeps_schema(record.content.request, answer))
    return values


def _keeps_schema(request: str, answer: str) -> bool:
    """Well-formed text, and JSON where the caller asked for JSON."""
    if not well_formed(answer):
        return False
    if not _wants_json(request):
        return True
    try:
        json.loads(answer)
    except ValueError:
        return False
    return True


def _wants_json(request: str) -> bool:
    try:
        asked: Any = json.loads(request)
    except ValueError:
        return False
    form = asked.get("response_format") if isinstance(asked, dict) else None
    return isinstance(form, dict) and form.get("type") in {"json_object", "json_schema"}
