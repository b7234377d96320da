"""A migration's status: each step, each gate's verdict, what is missing, the next action and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from crossfade.control.migration import history
from crossfade.control.migration.effects import Look
from crossfade.control.migration.gates import GateInput
from crossfade.control.migration.guard.verdict import decide_guards
from crossfade.control.migration.history import Kind, Line
from crossfade.control.migration.report.attention import page_of
from crossfade.control.migration.report.backing import backing_of
from crossfade.domain.evidence import Verdict
from crossfade.domain.migration import (
    Action,
    Advance,
    GateVerdict,
    Hold,
    MigrationState,
    Promote,
    RollBack,
    StageCounts,
)
from crossfade.stats.canary import PROMOTION_E

MOST_E = 1e300  # JSON has no infinity
STEPS = ("compliance", "capacity", "quality", "drill", "rollout")
GATES = {
    "compliance": ("compliance",),
    "capacity": ("capacity_mapping", "shadow_confirmation"),
    "quality": ("quality_parity", "latency_parity"),
    "drill": ("drill",),
    "rollout": (),
}


def status_of(state: MigrationState, lines: Sequence[Line], look: Look | None) -> dict[str, Any]:
    """One JSON document, also the console's row of this migration. `look`: null before the first turn."""
    action = look.action if look is not None else state.action
    step = look.step if look is not None else _resting_step(state)
    detail = action.detail if isinstance(action, Hold) else ""
    live = look.state if look is not None and look.state.epoch == state.epoch else state
    return {
        "name": state.spec.name,
        "features": list(state.spec.features),
        "incumbent": state.spec.incumbent,
        "candidate": state.spec.candidate,
        "parameters": state.spec.shown_parameters,
        "started_unix_s": state.started_unix_s,
        "state": state_name(state, step),
        "step": step,
        "stage": state.stage or None,
        "stages": list(state.spec.rollout.stages),
        "share": state.share,
        "epoch": state.epoch,
        "next_action": action_name(action),
        "next_reason": action.reason if action is not None else "",
        "next_detail": detail,
        "progress": (look.progress if look is not None else None) or detail or None,
        "page": page_of(action),
        "held": state.held,
        "rolled_back": state.rolled_back,
        "failures": [asdict(failure) for failure in state.failures],
        "steps": _steps(state, look, step),
        "guard": guards_of(live),
        "timeline": timeline_of(lines),
        "counts": counts_over_time(lines),
    }


def _resting_step(state: MigrationState) -> str:
    if state.closed_unix_s is not None:
        return "closed"
    return "promoted" if state.promoted_unix_s is not None else "draft"


def state_name(state: MigrationState, step: str) -> str:
    """The one word shown to people."""
    if state.closed_unix_s is not None:
        return "closed"
    if state.rolled_back is not None:
        return "rolled_back"
    if state.held is not None:
        return "held"
    return step


def action_name(action: Action | None) -> str:
    """The action's kind, as in the log."""
    return str(history.encode_action(action)["action"]) if action is not None else "none"


def _steps(state: MigrationState, look: Look | None, step: str) -> list[dict[str, Any]]:
    by_name = {verdict.gate: verdict for verdict in look.verdicts} if look is not None else {}
    given = look.given if look is not None else None
    rows = []
    for name in STEPS:
        gates = [gate_row(by_name[gate], given) for gate in GATES[name] if gate in by_name]
        rows.append({"name": name, "state": _step_state(state, name, step, gates), "gates": gates})
    return rows


def _step_state(state: MigrationState, name: str, step: str, gates: list[dict[str, Any]]) -> str:
    if any(gate["verdict"] == Verdict.FAIL.value for gate in gates):
        return "failed"
    if name == "rollout" and state.rolled_back is not None:
        return "failed"
    if state.promoted_unix_s is not None or (
        gates and all(gate["verdict"] == Verdict.PASS.value for gate in gates)
    ):
        return "done"
    return "current" if name == step and state.closed_unix_s is None else "waiting"


