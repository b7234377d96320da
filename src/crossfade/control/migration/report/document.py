"""The report: what was decided, on which evidence, and what was measured, as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from crossfade.control.migration import history
from crossfade.control.migration.history import Kind, Line
from crossfade.control.migration.report.page import moment
from crossfade.control.migration.report.status import harm_of, timeline_of
from crossfade.domain.evidence import EvidenceKind, SignedEvidence
from crossfade.domain.migration import (
    Advance,
    Hold,
    MigrationState,
    RollBack,
)


def report_of(
    status: dict[str, Any], state: MigrationState, lines: Sequence[Line], evidence: Sequence[SignedEvidence]
) -> dict[str, Any]:
    """Everything an auditor or a reviewer asks for; plots are drawn from the same numbers."""
    return {
        "migration": state.spec.name,
        "state": status["state"],
        "started_unix_s": state.started_unix_s,
        "started_by": state.started_by,
        "closed_unix_s": state.closed_unix_s,
        "spec": {**asdict(state.spec), "parameters": state.spec.shown_parameters},
        "facts": facts_of(state, lines, evidence),
        "steps": status["steps"],
        "timeline": timeline_of(lines),
        "harm": harm_of(lines),
        "evidence": [evidence_row(signed) for signed in evidence],
        "log": [log_row(line) for line in lines if line.kind != Kind.COUNTED],
    }


def facts_of(
    state: MigrationState, lines: Sequence[Line], evidence: Sequence[SignedEvidence]
) -> dict[str, Any]:
    """What was measured, by name; null where nothing was."""
    mapping = _newest(evidence, EvidenceKind.CAPACITY_MAPPING)
    drill = _newest(evidence, EvidenceKind.DRILL)
    totals = counts_of(lines)
    return {
        "units": mapping.get("units"),
        "unit": mapping.get("unit"),
        "units_interval": mapping.get("interval"),
        "drill_seconds_to_zero": drill.get("seconds_to_zero"),
        "candidate_requests": sum(count["candidate_requests"] for count in totals),
        "candidate_requests_harmed": sum(count["candidate_bad"] for count in totals),
        "control_requests": sum(count["control_requests"] for count in totals),
        "control_requests_harmed": sum(count["control_bad"] for count in totals),
        "rollbacks": rollbacks_of(lines),
        "weak_stages": weak_stages_of(lines),
        "epochs": state.epoch,
    }


def shown_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts for people, by name; a line for each rollback."""
    rows = [
        (name.replace("_", " "), _shown(name, fact)) for name, fact in facts.items() if name != "rollbacks"
    ]
    for back in facts["rollbacks"]:
        lasted = f"took effect after {_shown('seconds', back['seconds_to_effect'])} s"
        why = f"{moment(back['unix_s'])} by {back['by']}: {back['reason']}; {lasted}"
        rows.append((f"rolled back from {back['from_share']:.0%} to {back['to_share']:.0%}", why))
    return rows


def _shown(name: str, fact: Any) -> str:
    if fact is None:
        return "not measured"
    if isinstance(fact, float):
        return f"{fact:.4g}"
    if name == "units_interval":
        return " to ".join(f"{end:.4g}" for end in fact)
    if name == "weak_stages":
        return ", ".join(f"{share:.0%}" for share in fact) or "none"
    return str(fact)


def counts_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The last logged counts of every epoch's stages."""
    latest: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        if line.kind == Kind.COUNTED:
            latest[int(line.payload["epoch"])] = list(line.payload["stages"])
    return [{"epoch": epoch, **stage} for epoch, stages in sorted(latest.items()) for stage in stages]


def rollbacks_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Every rollback: at which share it was caught, why, and the seconds until its effect."""
    found: list[dict[str, Any]] = []
    for index, line in enumerate(lines):
        if line.kind != Kind.ACTION:
            continue
        action = history.decode_action(line.payload)
        if not isinstance(action, RollBack):
            continue
        before = history.fold(lines[:index])
        seconds = next(
            (
                float(later.payload.get("seconds", 0.0))
                for later in lines[index + 1 :]
                if later.kind == Kind.EFFECT and later.payload["action_seq"] == line.stream_seq
            ),
            None,
        )
        found.append(
            {
                "unix_s": line.unix_s,
                "by": line.actor,
                "reason": action.reason,
                "from_share": before.share,
                "from_stage": before.stage,
                "to_share": action.share,
                "seconds_to_effect": seconds,
            }
        )
    return found


def weak_stages_of(lines: Sequence[Line]) -> list[float]:
    """Shares reached by leaving the stage before on weak evidence."""
    actions = (history.decode_action(line.payload) for line in lines if line.kind == Kind.ACTION)
    return [action.share for action in actions if isinstance(action, Advance) and action.weak]


def evidence_row(signed: SignedEvidence) -> dict[str, Any]:
    """A record as JSON, with whether its signature verified."""
    record = signed.evidence
    return {
        "id": record.evidence_id,
        "kind": record.kind.value,
        "subject": record.subject,
        "verdict": record.verdict.value,
        "valid": signed.valid,
        "problem": signed.problem,
        "method": record.method,
        "collector": record.collector,
        "signer": record.signer,
        "fingerprint": record.fingerprint,
        "collected_unix_s": record.collected_unix_s,
        "expires_unix_s": record.expires_unix_s,
        "artefact_sha256": record.artefact_sha256,
        "observed": record.observed,
    }


def log_row(line: Line) -> dict[str, Any]:
    """A line of the log as people read it."""
    what = line.kind.rpartition(".")[2]
    if line.kind == Kind.ACTION:
        action = history.decode_action(line.payload)
        what = str(line.payload["action"])
        detail = action.detail if isinstance(action, Hold) else ""
        return {
            "unix_s": line.unix_s,
            "what": what,
            "by": line.actor,
            "reason": action.reason,
            "detail": detail,
        }
    if line.kind == Kind.COMMAND:
        what = str(line.payload["verb"])
    error = line.payload.get("error", "") if line.kind == Kind.EFFECT else ""
    return {"unix_s": line.unix_s, "what": what, "by": line.actor, "reason": line.reason, "detail": error}


def _newest(evidence: Sequence[SignedEvidence], kind: EvidenceKind) -> dict[str, Any]:
    records = [signed.evidence for signed in evidence if signed.evidence.kind is kind and signed.valid]
    return max(records, key=lambda record: record.collected_unix_s).observed if records else {}
