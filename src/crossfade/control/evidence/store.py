"""Evidence at rest: in-toto statements in signed DSSE envelopes, appended to the event log.

Each person and each collector has an Ed25519 key of its own, a file of mode 0600 made on first
use. A record is verified when it is read: a valid signature by the named signer, over exactly the
statement that is shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import TypeAdapter
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._crypto_signer import CryptoSigner

from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.state_dir import StateDir
from crossfade.domain.evidence import Evidence, SignedEvidence

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://crossfade.dev/evidence/v1"
_EVIDENCE: TypeAdapter[Evidence] = TypeAdapter(Evidence)


class SigningKeys:
    """Keys by signer's name, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def signer(self, name: str) -> CryptoSigner:
        """The signer's key, made on first use."""
        path = self._folder / f"{_file_name(name)}.pem"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = CryptoSigner.generate_ed25519()
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return self.signer(name)
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh.private_bytes)
            return fresh
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path} is not an Ed25519 key (hint: move it away, a new one is made)")
        return CryptoSigner(key)

    def exists(self, name: str) -> bool:
        """Whether this signer ever signed here."""
        return (self._folder / f"{_file_name(name)}.pem").exists()


class EvidenceStore:
    """Records of all migrations, and their raw material by hash."""

    def __init__(self, log: EventLog, folder: StateDir) -> None:
        self._log = log
        self._keys = SigningKeys(folder.signing)
        self._artefacts = folder.artefacts

    async def add(self, evidence: Evidence, artefact: bytes | None = None) -> SignedEvidence:
        """Sign and store a record; its raw material is stored first, by its hash."""
        digest = await asyncio.to_thread(self._keep, artefact) if artefact is not None else None
        record = replace(evidence, evidence_id=uuid.uuid4().hex, artefact_sha256=digest)
        envelope = sign(record, self._keys.signer(record.signer))
        await self._log.append(
            f"evidence/{record.migration}",
            record.kind.value,
            envelope,
            actor=record.signer,
            reason=f"{record.verdict.value}: {record.subject}",
        )
        return SignedEvidence(record, envelope, valid=True)

    async def of(self, migration: str) -> tuple[SignedEvidence, ...]:
        """All records of a migration, verified now, oldest first."""
        events = await self._log.read(f"evidence/{migration}")
        return tuple(self._verified(event.payload) for event in events)

    def _verified(self, envelope: dict[str, Any]) -> SignedEvidence:
        parsed = Envelope.from_dict(envelope)
        record = _EVIDENCE.validate_python(json.loads(parsed.payload)["predicate"])
        valid = self._keys.exists(record.signer) and verify(parsed, self._keys.signer(record.signer))
        return SignedEvidence(record, envelope, valid)

    def _keep(self, artefact: bytes) -> str:
        digest = hashlib.sha256(artefact).hexdigest()
        path = self._artefacts / digest
        if not path.exists():
            fresh = path.with_suffix(".new")
            fresh.write_bytes(artefact)
            fresh.replace(path)
        return digest


def sign(record: Evidence, signer: CryptoSigner) -> dict[str, Any]:
    """The record as an in-toto statement in a DSSE envelope."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": record.subject, "digest": {"sha256": record.fingerprint}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": asdict(record),
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    signed: dict[str, Any] = envelope.to_dict()
    return signed


def verify(envelope: Envelope, signer: CryptoSigner) -> bool:
    """Whether the envelope carries a valid signature of this signer."""
    try:
        envelope.verify([signer.public_key], 1)
    except VerificationError:
        return False
    return True


def _file_name(name: str) -> str:
    """Readable and unambiguous: two names never share a file."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
