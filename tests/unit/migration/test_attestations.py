"""What no API shows must be attested where a feature's policy says so: by the right role, and validly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crossfade.control.migration import playbook
from crossfade.control.migration.playbook import next_action
from crossfade.domain.evidence import EvidenceKind, Verdict
from crossfade.domain.migration import Ask, Collect, RollBack

FACTS = ("retention of new-1", "private network of new-1")
SEEN = {
    "checks": [{"name": "pinned model of new-1", "ok": True, "detail": "x-1"}],
    "attest": [{"name": fact, "detail": "no API tells"} for fact in FACTS],
}


@pytest.fixture
def decide(world):
    """The next action with these records besides a passing posture that leaves two facts open."""

    def decided(*records, state=None, posture=SEEN, roles=("privacy",), now=None):
        known = world.full()
        known["posture"] = world.evidence(EvidenceKind.POSTURE, "new", observed=posture)
        state = state or world.state()
        seen = world.observations(attesting_roles=roles, gateways=(world.gateway(share=state.share),))
        return next_action(state, (*known.values(), *records), seen, now or world.NOW)

    return decided


@pytest.fixture
def attested(world):
    def made(fact, role="privacy", **change):
        observed = {"role": role, "name": "bo"}
        return world.evidence(EvidenceKind.ATTESTATION, fact, observed=observed, signer="bo", **change)

    return made


def passes(action) -> bool:
    """Whether the compliance gate is not what the migration waits for."""
    return not isinstance(action, Ask | RollBack) and not (
        isinstance(action, Collect) and action.kind is EvidenceKind.POSTURE
    )


def test_without_a_policy_the_facts_are_only_named(decide):
    assert passes(decide(roles=()))


def test_the_gate_asks_the_role_for_each_fact_by_name(decide):
    action = decide()

    assert isinstance(action, Ask)
    assert (action.roles, action.kind) == (("privacy",), EvidenceKind.ATTESTATION)
    assert action.reason == f"compliance needs an attestation of {', '.join(FACTS)}"


def test_it_opens_when_every_fact_is_attested(decide, attested):
    action = decide(attested(FACTS[0]))

    assert isinstance(action, Ask)
    assert FACTS[0] not in action.reason
    assert passes(decide(*map(attested, FACTS)))


def test_every_role_of_the_policy_must(decide, attested):
    by_one = [attested(fact) for fact in FACTS]
    by_both = [*by_one, *(attested(fact, "security") for fact in FACTS)]

    assert decide(*by_one, roles=("privacy", "security")).roles == ("security",)
    assert passes(decide(*by_both, roles=("privacy", "security")))


@pytest.mark.parametrize(
    "change",
    [
        {"expires_unix_s": 1.0},
        {"fingerprint": "0" * 64},
        {"valid": False},
        {"verdict": Verdict.FAIL},
        {"migration": "another"},
    ],
    ids=["expired", "bound to another candidate", "not signed by its signer", "refused", "of another"],
)
def test_an_attestation_that_does_not_hold_opens_nothing(decide, attested, change):
    action = decide(attested(FACTS[0], **change), attested(FACTS[1]))

    assert isinstance(action, Ask)
    assert action.reason.endswith(FACTS[0])


def test_a_check_that_an_api_answers_with_no_cannot_be_attested_away(world, attested):
    known = world.full()
    broken = {"checks": [{"name": "private DNS of new-1", "ok": False, "detail": "off"}], "attest": []}
    known["posture"] = world.evidence(EvidenceKind.POSTURE, "new", observed=broken, verdict=Verdict.FAIL)
    records = (*known.values(), attested("private DNS of new-1"))
    action = next_action(world.state(), records, world.observations(attesting_roles=("privacy",)), world.NOW)

    assert "posture fails: private DNS of new-1" in action.reason


def test_an_expired_attestation_takes_the_candidate_out_of_a_rollout(world, decide, attested):
    held = [attested(fact) for fact in FACTS]
    ended = [replace(one, evidence=replace(one.evidence, expires_unix_s=world.NOW - 1)) for one in held]
    state = world.at_stage(2)

    assert passes(decide(*held, state=state))
    assert isinstance(decide(*ended, state=state), RollBack)


def test_what_an_api_showed_yesterday_holds_while_its_record_does(world, decide, attested):
    yesterday = world.evidence(
        EvidenceKind.POSTURE,
        "new",
        observed={**SEEN, "attest": SEEN["attest"][:1]},
        collected_unix_s=world.NOW - 86400,
    )

    assert passes(decide(yesterday, attested(FACTS[0]), state=world.at_stage(2)))


def test_a_role_added_to_the_policy_is_asked_at_once_in_the_middle_of_a_rollout(world):
    known = {**world.full(), "posture": world.evidence(EvidenceKind.POSTURE, "new", observed=SEEN)}
    evidence, state = tuple(known.values()), world.at_stage(2)
    seen = world.observations(gateways=(world.gateway(share=state.share),))
    before = playbook.decide(state, evidence, seen, world.NOW)
    assert passes(before.action)

    asked = replace(seen, attesting_roles=("privacy",))
    assert not passes(playbook.decide(state, evidence, asked, world.NOW + 1.0, before).action)
