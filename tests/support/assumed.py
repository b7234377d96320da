"""Evidence that nobody measured, for what is about what follows it. The product has no use for it."""

from __future__ import annotations

import time
from dataclasses import replace

from crossfade.config.features import Config
from crossfade.control.evidence.fingerprint import fingerprint
from crossfade.control.evidence.store import EvidenceStore
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.signing import CONTROL, SigningKeys
from crossfade.control.store.state_dir import StateDir
from crossfade.domain.evidence import Evidence, EvidenceKind, Verdict
from crossfade.domain.snapshot import Target
from crossfade.version import __version__

DAY_S = 86400.0


async def assume_evidence(
    log: EventLog, folder: StateDir, config: Config, migration: str, feature: str
) -> None:
    """What weeks of measuring would have left of the candidate `new`, signed by control's own key."""
    store = EvidenceStore(log, folder, SigningKeys(folder.signing))
    record = Evidence(
        evidence_id="",
        kind=EvidenceKind.POSTURE,
        migration=migration,
        subject="new",
        fingerprint=fingerprint(config, Target("new", {}), (feature,)),
        collector=CONTROL,
        method="assumed",
        observed={"interval": None, "software": __version__},
        verdict=Verdict.PASS,
        collected_unix_s=time.time(),
        expires_unix_s=time.time() + DAY_S,
        artefact_sha256=None,
        signer=CONTROL,
    )
    subjects = {
        EvidenceKind.POSTURE: "new",
        EvidenceKind.CAPACITY_MAPPING: "new",
        EvidenceKind.SHADOW_CONFIRMATION: feature,
        EvidenceKind.QUALITY_PARITY: feature,
        EvidenceKind.LATENCY_PARITY: feature,
        EvidenceKind.DRILL: migration,
    }
    for kind, subject in subjects.items():
        await store.add(replace(record, kind=kind, subject=subject))
