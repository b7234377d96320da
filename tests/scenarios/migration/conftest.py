"""A whole deployment in memory, in virtual time: gateways that obey, collectors that answer, a log."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crossfade.control.evidence.gateway_admin import AdminError
from crossfade.control.migration.guard.samples import Sample
from crossfade.control.migration.ports import Candidate, CollectError, Ports
from crossfade.control.migration.service import Migrations
from crossfade.control.migration.unread import Unread
from crossfade.control.store.aside import Aside
from crossfade.control.store.eventlog import ConflictError, EventLog, StoreError
from crossfade.domain.attempt import ArmCount, ArmKind, FeatureEffect
from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration import (
    ArmHealth,
    FlagBound,
    Frozen,
    GatewayView,
)
from crossfade.version import __version__

DOCUMENT = {
    "migration": "move",
    "features": ["recap"],
    "incumbent": "old",
    "candidate": "new",
    "compliance": {"signoffs": ["legal"]},
    "rollout": {
        "guards": ["errors"],  # this world has counters, and records only where a test makes them
        "stages": ["1%", "25%", "100%"],
        "bake": "10s",
        "soak": "10s",
        "at_least": 20,
        "weak_up_to": "100%",
    },
}


class DyingLog(EventLog):
    """The real log, which also mirrors its lines for asserting, and can play a killed process."""

    def __init__(self, engine, clock):
        super().__init__(engine, clock)
        self.lines = []
        self.is_away = False
        self.is_unreadable = False
        self.dies_after = None  # no append beyond this many lines

    async def read(self, stream=None, after=0):
        if self.is_away:
            raise ConnectionError("the database is away")
        if self.is_unreadable:
            raise StoreError("row 7 was changed")
        return await super().read(stream, after)

    async def acquire_lease(self, name, holder, ttl_s):
        if self.is_away:
            raise ConnectionError("the database is away")
        return await super().acquire_lease(name, holder, ttl_s)

    async def append(self, stream, kind, payload, *, actor, reason, expected_seq=None):
        if self.dies_after is not None and len(self.lines) >= self.dies_after:
            raise Killed
        if self.is_away:
            raise ConnectionError("the database is away")
        line = await super().append(
            stream, kind, payload, actor=actor, reason=reason, expected_seq=expected_seq
        )
        self.lines.append(line)
        return line


class Killed(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Outcome:
    version: int
    missing: tuple[str, ...]
    verified: bool


@dataclass
class Clouds:
    """Gateways, publisher, counters, collectors and people at once: one small world."""

    now: float = 1_000_000.0
    laid: dict[str, Any] = field(default_factory=dict)
    published: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    counts: list[ArmCount] = field(default_factory=list)
    local: str | None = None
    deaf: bool = False
    silent_s: float = 0.5
    bad_share: float = 0.0
    print: str = "f" * 64
    records: list[SignedEvidence] = field(default_factory=list)
    verdicts: dict[EvidenceKind, Verdict] = field(default_factory=dict)
    broken: set[EvidenceKind] = field(default_factory=set)
    collected: list[tuple[EvidenceKind, bool, bool]] = field(default_factory=list)
    bundles: int = 0
    die_in_publish: bool = False
    sampled: list[Sample] = field(default_factory=list)
    trouble: str | None = None
    shielded: float = 0.0  # of the incumbent's attempts fail
    attempts_failed: float = 0.0  # of the candidate's
    frozen: Frozen | None = None
    shown: dict[str, Any] = field(default_factory=dict)
    past: list[dict[str, Any]] = field(default_factory=list)  # what was shown before
    flag: FlagBound | None = None
    cuts: list[tuple[str, str, float]] = field(default_factory=list)
    lies: bool = False  # acknowledges, and goes on as before
    set_by_s: float = 0.0
    killed: set[str] = field(default_factory=set)
    unreadable: str | None = None
    lasts_s: float = 1e6
    lasting_s: dict[EvidenceKind, float] = field(default_factory=dict)
    software: str = __version__  # that walks the drills
    cut_off: bool = False  # control hears nothing of it, and waits for nobody

    def clock(self):
        return self.now

    def steady(self):
        return self.now - self.set_by_s

    def set_clock(self, seconds):
        """Forward, or back if negative: nothing lasts any longer for it."""
        self.now += seconds
        self.set_by_s += seconds

    # publisher
    def overlays(self):
        return dict(self.laid)

    async def publish(self, change, *, actor, reason):
        await asyncio.sleep(0)
        self.published.append((reason, dict(change)))
        for feature, overlay in change.items():
            if overlay is None:
                self.laid.pop(feature, None)
            else:
                self.laid[feature] = overlay
        if self.die_in_publish:
            raise Killed
        if not (self.deaf or self.lies or self.cut_off):
            self.tell()
        await asyncio.sleep(0)
        return Outcome(len(self.published), ("g1",) if self.deaf else (), not (self.deaf or self.lies))

    def tell(self):
        """The gateway does what is laid."""
        self.shown = dict(self.laid)
        self.past.append(self.shown)

    # counters
    def views(self, features):
        effects = []
        for feature in features:
            overlay = self.shown.get(feature)
            live = overlay.rollout if overlay is not None else None
            is_live = live is not None and self.local is None and feature not in self.killed
            share = live.share if is_live else 0.0
            effects.append(
                FeatureEffect(
                    feature,
                    share,
                    live.epoch if live else None,
                    self.local if live else None,
                    feature in self.killed,
                )
            )
        return (GatewayView("g1", self.silent_s, tuple(effects)),)

    def since(self, migration, cursor):
        return len(self.counts), self.counts[cursor:] if cursor >= 0 else []

    def traffic(self, requests=1000):
        """A second of traffic by the overlay laid now."""
        self.now += 1.0
        overlay = self.shown.get("recap")
        live = overlay.rollout if overlay is not None else None
        if live is None or not live.share:
            return
        if self.local is not None:
            return
        candidate, control = round(requests * live.share), round(requests * live.baseline_share)
        bad = round(candidate * self.bad_share)
        self.counts.append(ArmCount("recap", ArmKind.CANDIDATE, "move", live.share, candidate, 0, bad, bad))
        if control:
            self.counts.append(ArmCount("recap", ArmKind.BASELINE, "move", live.share, control, 0, 0, 0))

    def samples(self, migration, cursor):
        return len(self.sampled), self.sampled[cursor:] if cursor >= 0 else []

    def failures(self, features):
        return sum(count.first_hard + count.caller_errors for count in self.counts)

    def incident(self, features, errors_at_most):
        return self.trouble

    def health(self, features, over_s):
        """A second: the candidate is asked 20 times, the incumbent five while its breaker spares it."""
        asked, total = round(5 * over_s), round(20 * over_s)
        failed = round(total * self.attempts_failed)
        ours = ArmHealth(total, failed=failed, voices=failed)
        failed = round(asked * self.shielded)
        spared = total - asked if self.shielded else 0
        return {feature: (ours, ArmHealth(total, spared, failed, voices=failed)) for feature in features}

    def is_well(self, features, over_s):
        return not any(theirs.is_spotted for _, theirs in self.health(features, over_s).values())

    async def freeze(self, features):
        return self.frozen

    # an external flag system
    def bound(self, migration):
        return self.flag

    # business metrics
    def unread(self, spec):
        return self.unreadable

    # the gateway's admin port
    def names(self):
        return ("g1",)

    async def kill(self, gateway, feature, *, is_killed):
        if self.deaf:
            raise AdminError("no route (hint: look)")
        (self.killed.add if is_killed else self.killed.discard)(feature)

    async def share(self, gateway, feature):
        return self.views((feature,))[0].effects[0].candidate_share

    def uncallable(self):
        return ()

    async def rollouts(self, gateway):
        if self.deaf:
            raise AdminError("no route (hint: look)")
        laid = {feature: overlay.rollout for feature, overlay in self.shown.items()}
        return {feature: rollout for feature, rollout in laid.items() if rollout is not None}

    async def cut(self, gateway, feature):
        if self.deaf:
            raise AdminError("no route (hint: look)")
        self.cuts.append((gateway, feature, self.shown[feature].rollout.share))
        return 3

    # evidence and collectors
    async def of(self, migration, *, anew=False):
        return tuple(self.records)

    async def proofs(self, migration):
        return {"keys": {"Ann": [{"keyid": "k"}]}, "artefacts": {"ab" * 32: "I approve.\r\n"}}

    async def look(self, spec):
        return Candidate(("new-1",), self.print, ("security",), 8.0)

    async def collect(self, task):
        overlay = self.laid.get("recap")
        self.collected.append(
            (task.kind, overlay is not None, overlay is not None and overlay.shadow is not None)
        )
        await asyncio.sleep(0)
        if task.kind in self.broken:
            raise CollectError("no route (hint: look)")
        said = {
            EvidenceKind.CAPACITY_MAPPING: {"interval": [4, 5]},
            EvidenceKind.DRILL: {"software": self.software},
        }
        observed = said.get(task.kind, {})
        return self.add(task.kind, task.subject, task.fingerprint, observed)

    def add(self, kind, subject, fingerprint, observed, signer="memory"):
        record = Evidence(
            evidence_id=f"e{len(self.records)}",
            kind=kind,
            migration="move",
            subject=subject,
            fingerprint=fingerprint,
            collector="memory",
            method="memory",
            observed=observed,
            verdict=self.verdicts.get(kind, Verdict.PASS),
            collected_unix_s=self.now,
            expires_unix_s=self.now + self.lasting_s.get(kind, self.lasts_s),
            artefact_sha256=None,
            signer=signer,
        )
        signed = SignedEvidence(record, {}, True)
        self.records.append(signed)
        return signed

    # people
    async def sign(self, request):
        return self.add(
            EvidenceKind.SIGNOFF,
            request.spec.candidate,
            request.fingerprint,
            {"role": request.role, "name": request.person},
            request.person,
        )

    async def waive(self, request):
        return self.add(
            EvidenceKind.WAIVER, request.role, request.fingerprint, {"gate": request.role}, request.person
        )

    async def attest(self, request, facts):
        return tuple(
            self.add(
                EvidenceKind.ATTESTATION,
                fact,
                request.fingerprint,
                {"role": request.role, "name": request.person},
                request.person,
            )
            for fact in facts
        )

    async def label_queue(self, spec):
        return []

    async def label(self, spec, labels, rater):
        return len(labels)

    async def write(self, migration, files):
        self.bundles += 1
        return dict.fromkeys(files, "0" * 64)


@dataclass
class World:
    clouds: Clouds
    log: DyingLog
    service: Migrations

    def restart(self):
        """A new control process over the same log and gateways."""
        self.service = service_of(self.clouds, self.log)

    def unread(self):
        """What a control process has that was started while the log is away."""
        return unread_of(self.clouds, aside_of(self.log))

    def elsewhere(self):
        """A control process on another machine, over the same log and gateways."""
        return World(self.clouds, self.log, service_of(self.clouds, self.log, "-elsewhere"))

    async def turns(self, count, *, requests=1000):
        for _ in range(count):
            self.clouds.traffic(requests)
            await self.service.turn_all()
            for _ in range(5):
                await asyncio.sleep(0)

    async def signed(self):
        await self.started()
        for role, person in (("legal", "Ann"), ("security", "Bo")):
            await self.service.sign("move", role=role, person=person, statement="approved")

    async def started(self):
        await self.service.start(DOCUMENT, actor="ann")

    async def until(self, state, *, most=300, requests=1000):
        for _ in range(most):
            status = await self.service.status("move")
            if status["state"] == state:
                return status
            await self.turns(1, requests=requests)
        raise AssertionError(f"never {state}: {await self.service.status('move')}")

    async def until_share(self, share, *, most=300):
        for _ in range(most):
            status = await self.service.status("move")
            if status["share"] == share:
                return status
            await self.turns(1)
        raise AssertionError(f"never {share}: {await self.service.status('move')}")

    def kinds(self):
        return [line.payload.get("action", line.kind) for line in self.log.lines]


def aside_of(log, machine=""):
    return Aside(Path(log._engine.url.database).with_suffix(f".aside{machine}"))


def service_of(clouds, log, machine=""):
    many = (clouds,) * 7
    ports = Ports(
        log,
        *many,
        clouds.clock,
        ConflictError,
        admin=clouds,
        flags=clouds,
        metrics=clouds,
        steady=clouds.steady,
        aside=aside_of(log, machine),
    )
    return Migrations(ports, unread_of(clouds, ports.aside), "holder", asyncio.sleep)


def unread_of(clouds, aside):
    return Unread(clouds, aside, clouds.clock, clouds.steady, asyncio.sleep)


@pytest.fixture
async def world(tmp_path):
    clouds = Clouds()
    log = await DyingLog.open(f"sqlite:///{tmp_path}/control.db", clouds.clock)
    yield World(clouds, log, service_of(clouds, log))
    await log.close()


@pytest.fixture
async def make_world(tmp_path):
    """Several worlds in one test, each over a database of its own."""
    logs = []

    async def make(number):
        clouds = Clouds()
        log = await DyingLog.open(f"sqlite:///{tmp_path}/control-{number}-{len(logs)}.db", clouds.clock)
        logs.append(log)
        return World(clouds, log, service_of(clouds, log))

    yield make
    for log in logs:
        await log.close()


@pytest.fixture
def killed():
    return Killed
