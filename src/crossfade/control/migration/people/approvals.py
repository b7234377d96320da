"""Sign-offs, waivers and attestations by person, labels by rater: each with the person's own key or name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from crossfade.control.evidence import fingerprint, pairs
from crossfade.control.migration.collecting.collectors import CollectorParts, read_labels
from crossfade.control.migration.gates import WAIVABLE, WAIVER_DAYS
from crossfade.control.migration.ports import CollectError, SignRequest
from crossfade.control.store.signing import CONTROL, SigningError
from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.domain.people import person_key

FOUR_EYES = (EvidenceKind.SIGNOFF, EvidenceKind.WAIVER)
METHODS = {
    EvidenceKind.SIGNOFF: "sign-off",
    EvidenceKind.WAIVER: "waiver",
    EvidenceKind.ATTESTATION: "attestation",
}


def refuse_empty(request: SignRequest) -> None:
    """Somebody says something. Raises `CollectError`."""
    if not request.statement.strip():
        raise CollectError("the statement is empty (hint: say what you approve)")
    if person_key(request.person) == CONTROL:
        raise CollectError(f"{CONTROL!r} is no person (hint: sign with your own name)")


class RealPeople:
    """`ports.PeoplePort`: sign-offs by person, labels by rater."""

    def __init__(self, parts: CollectorParts, salt: str = "labels") -> None:
        self._parts = parts
        self._salt = salt

    async def sign(self, request: SignRequest) -> SignedEvidence:
        """Sign a statement for a role with the person's own key.

        Raises:
            CollectError: if the person signed already, for this role or another.
        """
        await self._refuse_second(request)
        shown = replace(request.spec.target, set=request.spec.shown_parameters)
        fields = fingerprint.fingerprint_fields(self._parts.config(), shown, request.spec.features)
        observed = {"role": request.role, "name": request.person, "signed_for": fields}
        record = self._approval(
            EvidenceKind.SIGNOFF, request, request.spec.candidate, observed, request.spec.compliance.expires_s
        )
        return await self._add(record, request.statement)

    async def waive(self, request: SignRequest) -> SignedEvidence:
        """One of the two signatures that let a migration go on without a gate; `role` is the gate.

        Raises:
            CollectError: if the gate cannot be waived, or the person waived it already.
        """
        gate = request.role
        if gate not in WAIVABLE:
            raise CollectError(f"{gate!r} cannot be waived (hint: {', '.join(WAIVABLE)} can, by two people)")
        await self._refuse_second(request)
        observed = {"gate": gate, "name": request.person}
        record = self._approval(EvidenceKind.WAIVER, request, gate, observed, WAIVER_DAYS * 86400.0)
        return await self._add(record, request.statement)

    async def attest(self, request: SignRequest, facts: tuple[str, ...]) -> tuple[SignedEvidence, ...]:
        """Sign facts that the newest machine checks could not see; none named: all of them.

        Raises:
            CollectError: if there are no such checks yet, or they did not ask for one of the facts.
        """
        refuse_empty(request)
        records = [
            signed.evidence for signed in await self._parts.store.of(request.spec.name) if signed.valid
        ]
        checks = [
            r for r in records if r.kind is EvidenceKind.POSTURE and r.fingerprint == request.fingerprint
        ]
        if not checks:
            raise CollectError("the machine checks have not run yet (hint: attest when the gate asks for it)")
        open_facts = [str(fact["name"]) for fact in checks[-1].observed.get("attest", ())]
        for fact in facts:
            if fact not in open_facts:
                known = ", ".join(open_facts) or "nothing"
                raise CollectError(f"{fact!r} needs no attestation (hint: these do: {known})")
        signed = []
        for fact in facts or tuple(open_facts):
            observed = {"role": request.role, "name": request.person}
            expires_s = request.spec.compliance.expires_s
            record = self._approval(EvidenceKind.ATTESTATION, request, fact, observed, expires_s)
            signed.append(await self._add(record, request.statement))
        return tuple(signed)

    async def _add(self, record: Evidence, statement: str) -> SignedEvidence:
        try:
            return await self._parts.store.add(record, statement.encode())
        except SigningError as error:
            raise CollectError(str(error)) from error

    async def _refuse_second(self, request: SignRequest) -> None:
        """Four eyes are two people: one person approves one thing of a candidate as it is now."""
        refuse_empty(request)
        now = self._parts.clock()
        for signed in await self._parts.store.of(request.spec.name):
            record = signed.evidence
            is_theirs = record.kind in FOUR_EYES and signed.valid
            is_fresh = record.fingerprint == request.fingerprint and record.expires_unix_s > now
            is_theirs = is_theirs and person_key(record.signer) == person_key(request.person)
            if not (is_theirs and is_fresh):
                continue
            before = str(record.observed.get("role") or record.observed.get("gate"))
            is_waiver, was_waiver = request.role in WAIVABLE, record.kind is EvidenceKind.WAIVER
            if is_waiver == was_waiver and (before == request.role or not is_waiver):
                raise CollectError(
                    f"{request.person} signed already, for {before} (hint: another person must sign for "
                    f"{request.role})"
                )

    def _approval(
        self,
        kind: EvidenceKind,
        request: SignRequest,
        subject: str,
        observed: dict[str, Any],
        expires_s: float,
    ) -> Evidence:
        now = self._parts.clock()
        return Evidence(
            evidence_id="",
            kind=kind,
            migration=request.spec.name,
            subject=subject,
            fingerprint=request.fingerprint,
            collector=request.person,
            method=METHODS[kind],
            observed=observed,
            verdict=Verdict.PASS,
            collected_unix_s=now,
            expires_unix_s=now + expires_s,
            artefact_sha256=None,
            signer=request.person,
        )

    async def label_queue(self, spec: MigrationSpec) -> list[dict[str, Any]]:
        """Sampled pairs without a label, blind: X and Y in an order only the salt knows."""
        labelled = await read_labels(self._parts.log, spec.name)
        waiting = [pair for pair in await self._sampled(spec) if pair.pair_id not in labelled]
        left = max(0, spec.quality.labels_at_most - len(labelled))
        return [self._blind(pair) for pair in waiting[:left]]

    async def label(self, spec: MigrationSpec, labels: list[dict[str, Any]], rater: str) -> int:
        """Take labels in. Refuses pairs outside the sample and labels of one side only."""
        sampled = {pair.pair_id for pair in await self._sampled(spec)}
        rows = []
        for label in labels:
            pair_id, scores = label.get("id"), (label.get("score_x"), label.get("score_y"))
            if not isinstance(pair_id, str) or pair_id not in sampled:
                raise CollectError(f"pair {pair_id} is not in the sample (hint: label what the queue shows)")
            if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores):
                raise CollectError(f"pair {pair_id}: both scores are needed, each between 0 and 1")
            first, second = (float(score) for score in scores if score is not None)
            swap = not pairs.shows_incumbent_first(self._salt, str(pair_id))
            incumbent, candidate = (second, first) if swap else (first, second)
            rows.append({"id": pair_id, "incumbent": incumbent, "candidate": candidate})
        known = {
            (event.actor, label["id"])
            for event in await self._parts.log.read(f"labels/{spec.name}")
            for label in event.payload["labels"]
        }
        fresh = [row for row in rows if (rater, row["id"]) not in known]
        if fresh:
            await self._parts.log.append(
                f"labels/{spec.name}", "labels", {"labels": fresh}, actor=rater, reason=f"{len(fresh)} labels"
            )
        return len(fresh)

    async def _sampled(self, spec: MigrationSpec) -> list[pairs.Pair]:
        found = [
            pair
            for feature in spec.features
            for pair in await asyncio.to_thread(pairs.pairs_of, self._parts.records, spec.name, feature, 0.0)
        ]
        return [p for p in found if pairs.is_sampled(self._salt, p.pair_id, spec.quality.label_rate)]

    def _blind(self, pair: pairs.Pair) -> dict[str, Any]:
        answers = (pair.incumbent, pair.candidate)
        x, y = answers if pairs.shows_incumbent_first(self._salt, pair.pair_id) else reversed(answers)
        return {"id": pair.pair_id, "prompt": pair.source, "answer_x": x, "answer_y": y}
