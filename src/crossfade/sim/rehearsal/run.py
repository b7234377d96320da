"""The rehearsal itself: virtual time, the production controller, faults at chosen stages, and people who act.

The controller looks after every failed request of the candidate, and else often enough that between
two looks an arm gets about ten requests: a live one looks twice a second, which a week has no time for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from crossfade.config.features import Config
from crossfade.control.migration import history
from crossfade.control.migration.controller import Controller
from crossfade.control.migration.effects import Look
from crossfade.control.migration.guard.lately import sum_of
from crossfade.control.migration.history import Kind, Verb
from crossfade.control.migration.ports import SignRequest
from crossfade.domain.migration import (
    ArmHealth,
    Ask,
    Hold,
    MigrationState,
)
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.sim.rehearsal.clouds.incident import Incident
from crossfade.sim.rehearsal.clouds.law import Clouds, Fault
from crossfade.sim.rehearsal.traffic.arrivals import CHUNK_S, Demand
from crossfade.sim.rehearsal.world.deployment import Deployment
from crossfade.sim.rehearsal.world.gateway import VirtualGateway
from crossfade.sim.rehearsal.world.log import MemoryLog
from crossfade.sim.rehearsal.world.rows import CANDIDATE, FAILOVER, Reading, Rows, bad_first

EPOCH_UNIX_S = 1_767_600_000.0  # Monday 2026-01-05 08:00 UTC, so that freeze windows mean something
CALM_LOOK_S, PROMOTED_LOOK_S = 60.0, 300.0
ARM_REQUESTS_A_LOOK = 10.0
QUICK_LOOK_S, SLOW_LOOK_S = 1.0, 30.0
SETTLE_S = 120.0  # of a stage before a fault hits it
BOTH_AT_MOST_S = 4 * 3600.0  # of an incident that hits both sides: so long it is watched
CAUGHT_WITHIN_S = 12 * 3600.0  # a fault the guards have not seen by then is not caught
SETTLES = 1000  # turns of the event loop until a collection either waits for virtual time or is done

Report = Callable[[float, str], None]  # seconds since the start, and a line for people


@dataclass(frozen=True, slots=True)
class Planned:
    """An incident to inject when the candidate has been at `share` for a while."""

    incident: Incident
    share: float
    in_both: bool = False


@dataclass(frozen=True, slots=True)
class People:
    """How long people take: to sign when asked, to mend after a rollback, to approve weak evidence."""

    sign_after_s: float = 4 * 3600.0
    mend_after_s: float = 3600.0
    approve_after_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is rehearsed. `reading`: how requests become what control is told."""

    config: Config
    spec: MigrationSpec
    clouds: Clouds
    demand: Demand
    faults: tuple[Planned, ...]
    people: People
    reading: Reading
    ends_with_faults: bool = False


@dataclass(slots=True)
class Struck:
    """A planned fault that has begun, and what came of it. Times in seconds since the start."""

    planned: Planned
    fault: Fault
    outcome: str = ""
    reason: str = ""
    decided_s: float | None = None
    highest_share: float = 0.0
    is_felt: bool = False  # the incumbent was in trouble by the production rule
    incumbent: ArmHealth = field(default_factory=ArmHealth)
    candidate_requests: int = 0
    harmed: int = 0
    callers: int = 0


@dataclass(slots=True)
class Totals:
    """Sums over all requests. `by_hour`: requests, of the candidate, bad of it, callers' errors."""

    requests: int = 0
    candidate: int = 0
    harmed: int = 0
    caller_errors: int = 0
    candidate_errors: int = 0
    failovers: int = 0
    by_hour: dict[int, list[int]] = field(default_factory=dict)
    tokens: dict[int, list[int]] = field(default_factory=dict)  # endpoint: requests, input, output


