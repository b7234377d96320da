from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from crossfade.domain.attempt import FeatureEffect
from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration import (
    Exposure,
    GatewayView,
    MigrationState,
    Observations,
)
from crossfade.domain.migration_spec import (
    CapacitySpec,
    ComplianceSpec,
    MigrationSpec,
    QualitySpec,
    RolloutSpec,
)

NOW = 1_000_000.0
PRINT = "f" * 64

SPEC = MigrationSpec(
    name="move",
    features=("recap", "search"),
    incumbent="old",
    candidate="new",
    compliance=ComplianceSpec(("legal",), 86400.0),
    capacity=CapacitySpec(("recorded",), {"ttft_p95": 2000.0}, 0.95, 0.01, 0.15, None, 60.0, 120.0),
    quality=QualitySpec({"rubric": 0.05}, {"ttft_p50": 0.1}, ("judge",), 0.1, 800, 1.0),
    rollout=RolloutSpec((0.01, 0.05, 0.25, 0.5, 1.0), 600.0, ("errors",), 3600.0, 50, 1.0, 1.0, 604800.0),
)


def evidence(kind, subject, *, valid=True, **change):
    observed = change.pop("observed", {})
    base = Evidence(
        evidence_id=f"{kind.value}-{subject}",
        kind=kind,
        migration="move",
        subject=subject,
        fingerprint=PRINT,
        collector="test",
        method="test",
        observed=observed,
        verdict=Verdict.PASS,
        collected_unix_s=NOW - 100.0,
        expires_unix_s=NOW + 1e7,
        artefact_sha256=None,
        signer="test",
    )
    return SignedEvidence(replace(base, **change), {}, valid)


def full():
    """One passing record for every need of SPEC, by name."""
    records = {
        f"signoff-{role}": evidence(EvidenceKind.SIGNOFF, "new", observed={"role": role}, signer=role)
        for role in ("security", "legal")
    }
    records["posture"] = evidence(EvidenceKind.POSTURE, "new", observed={"checks": []})
    records["mapping"] = evidence(EvidenceKind.CAPACITY_MAPPING, "new", observed={"interval": [4, 5]})
    for feature in SPEC.features:
        for kind in (
            EvidenceKind.SHADOW_CONFIRMATION,
            EvidenceKind.QUALITY_PARITY,
            EvidenceKind.LATENCY_PARITY,
        ):
            records[f"{kind.value}-{feature}"] = evidence(kind, feature)
    records["drill"] = evidence(EvidenceKind.DRILL, "move")
    return records


def observations(**change):
    base = Observations(PRINT, ("security",), (gateway(),), 6.0)
    return replace(base, **change)


def gateway(name="g1", silent_s=0.5, share=0.0, epoch=1, local=None):
    effects = tuple(FeatureEffect(feature, share, epoch, local, False) for feature in SPEC.features)
    return GatewayView(name, silent_s, effects)


def state(**change):
    base = MigrationState(SPEC, "move-salt", NOW - 5000.0, "ann", 1)
    return replace(base, **change)


def at_stage(stage, **change):
    share = SPEC.rollout.stages[stage - 1]
    placed = {
        "stage": stage,
        "share": share,
        "stage_began_unix_s": NOW - 1000.0,
        "rollout_began_unix_s": NOW - 1000.0,
        "exposure": Exposure.ELIGIBLE,
    }
    return state(**(placed | change))


@pytest.fixture
def world():
    return SimpleNamespace(
        NOW=NOW,
        PRINT=PRINT,
        SPEC=SPEC,
        evidence=evidence,
        full=full,
        observations=observations,
        gateway=gateway,
        state=state,
        at_stage=at_stage,
    )
