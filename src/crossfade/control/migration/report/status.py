"""A migration's status: each step, each gate's verdict, what is missing, the next action and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from crossfade.control.migration import history
from crossfade.control.migration.history import Kind, Line
from crossfade.domain.evidence import Verdict
from crossfade.domain.migration import Action, Advance, GateVerdict, Hold, MigrationState, RollBack

STEPS = ("compliance", "capacity", "quality", "drill", "rollout")
GATES = {
    "compliance": ("compliance",),
    "capacity": ("capacity_mapping", "shadow_confirmation"),
    "quality": ("quality_parity", "latency_parity"),
    "drill": ("drill",),
    "rollout": (),
}


def status_of(
    state: MigrationState,
    lines: Sequence[Line],
    action: Action | None,
    verdicts: Sequence[GateVerdict],
    step: str,
    progress: str | None,
) -> dict[str, Any]:
    """One JSON document, also the console's row of this migration."""
    return {
        "name": state.spec.name,
        "features": list(state.spec.features),
        "incumbent": state.spec.incumbent,
        "candidate": state.spec.candidate,
        "state": state_name(state, step),
        "step": step,
        "stage": state.stage or None,
        "share": state.share,
        "epoch": state.epoch,
        "next_action": action_name(action),
        "next_reason": action.reason if action is not None else "",
        "next_detail": action.detail if isinstance(action, Hold) else "",
        "progress": progress or (action.detail if isinstance(action, Hold) else None) or None,
        "held": state.held,
        "rolled_back": state.rolled_back,
        "failures": [asdict(failure) for failure in state.failures],
        "steps": _steps(state, verdicts, step),
        "timeline": timeline_of(lines),
    }


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


def _steps(state: MigrationState, verdicts: Sequence[GateVerdict], step: str) -> list[dict[str, Any]]:
    by_name = {verdict.gate: verdict for verdict in verdicts}
    rows = []
    for name in STEPS:
        gates = [gate_row(by_name[gate]) for gate in GATES[name] if gate in by_name]
        rows.append({"name": name, "state": _step_state(state, name, step, gates), "gates": gates})
    return rows


def _step_state(state: MigrationState, name: str, step: str, gates: list[dict[str, Any]]) -> str:
    if any(gate["verdict"] == Verdict.FAIL.value for gate in gates):
        return "failed"
    if state.closed_unix_s is not None or state.promoted_unix_s is not None:
        return "done"
    if name == "rollout" and state.rolled_back is not None:
        return "failed"
    if gates and all(gate["verdict"] == Verdict.PASS.value for gate in gates):
        return "done"
    return "current" if name == step else "waiting"


def gate_row(verdict: GateVerdict) -> dict[str, Any]:
    """A gate's verdict as JSON."""
    return {
        "name": verdict.gate,
        "verdict": verdict.verdict.value,
        "reason": verdict.reason,
        "needs": verdict.needs,
        "has": verdict.has,
        "until_unix_s": verdict.until_unix_s,
    }


def timeline_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Share over time: a point where it changed, with why. An advance counts once verified."""
    points: list[dict[str, Any]] = []
    pending: dict[int, tuple[float, str]] = {}
    for line in lines:
        if line.kind == Kind.STARTED:
            points.append({"unix_s": line.unix_s, "share": 0.0, "note": "started"})
        elif line.kind == Kind.ACTION:
            pending.clear()
            action = history.decode_action(line.payload)
            if isinstance(action, Advance):
                pending[line.stream_seq] = (action.share, action.reason)
            elif isinstance(action, RollBack):
                points.append({"unix_s": line.unix_s, "share": action.share, "note": action.reason})
        elif line.kind == Kind.EFFECT and line.payload["action_seq"] in pending:
            share, note = pending.pop(line.payload["action_seq"])
            points.append({"unix_s": line.unix_s, "share": share, "note": note})
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
