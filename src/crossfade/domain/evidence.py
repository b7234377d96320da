"""Evidence: what opens a gate. Immutable, bound to a fingerprint, signed, expiring."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EvidenceKind(StrEnum):
    """One name per thing a gate can ask for."""

    SIGNOFF = "signoff"  # observed: {role, name, statement_sha256}
    WAIVER = "waiver"  # observed: {gate, name}; two people must give one
    ATTESTATION = "attestation"  # of one fact of the posture, its subject. observed: {role, name}
    POSTURE = "posture"
    # machine checks of compliance. observed: {checks: [{name, ok, detail}], attest: [{name, detail}]}
    CAPACITY_MAPPING = "capacity_mapping"
    # observed: {units, unit, interval: [lo, hi], binding, probes: [...], slo: {...}}
    SHADOW_CONFIRMATION = "shadow_confirmation"  # observed: {requests, errors, overload_share}
    QUALITY_PARITY = "quality_parity"
    # observed: {metrics: [{name, verdict, estimate, lower, upper, margin, n, labels}], ...}
    LATENCY_PARITY = "latency_parity"
    DRILL = "drill"  # observed: {seconds_to_zero, gateways, kill_switch_s, shares: [...]}


class Verdict(StrEnum):
    """What a gate, or a test behind it, says. Inconclusive never advances."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


# given by people
APPROVALS = frozenset({EvidenceKind.SIGNOFF, EvidenceKind.WAIVER, EvidenceKind.ATTESTATION})


@dataclass(frozen=True, slots=True)
class Evidence:
    """One record. `fingerprint` is the candidate's when collected; times are Unix seconds.

    `verdict`: what the collector's own test concluded (a gate may still refuse the record).
    `artefact_sha256`: hex digest of the raw material in the artefact folder, null if none.
    """

    evidence_id: str
    kind: EvidenceKind
    migration: str
    subject: str
    fingerprint: str
    collector: str
    method: str
    observed: dict[str, Any]
    verdict: Verdict
    collected_unix_s: float
    expires_unix_s: float
    artefact_sha256: str | None
    signer: str


@dataclass(frozen=True, slots=True)
class SignedEvidence:
    """A record and the DSSE envelope that holds it.

    `valid`: verified on reading; else `problem` says what does not hold.
    """

    evidence: Evidence
    envelope: dict[str, Any]
    valid: bool
    problem: str = ""