def gate_row(verdict: GateVerdict, given: GateInput | None) -> dict[str, Any]:
    """A gate's verdict as JSON, with the records behind it; a passing one holds since the last of them."""
    backing = backing_of(verdict.gate, given) if given is not None else []
    counted = [row["since_unix_s"] for row in backing if not row["why_not"]]
    is_passed = verdict.verdict is Verdict.PASS
    return {
        "name": verdict.gate,
        "verdict": verdict.verdict.value,
        "reason": verdict.reason,
        "needs": verdict.needs,
        "has": verdict.has,
        "since_unix_s": max(counted, default=None) if is_passed else None,
        "until_unix_s": verdict.until_unix_s,
        "evidence": backing,
    }


def guards_of(state: MigrationState) -> dict[str, Any] | None:
    """Both arms of every stage of this epoch and each guard's e-values; null before any exposure."""
    if not state.counts:
        return None
    return {
        "guards": [
            {
                "name": verdict.plan.name,
                "is_hard": verdict.plan.is_hard,
                "e_value": min(verdict.e_value, MOST_E),
                "rolls_back_at": 1.0 / verdict.plan.alpha,
                "promotion_e_value": min(verdict.promotion_e_value, MOST_E),
                "promotes_at": PROMOTION_E,
                "candidate_rate": verdict.candidate_rate,
                "control_rate": verdict.control_rate,
                "measured": verdict.measured,
            }
            for verdict in decide_guards(state).each
        ],
        "stages": [
            {"share": counts.share, "baseline_share": counts.baseline_share, **arms_of([counts])}
            for counts in state.counts
        ],
    }


def arms_of(stages: Sequence[StageCounts]) -> dict[str, int]:
    """Both arms' requests and failed requests, summed."""
    names = ("candidate_requests", "candidate_bad", "control_requests", "control_bad")
    return {name: sum(getattr(counts, name) for counts in stages) for name in names}


def timeline_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Share over time: a point where it changed, with why. An advance counts once verified."""
    points: list[dict[str, Any]] = []
    pending: dict[int, tuple[float, str, str]] = {}
    for line in lines:
        if line.kind == Kind.STARTED:
            points.append({"unix_s": line.unix_s, "share": 0.0, "kind": "start", "note": "started"})
        elif line.kind == Kind.ACTION:
            pending.clear()
            action = history.decode_action(line.payload)
            if isinstance(action, Advance):
                pending[line.stream_seq] = (action.share, "advance", action.reason)
            elif isinstance(action, Promote):
                pending[line.stream_seq] = (1.0, "promote", action.reason)
            elif isinstance(action, RollBack):
                points.append(
                    {"unix_s": line.unix_s, "share": action.share, "kind": "roll_back", "note": action.reason}
                )
        elif line.kind == Kind.EFFECT and line.payload["action_seq"] in pending:
            share, kind, note = pending.pop(line.payload["action_seq"])
            points.append({"unix_s": line.unix_s, "share": share, "kind": kind, "note": note})
    return points


def harm_of(lines: Sequence[Line]) -> list[dict[str, float]]:
    """E-value of harm over time, as logged."""
    return [
        {
            "unix_s": line.unix_s,
            "e_value": float(line.payload["e_value"]),
            "limit": float(line.payload["limit"]),
            "share": float(line.payload["share"]),
        }
        for line in lines
        if line.kind == Kind.COUNTED
    ]


def counts_over_time(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Both arms' requests and failed requests as logged, summed over the epoch's stages up to then."""
    stages = TypeAdapter(tuple[StageCounts, ...])
    return [
        {
            "unix_s": line.unix_s,
            "epoch": line.payload["epoch"],
            **arms_of(stages.validate_python(line.payload["stages"])),
        }
        for line in lines
        if line.kind == Kind.COUNTED
    ]
