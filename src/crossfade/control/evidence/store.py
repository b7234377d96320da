"""Evidence at rest: in-toto statements in signed DSSE envelopes, appended to the event log.

A record is verified when it is read: a valid signature by the named signer over exactly the statement
that is shown, about this migration and fingerprint, once, with its artefact as it was. People sign
approvals and nothing else; measurements are signed by control and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import json
import logging
import uuid
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from securesystemslib.dsse import Envelope
from securesystemslib.signer._signer import Signer

from crossfade.control.store.durable import replace_file
from crossfade.control.store.eventlog import Event, EventLog
from crossfade.control.store.signing import CONTROL, SigningKeys
from crossfade.control.store.state_dir import StateDir
from crossfade.domain.evidence import APPROVALS, Evidence, SignedEvidence

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://crossfade.dev/evidence/v1"
log = logging.getLogger(__name__)
_EVIDENCE: TypeAdapter[Evidence] = TypeAdapter(Evidence)


class EvidenceStore:
    """Records of all migrations, and their raw material by hash."""

    def __init__(self, log: EventLog, folder: StateDir, keys: SigningKeys) -> None:
        self._log = log
        self._keys = keys
        self._artefacts = folder.artefacts
        # Rows as they were verified, and with which keys: one that reads the same is not verified again.
        self._known: dict[int, tuple[dict[str, Any], tuple[str, ...], SignedEvidence]] = {}

    async def add(self, evidence: Evidence, artefact: bytes | None = None) -> SignedEvidence:
        """Sign and store a record; its raw material is stored first, by its hash. Raises SigningError."""
        digest = await asyncio.to_thread(self._keep, artefact) if artefact is not None else None
        record = replace(evidence, evidence_id=uuid.uuid4().hex, artefact_sha256=digest)
        envelope = await asyncio.to_thread(lambda: sign(record, self._keys.signer(record.signer)))
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
        found: list[SignedEvidence] = []
        seen: set[str] = set()
        keys_of = cache(self._keys.key_ids)  # read once a look
        for event in await self._log.read(f"evidence/{migration}"):
            payload, held, signed = self._known.get(event.seq, ({}, (), None))
            if signed is None or payload != event.payload or held != keys_of(signed.evidence.signer):
                signed = self._verified(event, migration, seen)
            if signed is None:
                log.error("evidence in row %d cannot be read (hint: `crossfade audit verify`)", event.seq)
                continue
            self._known[event.seq] = (event.payload, keys_of(signed.evidence.signer), signed)
            seen.add(signed.evidence.evidence_id)
            spoilt = await asyncio.to_thread(self._spoilt, signed.evidence) if signed.valid else ""
            found.append(replace(signed, valid=False, problem=spoilt) if spoilt else signed)
        return tuple(found)

    async def proofs(self, migration: str) -> dict[str, Any]:
        """What somebody else needs to verify the records himself: {keys: by signer, artefacts: by hash}.

        An artefact that cannot be read is left out: its record does not hold.
        """
        records = [signed.evidence for signed in await self.of(migration)]
        return await asyncio.to_thread(self._proofs, records)

    def _proofs(self, records: list[Evidence]) -> dict[str, Any]:
        artefacts = {}
        for digest in dict.fromkeys(record.artefact_sha256 for record in records):
            with contextlib.suppress(OSError):
                if digest is not None:
                    artefacts[digest] = (self._artefacts / digest).read_bytes().decode(errors="replace")
        signers = dict.fromkeys(record.signer for record in records)
        return {"keys": {name: self._keys.published(name) for name in signers}, "artefacts": artefacts}

    def _verified(self, event: Event, migration: str, seen: set[str]) -> SignedEvidence | None:
        """The record with what is wrong with it; null if it is no record at all."""
        try:
            # A copy: reading an envelope takes its signatures out of what it is read from.
            parsed = Envelope.from_dict(copy.deepcopy(event.payload))
            statement = json.loads(parsed.payload)
            record = _EVIDENCE.validate_python(statement["predicate"])
        except (ValueError, KeyError, TypeError):
            return None
        problem = self._problem(parsed, statement, record)
        if not problem and record.migration != migration:
            problem = f"it is of migration {record.migration!r}, replayed here"
        if not problem and record.evidence_id in seen:
            problem = "it is a replay of an earlier record"
        return SignedEvidence(record, event.payload, not problem, problem)

    def _problem(self, envelope: Envelope, statement: dict[str, Any], record: Evidence) -> str:
        if envelope.payload_type != PAYLOAD_TYPE or statement.get("predicateType") != PREDICATE_TYPE:
            return "it is a signed statement of another type"
        if statement.get("subject") != _subject(record):
            return "the statement's subject is not the record's"
        is_approval = record.kind in APPROVALS
        if is_approval and (record.signer == CONTROL or record.observed.get("name") != record.signer):
            return "an approval must be signed by the person it names"
        if not is_approval and record.signer != CONTROL:
            return f"a measurement must be signed by {CONTROL}"
        if not self._keys.is_signed_by(record.signer, envelope):
            return "its signature does not verify"
        return ""

    def _spoilt(self, record: Evidence) -> str:
        """What happened to the record's raw material since; empty if it is what was signed for."""
        if record.artefact_sha256 is None:
            return ""
        try:
            kept = (self._artefacts / record.artefact_sha256).read_bytes()
        except OSError as error:
            return f"its artefact cannot be read: {error.strerror}"
        is_whole = hashlib.sha256(kept).hexdigest() == record.artefact_sha256
        return "" if is_whole else "its artefact was changed"

    def _keep(self, artefact: bytes) -> str:
        digest = hashlib.sha256(artefact).hexdigest()
        path = self._artefacts / digest
        if not path.exists():
            replace_file(path, artefact)
        return digest


def sign(record: Evidence, signer: Signer) -> dict[str, Any]:
    """The record as an in-toto statement in a DSSE envelope."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": _subject(record),
        "predicateType": PREDICATE_TYPE,
        "predicate": asdict(record),
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    signed: dict[str, Any] = envelope.to_dict()
    return signed


def _subject(record: Evidence) -> list[dict[str, Any]]:
    """What the statement is about, in-toto's way."""
    return [{"name": record.subject, "digest": {"sha256": record.fingerprint}}]
