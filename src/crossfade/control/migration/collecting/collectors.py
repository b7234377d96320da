"""The real collectors behind the ports: thin.

The measuring is `control.evidence`'s, the deciding is `gates`'.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from crossfade.config.features import Config
from crossfade.config.quantity import parse_profile
from crossfade.config.schema import CapacitySection
from crossfade.control.evidence import (
    judge,
    pairs,
    quality,
    scorers,
)
from crossfade.control.evidence.capacity import profile, search
from crossfade.control.evidence.capacity.lever import Lever
from crossfade.control.evidence.capacity.loadtest import slo_of
from crossfade.control.evidence.gateway_client import GatewayClient
from crossfade.control.evidence.posture.checks import Check, Unseen, check_posture
from crossfade.control.evidence.posture.clouds import see_pool
from crossfade.control.ledger.units import UnitsBook
from crossfade.control.migration.adapters import LookedUp
from crossfade.control.migration.collecting.drill import DrillParts, run_drill
from crossfade.control.migration.ports import Clock, CollectError, Task
from crossfade.control.records.store import RecordStore
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.signing import CONTROL, SigningError
from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration_spec import MigrationSpec

POSTURE_HOURS = 72
MEASURED_DAYS = 30
PROFILE_LOOKBACK_S = 3600.0
LEAST_SHADOWS = 60
SHADOW_OVERFLOW = 0.05
LOOK_S = 1.0
COLLECT_WITHIN_S = 6 * 3600.0
LOADING = ("max_tokens", "max_completion_tokens", "reasoning_effort")  # parameters that decide the load


@dataclass(frozen=True, slots=True)
class CollectorParts:
    """What the collectors measure with."""

    config: Callable[[], Config]
    records: RecordStore
    store: LookedUp
    log: EventLog
    client: GatewayClient
    lever: Lever
    units: UnitsBook
    drill: DrillParts
    clock: Clock


class RealCollectors:
    """`ports.CollectorsPort` over the real parts."""

    def __init__(self, parts: CollectorParts) -> None:
        self._parts = parts
        self._collectors: dict[EvidenceKind, Callable[[Task], Awaitable[Evidence]]] = {
            EvidenceKind.POSTURE: self._posture,
            EvidenceKind.CAPACITY_MAPPING: self._mapping,
            EvidenceKind.SHADOW_CONFIRMATION: self._shadow,
            EvidenceKind.QUALITY_PARITY: self._quality,
            EvidenceKind.LATENCY_PARITY: self._latency,
            EvidenceKind.DRILL: self._drill,
        }

    async def collect(self, task: Task) -> SignedEvidence:
        """Measure, sign and store one record. Raises CollectError when it could not measure."""
        collector = self._collectors.get(task.kind)
        if collector is None:
            raise CollectError(f"{task.kind.value} is given by people, not collected")
        try:
            async with asyncio.timeout(COLLECT_WITHIN_S):
                record = await collector(task)
        except (LookupError, judge.JudgeError) as error:
            raise CollectError(str(error)) from error
        except TimeoutError as error:
            raise CollectError(f"{task.kind.value} of {task.subject} took too long") from error
        artefact = json.dumps(record.observed, sort_keys=True).encode()
        try:
            return await self._parts.store.add(record, artefact)
        except SigningError as error:
            raise CollectError(str(error)) from error

    def _record(self, task: Task, verdict: Verdict, method: str, observed: dict[str, Any]) -> Evidence:
        now = self._parts.clock()
        hours = POSTURE_HOURS if task.kind is EvidenceKind.POSTURE else MEASURED_DAYS * 24
        return Evidence(
            evidence_id="",
            kind=task.kind,
            migration=task.spec.name,
            subject=task.subject,
            fingerprint=task.fingerprint,
            collector=CONTROL,
            method=method,
            observed=json.loads(json.dumps(observed)),
            verdict=verdict,
            collected_unix_s=now,
            expires_unix_s=now + hours * 3600.0,
            artefact_sha256=None,
            signer=CONTROL,
        )

    async def _posture(self, task: Task) -> Evidence:
        """What the config says and what the clouds' own APIs say; the rest is named for people to attest."""
        config = self._parts.config()
        checks = list(check_posture(config, task.spec.candidate, task.spec.features))
        seen = await asyncio.to_thread(see_pool, config, task.spec.candidate)
        checks += [each for each in seen if isinstance(each, Check)]
        unseen = [each for each in seen if isinstance(each, Unseen)]
        failed = [check for check in checks if not check.ok]
        observed = {
            "checks": [asdict(check) for check in checks],
            "attest": [asdict(each) for each in unseen],
            "reason": f"{len(checks) - len(failed)} checks hold, {len(unseen)} things need an attestation",
        }
        method = "config and cloud posture checks"
        return self._record(task, Verdict.FAIL if failed else Verdict.PASS, method, observed)

    async def _mapping(self, task: Task) -> Evidence:
        wanted, features, endpoint = task.spec.capacity, task.spec.features, self._metered(task)
        capacity = self._parts.config().endpoints[endpoint].capacity
        refuse_masked(self._parts.config(), task.spec, endpoint)
        recorded = await asyncio.to_thread(
            profile.record_profile, self._parts.records, features, PROFILE_LOOKBACK_S, self._parts.clock()
        )
        plan = search.LoadPlan(
            endpoint=endpoint,
            recorded=recorded,
            factor=max(map(parse_profile, wanted.profiles)),
            slo=slo_of(wanted.slo_ms, wanted.attainment, wanted.overflow_at_most),
            warmup_s=wanted.warmup_s,
            probe_s=wanted.probe_s,
            headroom=wanted.headroom,
            bought=capacity.units,
            per_unit_tpm=_worth(capacity),
            parameters=task.spec.parameters,
        )
        lever = wanted.lever
        if plan.bought is None or lever is None:
            found = await search.probe_what_is_there(self._parts.client, plan, task.report)
            return self._record(task, found.verdict, "open-loop load test of what is there", found.observed)

        async def move(units: int) -> None:
            await self._parts.lever.move(lever, units)
            await self._parts.units.note(
                {endpoint: units}, actor=CONTROL, reason=f"load test of {', '.join(features)}"
            )

        found = await search.search_units(self._parts.client, plan, move, task.report)
        return self._record(
            task, found.verdict, "open-loop load test, bracketing and bisection", found.observed
        )

    def _metered(self, task: Task) -> str:
        """The candidate's provisioned endpoint, or its first."""
        config = self._parts.config()
        bought = [e for e in task.endpoints if config.endpoints[e].capacity.class_ == "provisioned"]
        return (bought or list(task.endpoints))[0]

    async def _shadow(self, task: Task) -> Evidence:
        """Shadow copies at full rate: how many were refused, how many failed."""
        while True:
            rows = await asyncio.to_thread(
                self._parts.records.query,
                "SELECT count(*) AS n, count_if(outcome = 'overload') AS overload, "
                "count_if(outcome IN ('hard', 'config')) AS failed FROM attempts "
                "WHERE arm = 'shadow' AND arm_name = ? AND feature = ? AND started_unix_ms >= ?",
                [task.spec.name, task.subject, int(task.since_unix_s * 1000)],
            )
            seen = rows[0]
            task.report(f"{seen['n']} of {LEAST_SHADOWS} shadow requests of {task.subject}")
            if seen["n"] >= LEAST_SHADOWS:
                break
            await asyncio.sleep(LOOK_S)
        bad = (seen["overload"] + seen["failed"]) / seen["n"]
        observed = {
            "requests": seen["n"],
            "errors": seen["failed"],
            "overload_share": seen["overload"] / seen["n"],
            "reason": f"{seen['n']} shadow requests, {seen['overload']} refused, {seen['failed']} failed",
        }
        verdict = Verdict.PASS if bad <= SHADOW_OVERFLOW else Verdict.FAIL
        return self._record(task, verdict, "shadow traffic at full rate", observed)

    async def _quality(self, task: Task) -> Evidence:
        """Judge and label until every metric is decided or the label budget is spent."""
        wanted = task.spec.quality
        judges = [judge_name for judge_name in wanted.judges if judge_name in self._parts.config().features]
        if not judges:
            raise CollectError(
                f"{task.spec.name} names no judge that is a feature in the config (hint: quality: {{judges: "
                "[FEATURE]}} in the migration's file, or two waivers of quality_parity)"
            )
        grades: dict[str, tuple[float, float]] = {}
        while True:
            found = await self._pairs(task)
            fresh = [pair for pair in found if pair.pair_id not in grades]
            for name, part in _round_robin(judges, fresh).items():
                texts = [(p.source, text) for p in part for text in (p.incumbent, p.candidate)]
                scores = await judge.grade(self._parts.client, name, texts)
                for index, pair in enumerate(part):
                    grades[pair.pair_id] = (scores[2 * index], scores[2 * index + 1])
            labels = await read_labels(self._parts.log, task.spec.name)
            task.report(f"{len(found)} pairs judged, {len(labels)} labelled")
            metrics = await asyncio.to_thread(_parities, wanted.margins, found, grades, labels)
            verdict = quality.worst([metric["verdict"] for metric in metrics])
            if verdict is not Verdict.INCONCLUSIVE or len(labels) >= wanted.labels_at_most:
                break
            await asyncio.sleep(LOOK_S)
        rubric = metrics[0]
        observed = {
            "metrics": metrics,
            "pairs": len(found),
            "labels": len(labels),
            "judges": judges,
            "reason": f"{len(found)} pairs, {rubric['labels']} labels: difference {rubric['estimate']:+.3f}, "
            f"at least {rubric['lower']:+.3f}, margin {rubric['margin']:.2f}",
        }
        return self._record(task, verdict, "paired non-inferiority, judge corrected by labels", observed)

    async def _latency(self, task: Task) -> Evidence:
        while True:
            found = await self._pairs(task)
            metrics = await asyncio.to_thread(_latency_parities, task.spec.quality.latency, found)
            verdict = quality.worst([metric["verdict"] for metric in metrics])
            task.report(f"{len(found)} timed pairs")
            if verdict is not Verdict.INCONCLUSIVE or len(found) >= 20_000:
                break
            await asyncio.sleep(LOOK_S)
        said = "; ".join(f"{m['name']} x{m['ratio']:.2f}, at most x{m['upper']:.2f}" for m in metrics)
        observed = {"metrics": metrics, "pairs": len(found), "reason": said}
        return self._record(task, verdict, "non-inferiority of quantile ratios, block bootstrap", observed)

    async def _pairs(self, task: Task) -> list[pairs.Pair]:
        return await asyncio.to_thread(
            pairs.pairs_of, self._parts.records, task.spec.name, task.subject, task.since_unix_s
        )

    async def _drill(self, task: Task) -> Evidence:
        result = await run_drill(self._parts.drill, task)
        return self._record(task, result.verdict, "rollback drill on every gateway", result.observed)


