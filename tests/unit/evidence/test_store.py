"""A record counts only if it is what it says: every other one is kept, shown and refused."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from crossfade.control.evidence.store import EvidenceStore, sign
from crossfade.control.migration.people.approvals import RealPeople
from crossfade.control.migration.ports import CollectError, SignRequest
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.signing import CONTROL, SigningKeys
from crossfade.control.store.state_dir import StateDir
from crossfade.domain.evidence import Evidence, EvidenceKind, Verdict
from crossfade.domain.migration_spec import ComplianceSpec
from crossfade.domain.route import Target

NOW = 1_000_000.0


def drill(**change):
    base = Evidence(
        evidence_id="",
        kind=EvidenceKind.DRILL,
        migration="move",
        subject="move",
        fingerprint="f" * 64,
        collector=CONTROL,
        method="drill",
        observed={},
        verdict=Verdict.PASS,
        collected_unix_s=NOW,
        expires_unix_s=NOW + 1e6,
        artefact_sha256=None,
        signer=CONTROL,
    )
    return replace(base, **change)


@pytest.fixture
async def place(tmp_path):
    folder = StateDir(tmp_path)
    folder.prepare()
    log = await EventLog.open(f"sqlite:///{tmp_path}/control.db", lambda: NOW)
    store = EvidenceStore(log, folder, SigningKeys(folder.signing))

    async def put(envelope, migration="move"):
        await log.append(f"evidence/{migration}", "drill", envelope, actor="eve", reason="x")
        return (await store.of(migration))[-1]

    yield SimpleNamespace(log=log, store=store, keys=SigningKeys(folder.signing), put=put)
    await log.close()


async def test_a_signed_record_is_valid_with_its_artefact_by_hash(place):
    signed = await place.store.add(drill(), b"raw")
    (found,) = await place.store.of("move")
    assert found.valid
    assert found.evidence == signed.evidence
    assert len(found.evidence.artefact_sha256) == 64


async def test_the_proofs_verify_the_envelopes_without_this_machine(place):
    raw = "I approve.\r\nÄnn"
    signed = await place.store.add(drill(), raw.encode())
    proofs = await place.store.proofs("move")

    (key,) = proofs["keys"][CONTROL]
    public = SSlibKey.from_dict(key.pop("keyid"), key)
    assert Envelope.from_dict(signed.envelope).verify([public], 1)
    (digest,) = proofs["artefacts"]
    assert proofs["artefacts"][digest] == raw
    assert hashlib.sha256(raw.encode()).hexdigest() == digest == signed.evidence.artefact_sha256
    assert "PRIVATE" not in json.dumps(proofs)


async def test_what_is_shown_is_the_envelope_as_signed_for_others_to_verify(place):
    signed = await place.store.add(drill())
    for _ in range(2):
        (found,) = await place.store.of("move")
        assert found.envelope == signed.envelope
        shown = Envelope.from_dict(json.loads(json.dumps(found.envelope)))
        assert place.keys.is_signed_by(CONTROL, shown)


async def test_a_row_is_verified_once_and_again_when_the_keys_have_changed(place, tmp_path, monkeypatch):
    asked = []
    verify = SigningKeys.is_signed_by
    monkeypatch.setattr(
        SigningKeys,
        "is_signed_by",
        lambda keys, name, sealed: asked.append(name) or verify(keys, name, sealed),
    )
    await place.store.add(drill())
    for _ in range(3):
        assert (await place.store.of("move"))[0].valid
    assert asked == [CONTROL]
    (key,) = StateDir(tmp_path).signing.glob("*.pem")
    key.rename(tmp_path / "taken-away.pem")
    for _ in range(3):
        assert not (await place.store.of("move"))[0].valid
    assert asked == [CONTROL, CONTROL]
    (tmp_path / "taken-away.pem").rename(key)
    assert (await place.store.of("move"))[0].valid


async def test_a_changed_payload_does_not_verify(place):
    signed = await place.store.add(drill(verdict=Verdict.FAIL))
    statement = json.loads(base64.b64decode(signed.envelope["payload"]))
    statement["predicate"] |= {"verdict": "pass", "evidence_id": "other"}
    forged = {**signed.envelope, "payload": base64.b64encode(json.dumps(statement).encode()).decode()}
    found = await place.put(forged)
    assert (found.valid, found.problem) == (False, "its signature does not verify")


async def test_another_persons_key_does_not_sign_for_control(place):
    found = await place.put(sign(drill(evidence_id="a", signer="Eve"), place.keys.signer("Eve")))
    assert found.problem == f"a measurement must be signed by {CONTROL}"
    found = await place.put(sign(drill(evidence_id="b"), place.keys.signer("Eve")))
    assert not found.valid


async def test_an_approval_counts_only_from_the_person_it_names(place):
    record = drill(evidence_id="a", kind=EvidenceKind.SIGNOFF, observed={"role": "legal", "name": "Ann"})
    found = await place.put(sign(replace(record, signer="Eve"), place.keys.signer("Eve")))
    assert "signed by the person it names" in found.problem
    found = await place.put(sign(record, place.keys.signer(CONTROL)))
    assert "signed by the person it names" in found.problem


async def test_a_record_replayed_here_or_again_is_told(place):
    first = await place.store.add(drill())
    again = await place.put(first.envelope)
    assert again.problem == "it is a replay of an earlier record"
    elsewhere = await place.put(first.envelope, "other")
    assert elsewhere.problem == "it is of migration 'move', replayed here"


async def test_a_statement_bound_to_another_subject_is_refused(place):
    envelope = sign(drill(evidence_id="a"), place.keys.signer(CONTROL))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["subject"] = [{"name": "move", "digest": {"sha256": "0" * 64}}]
    bent = {**envelope, "payload": base64.b64encode(json.dumps(statement).encode()).decode()}
    assert (await place.put(bent)).problem == "the statement's subject is not the record's"


async def test_what_is_no_record_is_left_out_and_the_rest_stays(place):
    await place.log.append("evidence/move", "drill", {"payload": "!"}, actor="eve", reason="x")
    await place.store.add(drill())
    assert [found.valid for found in await place.store.of("move")] == [True]


def request(role, person, statement="approved", fingerprint="f" * 64):
    compliance = ComplianceSpec(("legal",), 86400.0)
    spec = SimpleNamespace(
        name="move",
        candidate="new",
        target=Target("new", {}),
        shown_parameters={},
        features=("recap",),
        compliance=compliance,
    )
    return SignRequest(spec, role, person, statement, fingerprint)


@pytest.fixture
def people(place, monkeypatch):
    monkeypatch.setattr(
        "crossfade.control.migration.people.approvals.fingerprint.fingerprint_fields", lambda *_: {}
    )
    return RealPeople(SimpleNamespace(store=place.store, config=dict, clock=lambda: NOW))


async def test_one_person_signs_once_for_a_candidate_as_it_is(people):
    await people.sign(request("legal", "Ann"))
    for role in ("legal", "security"):
        with pytest.raises(CollectError, match="Ann signed already, for legal"):
            await people.sign(request(role, "Ann"))
    await people.sign(request("security", "Bo"))
    await people.sign(request("legal", "Ann", fingerprint="0" * 64))  # it drifted: signed for anew


@pytest.mark.parametrize("spelling", ["ann", "ANN", " Ann ", "Ann\u00a0", "\uff21nn"])
async def test_another_spelling_of_a_name_is_not_another_person(people, spelling):
    await people.sign(request("legal", "Ann"))
    with pytest.raises(CollectError, match="signed already, for legal"):
        await people.sign(request("security", spelling))


async def test_a_key_file_that_is_no_key_verifies_nothing_and_stops_nothing(place, people, tmp_path):
    await people.sign(request("legal", "Ann"))
    await place.store.add(drill())
    next(tmp_path.rglob("ann-*.pem")).write_text("junk")
    fresh = EvidenceStore(place.log, StateDir(tmp_path), place.keys)
    found = {signed.evidence.signer: signed.problem for signed in await fresh.of("move")}
    assert found == {"Ann": "its signature does not verify", CONTROL: ""}


async def test_evidence_stands_with_its_artefact_as_it_was(place, tmp_path):
    added = await place.store.add(drill(), b"what was measured")
    artefact = next(path for path in tmp_path.rglob(added.evidence.artefact_sha256))
    for spoil, said in ((lambda: artefact.write_bytes(b"else"), "was changed"), (artefact.unlink, "be read")):
        spoil()
        (found,) = await place.store.of("move")
        assert (found.valid, said in found.problem) == (False, True)
    artefact.write_bytes(b"what was measured")
    assert (await place.store.of("move"))[0].valid


async def test_a_waiver_needs_two_people_and_some_gates_have_none(people):
    await people.waive(request("quality_parity", "Ann"))
    with pytest.raises(CollectError, match="Ann signed already"):
        await people.waive(request("quality_parity", "Ann"))
    await people.waive(request("latency_parity", "Ann"))
    for gate in ("compliance", "drill", "nonsense"):
        with pytest.raises(CollectError, match="cannot be waived"):
            await people.waive(request(gate, "Bo"))


@pytest.mark.parametrize(("person", "statement"), [(CONTROL, "approved"), ("Ann", "  ")])
async def test_nobody_signs_as_control_or_for_nothing(people, person, statement):
    with pytest.raises(CollectError):
        await people.sign(request("legal", person, statement))


async def test_a_row_that_was_verified_and_then_changed_does_not_verify(place, tmp_path):
    await place.store.add(drill(verdict=Verdict.FAIL))
    assert (await place.store.of("move"))[0].valid
    with sqlite3.connect(tmp_path / "control.db") as database:
        database.execute("DROP TRIGGER events_no_update")
        (text,) = database.execute("SELECT payload FROM events").fetchone()
        envelope = json.loads(text)
        statement = json.loads(base64.b64decode(envelope["payload"]))
        statement["predicate"]["verdict"] = "pass"
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
        database.execute("UPDATE events SET payload = ?", [json.dumps(envelope)])
    assert not (await place.store.of("move"))[0].valid


async def test_a_person_attests_what_the_newest_checks_could_not_see_and_nothing_else(place, people):
    with pytest.raises(CollectError, match="have not run yet"):
        await people.attest(request("privacy", "Bo"), ())
    facts = [{"name": name, "detail": "no API tells"} for name in ("retention of e", "network of e")]
    observed = {"checks": [], "attest": facts}
    posture = drill(kind=EvidenceKind.POSTURE, subject="new", observed=observed, fingerprint="f" * 64)
    await place.store.add(posture)

    (one,) = await people.attest(request("privacy", "Bo"), ("retention of e",))
    both = await people.attest(request("privacy", "Bo"), ())
    await people.sign(request("legal", "Bo"))  # a statement of fact is no approval

    assert (one.evidence.subject, one.evidence.signer) == ("retention of e", "Bo")
    assert one.evidence.expires_unix_s == NOW + 86400.0
    assert [signed.evidence.subject for signed in both] == ["retention of e", "network of e"]
    assert all(signed.valid for signed in await place.store.of("move"))
    with pytest.raises(CollectError, match="needs no attestation"):
        await people.attest(request("privacy", "Bo"), ("the weather",))
    with pytest.raises(CollectError, match="have not run yet"):
        await people.attest(request("privacy", "Bo", fingerprint="0" * 64), ())


async def test_an_attestation_signed_by_another_than_it_names_is_refused(place):
    forged = drill(
        kind=EvidenceKind.ATTESTATION, subject="retention of e", signer="eve",
        observed={"role": "privacy", "name": "Bo"},
    )  # fmt: skip

    signed = await place.put(sign(forged, place.keys.signer("eve")))

    assert not signed.valid
    assert "signed by the person it names" in signed.problem
