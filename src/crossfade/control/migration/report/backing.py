"""What a gate's verdict rests on: each record in brief, since when, until when, how sure."""

from __future__ import annotations

from typing import Any

from crossfade.control.migration import gates
from crossfade.control.migration.gates import GateInput
from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence
from crossfade.stats.clopper import upper_bound

KINDS = {
    "compliance": (EvidenceKind.SIGNOFF, EvidenceKind.POSTURE, EvidenceKind.ATTESTATION),
    "capacity_mapping": (EvidenceKind.CAPACITY_MAPPING,),
    "shadow_confirmation": (EvidenceKind.SHADOW_CONFIRMATION,),
    "quality_parity": (EvidenceKind.QUALITY_PARITY,),
    "latency_parity": (EvidenceKind.LATENCY_PARITY,),
    "drill": (EvidenceKind.DRILL,),
}


def backing_of(gate: str, seen: GateInput) -> list[dict[str, Any]]:
    """The newest record of each subject and role behind a gate, waivers among them, as collected."""
    newest: dict[tuple[object, ...], SignedEvidence] = {}
    for signed in sorted(seen.evidence, key=lambda signed: signed.evidence.collected_unix_s):
        record = signed.evidence
        is_waiver = record.kind is EvidenceKind.WAIVER and record.subject == gate
        if record.migration == seen.spec.name and (is_waiver or record.kind in KINDS.get(gate, ())):
            by = record.signer if is_waiver else record.observed.get("role")
            newest[record.kind, record.subject, by] = signed
    return [_row(signed, gates.why_not(signed, seen)) for signed in newest.values()]


def _row(signed: SignedEvidence, why_not: str) -> dict[str, Any]:
    record = signed.evidence
    return {
        "id": record.evidence_id,
        "kind": record.kind.value,
        "subject": record.subject,
        "role": record.observed.get("role"),
        "by": record.signer,
        "method": record.method,
        "verdict": record.verdict.value,
        "why_not": why_not,
        "how_sure": how_sure(record),
        "since_unix_s": record.collected_unix_s,
        "until_unix_s": record.expires_unix_s,
    }


def how_sure(record: Evidence) -> str:
    """The record's uncertainty in a line: intervals and bounds with their sample; empty if it has none."""
    observed = record.observed
    match record.kind:
        case EvidenceKind.CAPACITY_MAPPING if observed.get("interval"):
            low, high = observed["interval"]
            probes = len(observed.get("probes", ()))
            return f"{low:g} to {high:g} {observed.get('unit', 'units')} needed, {probes} probes"
        case EvidenceKind.SHADOW_CONFIRMATION if observed.get("requests"):
            requests, errors = int(observed["requests"]), int(observed.get("errors", 0))
            bound = upper_bound(errors, requests)
            return f"at most {bound:.1%} fail (95 % bound, {errors} of {requests} did)"
        case EvidenceKind.QUALITY_PARITY:
            return "; ".join(_parity(metric) for metric in observed.get("metrics", ()))
        case EvidenceKind.LATENCY_PARITY:
            return "; ".join(_latency(metric) for metric in observed.get("metrics", ()))
        case EvidenceKind.POSTURE if observed.get("checks"):
            held = sum(bool(check.get("ok")) for check in observed["checks"])
            unseen = len(observed.get("attest", ()))
            shown = f", {unseen} facts that no API shows" if unseen else ""
            return f"{held} of {len(observed['checks'])} machine checks hold{shown}"
        case EvidenceKind.DRILL if "seconds_to_zero" in observed:
            return f"share 0 after {observed['seconds_to_zero']:.2g} s"
        case _:
            return ""


def _parity(metric: dict[str, Any]) -> str:
    return (
        f"{metric['name']} {metric['estimate']:+.3f}, at least {metric['lower']:+.3f}, "
        f"margin {-metric['margin']:+.3f}"
    )


def _latency(metric: dict[str, Any]) -> str:
    return f"{metric['name']} x{metric['ratio']:.2f}, at most x{metric['upper']:.2f}"