def _parities(
    margins: dict[str, float],
    found: list[pairs.Pair],
    grades: dict[str, tuple[float, float]],
    labels: quality.Labels,
) -> list[dict[str, Any]]:
    """The human-corrected rubric first, then every deterministic metric with a margin."""
    judged = [grades[pair.pair_id] for pair in found]
    return [
        quality.rubric_parity(found, judged, labels, margins["rubric"]),
        *(
            quality.scorer_parity(name, found, margin)
            for name, margin in margins.items()
            if name in scorers.SCORERS
        ),
    ]


def _latency_parities(wanted: dict[str, float], found: list[pairs.Pair]) -> list[dict[str, Any]]:
    return [quality.latency_parity(found, name, margin) for name, margin in wanted.items()]


def refuse_masked(config: Config, spec: MigrationSpec, endpoint: str) -> None:
    """A load test sends the candidate's parameters itself, but a target that has the endpoint sets its own.

    Raises:
        CollectError: a parameter that decides the load would be measured with the incumbent's value.
    """
    for feature in spec.features:
        served = (t for t in config.features[feature].hierarchy if endpoint in config.pools[t.pool].endpoints)
        target = next(served, None)
        masked = [name for name in LOADING if target and name in target.set and name in spec.parameters]
        if masked:
            raise CollectError(
                f"{', '.join(masked)} is set by {feature}'s own target of {endpoint}, too, so a load test "
                "would measure that (hint: waive capacity_mapping, by two people)"
            )


