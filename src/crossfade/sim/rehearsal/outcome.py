"""What a rehearsal found, as one JSON document: the same bytes for the same inputs and seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from crossfade.control.migration.history import Kind
from crossfade.control.migration.report.document import log_row
from crossfade.control.migration.report.status import harm_of, state_name, timeline_of
from crossfade.domain.migration import MigrationState
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.sim.rehearsal.clouds.law import BAD_FIRST_MS, KINDS, Fault
from crossfade.sim.rehearsal.run import Plan, Rehearsal, Struck
from crossfade.sim.rehearsal.traffic.arrivals import CHUNK_S
from crossfade.sim.rehearsal.world.gateway import VirtualGateway

NOTICED_S = 1800.0  # a person looks at a dashboard, believes it, and acts
HARMLESS = frozenset({"client_cancelled", "content_filtered"})
ASSUMED = (
    "people sign when asked after the time given; posture, the load test and the quality verdict pass",
    "endpoints are never full: latency and errors follow the law, not the load",
    "every endpoint answers by the same law unless --clouds says otherwise",
)

Prices = Callable[[str, int, int], float | None]  # endpoint, input and output tokens to USD


def document_of(rehearsal: Rehearsal, state: MigrationState, prices: Prices) -> dict[str, Any]:
    """Everything the report shows. Times are seconds since the rehearsal began."""
    plan, totals, epoch = rehearsal.plan, rehearsal.totals, rehearsal.plan.reading.epoch_unix_s
    look = rehearsal.controller.look
    promoted = None if state.promoted_unix_s is None else state.promoted_unix_s - epoch
    demand, lines = plan.demand, rehearsal.log.lines
    chosen = tuple(dict.fromkeys(text for one in plan.faults for text in one.incident.chosen))
    return {
        "migration": plan.spec.name,
        "incumbent": plan.spec.incumbent,
        "candidate": plan.spec.candidate,
        "parameters": plan.spec.shown_parameters,
        "seed": demand.seed,
        "trace": {"source": demand.trace.source, "form": demand.trace.form, "kept": demand.kept},
        "state": state_name(state, look.step if look is not None else "draft"),
        "next": look.action.reason if look is not None else "",
        "simulated_s": rehearsal.now,
        "seconds_to_promotion": promoted,
        "requests": totals.requests,
        "candidate_requests": totals.candidate,
        "candidate_requests_harmed": totals.harmed,
        "callers_saw_an_error": totals.caller_errors,
        "callers_saw_an_error_on_the_candidate": totals.candidate_errors,
        "saved_by_a_backup": totals.failovers,
        "approvals_by_a_person": rehearsal.approvals,
        "usd": _money(rehearsal, prices),
        "faults": [_fault(rehearsal, one) for one in rehearsal.struck],
        "faults_not_reached": [one.incident.incident_id for one in rehearsal.waiting],
        "assumed": [*ASSUMED, *chosen],
        "timeline": [{**point, "unix_s": point["unix_s"] - epoch} for point in timeline_of(lines)],
        "harm": [{**point, "unix_s": point["unix_s"] - epoch} for point in harm_of(lines)],
        "hours": [[hour, *counts] for hour, counts in sorted(totals.by_hour.items())],
        "log": [
            {**log_row(line), "unix_s": line.unix_s - epoch} for line in lines if line.kind != Kind.COUNTED
        ],
    }


def _money(rehearsal: Rehearsal, prices: Prices) -> dict[str, float | None]:
    """USD of tokens by endpoint; null where no price is known, or units are bought by the hour."""
    names, spent = rehearsal.plan.clouds.names, {}
    for place, (requests, given, wanted) in sorted(rehearsal.totals.tokens.items()):
        if place < len(names) and requests:
            usd = prices(names[place], given, wanted)
            spent[names[place]] = None if usd is None else round(usd, 6)
    return spent


def _fault(rehearsal: Rehearsal, one: Struck) -> dict[str, Any]:
    failed = one.incumbent.kept_away + one.incumbent.failed
    by_clock, noticed = _by_the_clock(rehearsal.plan, one)
    return {
        "incident": one.planned.incident.incident_id,
        "title": one.planned.incident.title,
        "source": one.planned.incident.source,
        "in": "both" if one.planned.in_both else "candidate",
        "at_share": one.planned.share,
        "began_s": one.fault.begin_s,
        "outcome": one.outcome or "not decided when the days were over",
        "reason": one.reason,
        "seconds": None if one.decided_s is None else one.decided_s - one.fault.begin_s,
        "highest_share": one.highest_share,
        "candidate_requests": one.candidate_requests,
        "harmed": one.harmed,
        "callers_saw_an_error": one.callers,
        "incumbent_failed": round(failed / max(1, one.incumbent.requests), 4),
        "harmed_by_a_clock": None if one.planned.in_both else round(by_clock),
        "harmed_by_a_clock_until_noticed": None if one.planned.in_both else round(noticed),
    }


def _by_the_clock(plan: Plan, one: Struck) -> tuple[float, float]:
    """Expected harm of a canary that raises its share by the clock: whole incident, and first half hour.

    The same incident at the same moment and share, the same stages and bakes, nobody watching.
    """
    if one.planned.in_both:
        return 0.0, 0.0
    fault = Fault(one.planned.incident, one.fault.endpoints, one.fault.begin_s, one.fault.skipped_s)
    gateway = VirtualGateway(plan.config, plan.clouds, plan.demand, plan.spec.features, 0.0)
    candidate = plan.clouds.names.index(plan.config.pools[plan.spec.candidate].endpoints[0])
    end_s = min(fault.end_s, plan.demand.span_s)
    bad_kinds = np.array([False, *(kind.value not in HARMLESS for kind in KINDS)])
    whole = noticed = 0.0
    for number in range(int(fault.begin_s // CHUNK_S), int(np.ceil(end_s / CHUNK_S))):
        chunk = plan.demand.chunk(number)
        answers, is_bad = gateway.clouds.answers(number, chunk, [fault])
        first = answers[:, candidate, 0]
        bad = bad_kinds[first["kind"]] | (first["first_ms"] > BAD_FIRST_MS) | is_bad[:, candidate, 0]
        is_in = (chunk.at >= fault.begin_s) & (chunk.at < end_s)
        harm = np.where(bad & is_in, clock_share(plan.spec, one.planned.share, chunk.at - fault.begin_s), 0.0)
        whole += float(harm.sum())
        noticed += float(harm[chunk.at < fault.begin_s + NOTICED_S].sum())
    return whole, noticed


def clock_share(spec: MigrationSpec, share: float, since_s: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    """The share of a canary that was at `share` when the fault began, and advances every bake."""
    stages = [stage for stage in spec.rollout.stages if stage >= share]
    place = np.minimum(np.maximum(since_s // spec.rollout.bake_s, 0.0).astype(np.int64), len(stages) - 1)
    return np.array(stages)[place]
