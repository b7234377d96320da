"""Evidence in a rehearsal: what can be measured in virtual time is, the rest is assumed and said so.

Measured by the production tests: latency parity (from shadow pairs), the shadow confirmation, the
rollback drill. Assumed to pass after the time it would take: people's signatures, posture, the load
test, the quality verdict.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from crossfade.control.evidence.pairs import Pair
from crossfade.control.evidence.quality import latency_parity, worst
from crossfade.control.migration.collecting.collectors import (
    LEAST_SHADOWS,
    MEASURED_DAYS,
    POSTURE_HOURS,
    SHADOW_OVERFLOW,
)
from crossfade.control.migration.collecting.drill import DrillParts, run_drill
from crossfade.control.migration.ports import SignRequest, Task
from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.sim.rehearsal.world.rows import CONFIG, HARD, NONE, OK, OVERLOAD, Rows

POSTURE_S = 60.0
PROBES = 8  # of a load test: bracketing and bisection over an ordinary range of units
QUALITY_PAIRS = 600  # certify parity within five points when it is there
LABELS_PER_HOUR = 60.0  # of one person who reads two answers a minute
MOST_PAIRS = 20_000
SIGNED_DAYS = 90.0
DAY_S = 86400.0
LOOK_S = 60.0

Pause = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Shadows:
    """What the copies sent beside requests said, since the migration began."""

    requests: int = 0
    overload: int = 0
    failed: int = 0
    pairs: list[Pair] = field(default_factory=list)

    def observe(self, rows: Rows, features: tuple[str, ...], epoch_unix_s: float) -> None:
        """Take in the rows that had a shadow."""
        copied = rows[rows["shadow"] != NONE]
        self.requests += int(copied.size)
        self.overload += int((copied["shadow_class"] == OVERLOAD).sum())
        self.failed += int(((copied["shadow_class"] == HARD) | (copied["shadow_class"] == CONFIG)).sum())
        whole = copied[(copied["shadow_class"] == OK) & (copied["first_class"] == OK)]
        for row in whole[: max(0, MOST_PAIRS - len(self.pairs))]:
            number, unix_s = len(self.pairs), epoch_unix_s + float(row["began"])
            times = float(row["first_ms"]), float(row["shadow_ms"])
            feature = features[row["feature"]]
            self.pairs.append(Pair(f"p{number}", feature, f"u{row['unit']}", "", "", "", *times, unix_s))


@dataclass(slots=True)
class RehearsedEvidence:
    """`ports.EvidencePort`, `CollectorsPort` and `PeoplePort` in virtual time."""

    clock: Callable[[], float]
    pause: Pause
    drill: DrillParts
    shadows: Shadows = field(default_factory=Shadows)
    records: list[SignedEvidence] = field(default_factory=list)

    async def of(self, migration: str, *, anew: bool = False) -> tuple[SignedEvidence, ...]:  # noqa: ARG002 - always
        """See `EvidencePort`."""
        return tuple(signed for signed in self.records if signed.evidence.migration == migration)

    async def proofs(self, migration: str) -> dict[str, Any]:
        """See `EvidencePort`: nothing is signed in a rehearsal."""
        raise LookupError(f"no evidence of {migration} is signed in a rehearsal")

    async def collect(self, task: Task) -> SignedEvidence:
        """See `CollectorsPort`."""
        match task.kind:
            case EvidenceKind.POSTURE:
                await self.pause(POSTURE_S)
                return self._add(task, Verdict.PASS, "assumed", {"checks": [], "reason": "assumed to hold"})
            case EvidenceKind.CAPACITY_MAPPING:
                await self.pause(PROBES * (task.spec.capacity.warmup_s + task.spec.capacity.probe_s))
                observed = {"interval": None, "reason": f"assumed: {PROBES} probes found enough units"}
                return self._add(task, Verdict.PASS, "assumed", observed)
            case EvidenceKind.SHADOW_CONFIRMATION:
                return await self._confirm(task)
            case EvidenceKind.QUALITY_PARITY:
                return await self._quality(task)
            case EvidenceKind.LATENCY_PARITY:
                return await self._latency(task)
            case _:
                result = await run_drill(self.drill, task)
                return self._add(task, result.verdict, "rollback drill on the engine", result.observed)

    async def sign(self, request: SignRequest) -> SignedEvidence:
        """See `PeoplePort`."""
        observed = {"role": request.role, "name": request.person}
        return self._put(
            request.spec.name, EvidenceKind.SIGNOFF, request.spec.candidate, request.fingerprint,
            (Verdict.PASS, "assumed", observed, request.person),
        )  # fmt: skip

    async def waive(self, request: SignRequest) -> SignedEvidence:
        """See `PeoplePort`: nothing is waived in a rehearsal."""
        raise LookupError(f"{request.role} is not waived in a rehearsal")

    async def attest(self, request: SignRequest, facts: tuple[str, ...]) -> tuple[SignedEvidence, ...]:
        """See `PeoplePort`: the rehearsed posture leaves nothing to attest."""
        raise LookupError(f"{request.role} attests nothing in a rehearsal: {', '.join(facts)}")

    async def label_queue(self, spec: MigrationSpec) -> list[dict[str, Any]]:
        """See `PeoplePort`: the quality verdict is assumed."""
        raise LookupError(f"nothing of {spec.name} waits for a label in a rehearsal")

    async def label(self, spec: MigrationSpec, labels: list[dict[str, Any]], rater: str) -> int:
        """See `PeoplePort`."""
        raise LookupError(f"{spec.name} takes no label of {rater} in a rehearsal: {len(labels)}")

    async def _confirm(self, task: Task) -> SignedEvidence:
        while self.shadows.requests < LEAST_SHADOWS:
            await self.pause(LOOK_S)
        seen = self.shadows
        bad = (seen.overload + seen.failed) / seen.requests
        observed = {
            "requests": seen.requests,
            "reason": f"{seen.requests} shadow requests, {seen.overload} refused, {seen.failed} failed",
        }
        verdict = Verdict.PASS if bad <= SHADOW_OVERFLOW else Verdict.FAIL
        return self._add(task, verdict, "shadow traffic of the rehearsal", observed)

    async def _quality(self, task: Task) -> SignedEvidence:
        began = self.clock()
        while len(self.shadows.pairs) < QUALITY_PAIRS:
            await self.pause(LOOK_S)
        labels = min(task.spec.quality.labels_at_most, round(QUALITY_PAIRS * task.spec.quality.label_rate))
        await self.pause(max(0.0, began + labels / LABELS_PER_HOUR * 3600.0 - self.clock()))
        observed = {"reason": f"assumed: parity on {QUALITY_PAIRS} pairs with {labels} labels"}
        return self._add(task, Verdict.PASS, "assumed", observed)

    async def _latency(self, task: Task) -> SignedEvidence:
        began = self.clock()
        while True:
            found = self.shadows.pairs
            metrics = [
                latency_parity(found, name, margin) for name, margin in task.spec.quality.latency.items()
            ]
            verdict = worst([metric["verdict"] for metric in metrics])
            if verdict is not Verdict.INCONCLUSIVE or len(found) >= MOST_PAIRS:
                break
            await self.pause(max(10 * LOOK_S, 0.25 * (self.clock() - began)))
        said = "; ".join(f"{m['name']} x{m['ratio']:.2f}, at most x{m['upper']:.2f}" for m in metrics)
        return self._add(task, verdict, "quantile ratios of the rehearsal's pairs", {"reason": said})

    def _add(self, task: Task, verdict: Verdict, method: str, observed: dict[str, Any]) -> SignedEvidence:
        return self._put(
            task.spec.name,
            task.kind,
            task.subject,
            task.fingerprint,
            (verdict, method, observed, "rehearsal"),
        )

    def _put(
        self,
        migration: str,
        kind: EvidenceKind,
        subject: str,
        fingerprint: str,
        said: tuple[Verdict, str, dict[str, Any], str],
    ) -> SignedEvidence:
        verdict, method, observed, signer = said
        days = {EvidenceKind.SIGNOFF: SIGNED_DAYS, EvidenceKind.POSTURE: POSTURE_HOURS / 24.0}.get(
            kind, MEASURED_DAYS
        )
        record = Evidence(
            evidence_id=f"rehearsed-{len(self.records) + 1}",
            kind=kind,
            migration=migration,
            subject=subject,
            fingerprint=fingerprint,
            collector="rehearsal",
            method=method,
            observed=observed,
            verdict=verdict,
            collected_unix_s=self.clock(),
            expires_unix_s=self.clock() + days * DAY_S,
            artefact_sha256=None,
            signer=signer,
        )
        self.records.append(SignedEvidence(record, {}, True))
        return self.records[-1]