def _worth(capacity: CapacitySection) -> tuple[float, float] | None:
    """Tokens a minute a unit is said to carry, where both are declared."""
    worth = capacity.per_unit
    if worth is None or not worth.input_tpm or not worth.output_tpm:
        return None
    return worth.input_tpm, worth.output_tpm


def _round_robin(judges: list[str], found: list[pairs.Pair]) -> dict[str, list[pairs.Pair]]:
    """Each pair to one judge, the same for both answers, by the pair's own hash."""
    parts: dict[str, list[pairs.Pair]] = {name: [] for name in judges}
    for pair in found:
        parts[judges[math.floor(pairs.draw_of("judge", pair.pair_id) * len(judges))]].append(pair)
    return parts


async def read_labels(log: EventLog, migration: str) -> quality.Labels:
    """Labels by pair: (incumbent's score, candidate's score); several raters are averaged."""
    given: dict[str, list[tuple[float, float]]] = {}
    for event in await log.read(f"labels/{migration}"):
        for label in event.payload["labels"]:
            given.setdefault(label["id"], []).append((label["incumbent"], label["candidate"]))
    return {
        pair_id: (sum(a for a, _ in scores) / len(scores), sum(b for _, b in scores) / len(scores))
        for pair_id, scores in given.items()
    }