class Rehearsal:
    """One run. After `run`, `lines`, `struck` and `totals` say what happened."""

    def __init__(self, plan: Plan, report: Report) -> None:
        self.plan = plan
        self.report = report
        gateway = VirtualGateway(
            plan.config, plan.clouds, plan.demand, plan.spec.features, plan.reading.epoch_unix_s
        )
        self.world = Deployment(gateway, plan.reading)
        self.log = MemoryLog(self.world.clock)
        self.controller = Controller(plan.spec.name, self.world.ports(self.log), self._no_bundle)
        self.waiting = list(plan.faults)
        self.struck: list[Struck] = []
        self.totals = Totals()
        self.asked_s: dict[str, float] = {}
        self.approvals = 0
        self.turns = 0
        self.seen = ""

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.world.gateway.now

    async def run(self) -> MigrationState:
        """Until the days are over, the migration is closed, or every fault is decided (if so planned)."""
        payload = {"spec": asdict(self.plan.spec), "salt": f"{self.plan.spec.name}-{self.plan.demand.seed}"}
        await self._append(Kind.STARTED, payload, "started")
        look = await self._turn()
        while self.now < self.plan.demand.span_s and look.state.closed_unix_s is None:
            self._pass(
                min(self.now + self._look_s(look.state), self.world.timers.due(), self.plan.demand.span_s)
            )
            if self.world.timers.ring(self.now):
                await asyncio.sleep(0)
            look = await self._turn()
            await self._people(look)
            self._strike(look.state)
            self._judge(look.state)
            if self.plan.ends_with_faults and not self.waiting and all(one.outcome for one in self.struck):
                break
        await self.controller.stop()
        return look.state

    def _pass(self, until: float) -> None:
        """Let requests come and go until then, or until one of the candidate's fails."""
        while self.now < until:
            before, goal = self.now, min(until, (self.now // CHUNK_S + 1) * CHUNK_S)
            rows = self.world.gateway.advance(until)
            self._count(rows)
            draw = np.random.default_rng([self.plan.demand.seed, 4, int(before * 1000)])
            health = self.world.observe(rows, draw.random((rows.size, 2)))
            if self.struck and not self.struck[-1].outcome:
                self.struck[-1].incumbent = sum_of((self.struck[-1].incumbent, health))
            if self.now < goal:
                return

    async def _turn(self) -> Look:
        for _ in range(SETTLES):
            running = self.controller.running
            if running is None or running.task.done() or self.world.timers.waiting:
                break
            await asyncio.sleep(0)
        self.turns += 1
        look = await self.controller.turn()
        line = f"{look.step} {look.state.share:.0%}: {look.action.reason}"
        if line != self.seen:
            self.seen = line
            self.report(self.now, line)
        return look

    def _look_s(self, state: MigrationState) -> float:
        if state.promoted_unix_s is not None:
            return PROMOTED_LOOK_S
        if not state.share:
            return CALM_LOOK_S
        demand = self.plan.demand
        rate = float(demand.trace.rates[int(self.now / demand.trace.window_s) % demand.trace.rates.size])
        per_s = max(1e-9, rate * demand.kept * state.share)
        return min(SLOW_LOOK_S, max(QUICK_LOOK_S, float(np.floor(ARM_REQUESTS_A_LOOK / per_s))))

    async def _people(self, look: Look) -> None:
        """Sign when asked, resume after the mend, approve weak evidence: each after a while."""
        people, state = self.plan.people, look.state
        if isinstance(look.action, Ask) and self._has_waited("sign", people.sign_after_s):
            candidate = await self.controller.ports.candidate.look(state.spec)
            for role in look.action.roles:
                wish = SignRequest(state.spec, role, f"person for {role}", "approved", candidate.fingerprint)
                await self.world.evidence.sign(wish)
        is_back = state.rolled_back is not None and state.pending is None
        if is_back and self._has_waited(f"mend {state.epoch}", people.mend_after_s):
            await self._append(Kind.COMMAND, {"verb": Verb.RESUME.value}, "mended")
        is_weak = isinstance(look.action, Hold) and "needs a person's `advance`" in look.action.reason
        key = f"advance {state.epoch} {state.stage}"
        if (
            is_weak
            and state.approvals.advance_unix_s is None
            and self._has_waited(key, people.approve_after_s)
        ):
            self.approvals += 1
            await self._append(Kind.COMMAND, {"verb": Verb.ADVANCE.value}, "approved by a person")

    def _has_waited(self, what: str, seconds: float) -> bool:
        return self.now >= self.asked_s.setdefault(what, self.now) + seconds

    def _strike(self, state: MigrationState) -> None:
        """Begin the next planned fault when its stage is reached; mend the candidate's after a rollback."""
        if self.waiting and state.stage and all(one.outcome for one in self.struck):
            planned = self.waiting[0]
            began = (state.stage_began_unix_s or 0.0) - self.world.gateway.epoch_unix_s
            if state.share >= planned.share and self.now >= began + SETTLE_S:
                self.waiting.pop(0)
                pools = [self.plan.spec.candidate, *([self.plan.spec.incumbent] if planned.in_both else [])]
                endpoints = frozenset(e for pool in pools for e in self.plan.config.pools[pool].endpoints)
                fault = Fault(planned.incident, endpoints, self.now, planned.incident.worst_s)
                self.struck.append(Struck(planned, fault, highest_share=state.share))
                self.world.gateway.strike([fault])
                self.report(self.now, f"fault: {planned.incident.incident_id} at {state.share:.0%}")

    def _judge(self, state: MigrationState) -> None:
        """Say what came of the fault under way."""
        if not self.struck or self.struck[-1].outcome:
            return
        one = self.struck[-1]
        is_raised = state.share > one.highest_share
        one.highest_share = max(one.highest_share, state.share)
        incident = state.incident
        since = one.fault.begin_s + self.world.gateway.epoch_unix_s
        one.is_felt |= incident is not None and (incident.ended_unix_s or since) >= since
        passed_s = self.now - one.fault.begin_s
        if state.rolled_back is not None:
            one.outcome, one.reason, one.decided_s = "rolled back", state.rolled_back, self.now
        elif one.planned.in_both and is_raised:
            self._judge_raised(one)
        elif self.now >= one.fault.end_s or passed_s >= (
            BOTH_AT_MOST_S if one.planned.in_both else CAUGHT_WITHIN_S
        ):
            one.outcome = "held" if one.planned.in_both else "not caught"
            one.reason = self.controller.look.action.reason if self.controller.look is not None else ""
            one.decided_s = self.now
        if one.outcome:
            self.world.gateway.strike([])
            self.report(self.now, f"{one.planned.incident.incident_id}: {one.outcome}, {one.harmed} harmed")

    def _judge_raised(self, one: Struck) -> None:
        """A share was raised in an incident of both sides: too early, unless it was over for long enough."""
        since_s = self.now - one.fault.begin_s + one.fault.skipped_s
        is_over = not one.planned.incident.was_on(since_s, self.plan.spec.rollout.calm_s)
        one.outcome = "held" if is_over else "went on" if one.is_felt else "not felt"
        one.reason = "over for longer than the calm after it" if is_over else "a share was raised under it"
        one.decided_s = self.now

    def _count(self, rows: Rows) -> None:
        totals = self.totals
        ours = rows[rows["arm"] == CANDIDATE]
        bad = bad_first(ours) | (ours["is_bad"] > 0) | (ours["role"] == FAILOVER) | (ours["last_class"] > 0)
        totals.requests += int(rows.size)
        totals.candidate += int(ours.size)
        totals.harmed += int(bad.sum())
        totals.caller_errors += int(rows["caller_error"].sum())
        totals.candidate_errors += int(ours["caller_error"].sum())
        totals.failovers += int((rows["role"] == FAILOVER).sum())
        began, ours_began = rows["began"] // 3600.0, ours["began"] // 3600.0
        for hour in sorted(set(began.tolist())):
            at, mine = began == hour, ours_began == hour
            row = totals.by_hour.setdefault(int(hour), [0, 0, 0, 0])
            counts = at.sum(), mine.sum(), (bad & mine).sum(), rows["caller_error"][at].sum()
            row[:] = [a + int(b) for a, b in zip(row, counts, strict=True)]
        for place in sorted(set(rows["served"].tolist())):
            served = rows[rows["served"] == place]
            row = totals.tokens.setdefault(place, [0, 0, 0])
            sums = served.size, served["input"].sum(dtype=np.int64), served["output"].sum(dtype=np.int64)
            row[:] = [a + int(b) for a, b in zip(row, sums, strict=True)]
        if self.struck and not self.struck[-1].outcome:
            one, since = self.struck[-1], ours["began"] >= self.struck[-1].fault.begin_s
            one.candidate_requests += int(since.sum())
            one.harmed += int((bad & since).sum())
            one.callers += int(ours["caller_error"][since].sum())

    async def _append(self, kind: Kind, payload: Mapping[str, object], reason: str) -> None:
        stream = history.stream_of(self.plan.spec.name)
        await self.log.append(stream, kind, dict(payload), actor="rehearsal", reason=reason)

    async def _no_bundle(self, _: str) -> dict[str, str]:
        return {}
