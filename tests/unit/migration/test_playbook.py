from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossfade.control.migration import rollout
from crossfade.control.migration.playbook import next_action
from crossfade.domain.evidence import EvidenceKind, Verdict
from crossfade.domain.migration import (
    Advance,
    Approvals,
    Ask,
    Close,
    Collect,
    Exposure,
    Failure,
    Frozen,
    GuardCount,
    Hold,
    Incident,
    Lull,
    MigrationState,
    Promote,
    RollBack,
    StageCounts,
)
from crossfade.domain.migration_spec import FreezeWindow


def decide(world, state, records=None, now=None, **seen):
    records = world.full() if records is None else records
    seen.setdefault("gateways", (world.gateway(share=state.share),))
    return next_action(state, tuple(records.values()), world.observations(**seen), now or world.NOW)


def counted(share, baseline, *numbers):
    return StageCounts(share, baseline, *numbers, guards=(GuardCount("errors", *numbers),))


def fine(share, baseline=None, requests=100):
    return counted(share, share if baseline is None else baseline, requests, 0, requests, 0)


def test_a_state_with_other_counts_is_the_same_but_for_them(world):
    values = {one.name: object() for one in fields(MigrationState)}
    after = MigrationState(**values).with_counts((fine(0.5),))
    assert {one.name: getattr(after, one.name) for one in fields(after)} == {**values, "counts": (fine(0.5),)}


def test_nothing_collected_first_checks_the_posture_without_any_exposure(world):
    action = decide(world, world.state(), {})
    assert action == Collect(EvidenceKind.POSTURE, "new", Exposure.NONE, "machine checks of the candidate")


def test_asks_every_missing_role_of_policy_and_spec(world):
    records = {"posture": world.full()["posture"]}
    action = decide(world, world.state(), records)
    assert isinstance(action, Ask)
    assert action.roles == ("security", "legal")


@pytest.mark.parametrize(
    ("missing", "kind", "subject", "exposure"),
    [
        ("mapping", EvidenceKind.CAPACITY_MAPPING, "new", Exposure.ELIGIBLE),
        ("shadow_confirmation-recap", EvidenceKind.SHADOW_CONFIRMATION, "recap", Exposure.SHADOW),
        ("quality_parity-search", EvidenceKind.QUALITY_PARITY, "search", Exposure.SHADOW),
        ("latency_parity-recap", EvidenceKind.LATENCY_PARITY, "recap", Exposure.SHADOW),
        ("drill", EvidenceKind.DRILL, "move", Exposure.ELIGIBLE),
    ],
)
def test_collects_the_first_missing_evidence(world, missing, kind, subject, exposure):
    records = world.full()
    del records[missing]
    action = decide(world, world.state(), records)
    assert isinstance(action, Collect)
    assert (action.kind, action.subject, action.exposure) == (kind, subject, exposure)


def test_a_failing_gate_holds_until_resumed_then_measures_again(world):
    records = world.full()
    failed = records["mapping"].evidence
    records["mapping"] = replace(records["mapping"], evidence=replace(failed, verdict=Verdict.FAIL))
    assert isinstance(decide(world, world.state(), records), Hold)
    assert isinstance(decide(world, world.state(resumed_unix_s=world.NOW - 1), records), Collect)


def test_too_few_units_hold_and_more_units_open_the_gate(world):
    held = decide(world, world.state(), purchased_units=5.0)
    assert isinstance(held, Hold)
    assert "5.75" in held.reason
    assert isinstance(decide(world, world.state(), purchased_units=5.75), Advance)


def test_unknown_units_hold(world):
    assert isinstance(decide(world, world.state(), purchased_units=None), Hold)


def test_failed_collection_backs_off_and_tries_again(world):
    records = world.full()
    del records["mapping"]
    failure = Failure(EvidenceKind.CAPACITY_MAPPING, "new", "refused", 3, world.NOW - 5)
    state = world.state(failures=(failure,))
    assert isinstance(decide(world, state, records), Hold)
    assert isinstance(decide(world, state, records, world.NOW + 4), Collect)


def test_inconclusive_evidence_is_measured_again_after_a_pause(world):
    records = world.full()
    old = records["quality_parity-recap"]
    young = replace(old.evidence, verdict=Verdict.INCONCLUSIVE, collected_unix_s=world.NOW - 1)
    records["quality_parity-recap"] = replace(old, evidence=young)
    assert isinstance(decide(world, world.state(), records), Hold)
    assert isinstance(decide(world, world.state(), records, world.NOW + 10), Collect)


def test_all_gates_open_start_the_first_stage(world):
    assert decide(world, world.state()) == Advance(0.01, 1, False, "every gate passes")


def test_no_gateway_in_sight_starts_no_stage(world):
    assert isinstance(decide(world, world.state(), gateways=()), Hold)
    assert isinstance(decide(world, world.state(), gateways=(world.gateway(silent_s=6.0),)), Hold)


def test_a_stage_bakes_then_advances_on_weak_evidence_and_says_so(world):
    state = world.at_stage(1, counts=(fine(0.01),))
    young = replace(state, stage_began_unix_s=world.NOW - 10)
    assert isinstance(decide(world, young), Hold)
    action = decide(world, state)
    assert isinstance(action, Advance)
    assert (action.share, action.stage, action.weak) == (0.05, 2, True)


def test_too_few_requests_never_advance_however_long_it_baked(world):
    state = world.at_stage(1, counts=(fine(0.01, requests=49),), stage_began_unix_s=world.NOW - 1e6)
    assert isinstance(decide(world, state), Hold)


def test_weak_evidence_above_the_limit_needs_a_person(world):
    spec = replace(world.SPEC, rollout=replace(world.SPEC.rollout, weak_up_to=0.25))
    state = world.at_stage(4, spec=spec, counts=(fine(0.5),))
    held = decide(world, state)
    assert isinstance(held, Hold)
    assert "person" in held.reason
    approved = replace(state, approvals=Approvals(advance_unix_s=world.NOW - 1))
    assert isinstance(decide(world, approved), Advance)


def test_nobody_is_asked_for_an_advance_while_an_incident_is_fresh(world):
    spec = replace(world.SPEC, rollout=replace(world.SPEC.rollout, weak_up_to=0.25))
    incident = Incident("recap: fails", world.NOW - 900.0, ended_unix_s=world.NOW - 60.0)
    held = decide(world, world.at_stage(4, spec=spec, counts=(fine(0.5),), incident=incident))
    assert isinstance(held, Hold)
    assert "in trouble" in held.reason
    assert "person" not in held.reason

    calm = replace(incident, ended_unix_s=world.NOW - 3600.0)
    held = decide(world, world.at_stage(4, spec=spec, counts=(fine(0.5),), incident=calm))
    assert "needs a person" in held.reason


def test_an_approval_does_not_advance_over_missing_evidence(world):
    state = world.at_stage(1, counts=(fine(0.01),), approvals=Approvals(advance_unix_s=world.NOW))
    records = world.full()
    del records["quality_parity-recap"]
    assert isinstance(decide(world, state, records), Collect)


def test_skewed_traffic_holds(world):
    skewed = counted(0.01, 0.01, 400, 0, 100, 0)
    held = decide(world, world.at_stage(1, counts=(skewed,)))
    assert isinstance(held, Hold)
    assert "match the shares" in held.reason


def test_a_local_rollback_of_a_gateway_rolls_back_everywhere(world):
    seen = (world.gateway("g1"), world.gateway("g2", local="breaker open"))
    action = decide(world, world.at_stage(2), gateways=seen)
    assert isinstance(action, RollBack)
    assert "g2" in action.reason


def test_a_local_rollback_of_an_older_epoch_is_history(world):
    state = world.at_stage(2, epoch=2, counts=(fine(0.05),))
    action = decide(world, state, gateways=(world.gateway(epoch=1, local="breaker open"),))
    assert not isinstance(action, RollBack)


def test_crossed_guard_rolls_back_even_when_held(world):
    harm = counted(0.25, 0.25, 200, 30, 200, 0)
    action = decide(world, world.at_stage(3, counts=(harm,), held="lunch"))
    assert isinstance(action, RollBack)
    assert "errors guard at 25%" in action.reason


def test_an_incident_of_both_arms_does_not_roll_back(world):
    both = counted(0.25, 0.25, 200, 60, 200, 58)
    assert not isinstance(decide(world, world.at_stage(3, counts=(both,))), RollBack)


def test_harm_at_full_share_is_seen_without_a_control(world):
    counts = (fine(0.5, requests=2000), counted(1.0, 0.0, 300, 40, 0, 0))
    assert isinstance(decide(world, world.at_stage(5, counts=counts)), RollBack)


def test_operator_hold_holds(world):
    assert decide(world, world.at_stage(1, counts=(fine(0.01),), held="lunch")) == Hold(
        "held by an operator: lunch"
    )


def test_changed_fingerprint_withdraws_the_candidate_at_once(world):
    for state in (world.at_stage(3, counts=(fine(0.25),)), world.state(exposure=Exposure.SHADOW)):
        action = decide(world, state, fingerprint="0" * 64)
        assert isinstance(action, RollBack)
        assert action.withdraw


def test_unexposed_candidate_with_a_changed_fingerprint_is_checked_again(world):
    action = decide(world, world.state(), fingerprint="0" * 64)
    assert isinstance(action, Collect)
    assert action.kind is EvidenceKind.POSTURE


def test_missing_telemetry_holds_then_goes_one_stage_back(world):
    state = world.at_stage(3, counts=(fine(0.25),))
    assert isinstance(decide(world, state, gateways=(world.gateway(silent_s=10.0),)), Hold)
    action = decide(world, state, gateways=(world.gateway(silent_s=61.0),))
    assert isinstance(action, RollBack)
    assert (action.share, action.stage) == (0.05, 2)


def test_a_control_that_has_just_started_waits_for_the_gateways_to_speak(world):
    state = world.at_stage(3, counts=(fine(0.25),))
    assert isinstance(decide(world, state, gateways=(), watched_s=0.0), Hold)
    assert isinstance(decide(world, state, gateways=(), watched_s=59.0), Hold)
    back = decide(world, state, gateways=(), watched_s=61.0)
    assert isinstance(back, RollBack)
    assert back.stage == 2


def test_rolled_back_waits_for_resume(world):
    held = decide(world, world.state(rolled_back="guard"))
    assert isinstance(held, Hold)
    assert "guard" in held.reason


def test_pending_rollback_comes_before_everything(world):
    pending = RollBack("guard")
    assert decide(world, world.state(pending=pending, rolled_back="guard", held="x")) == pending


def test_guard_is_watched_while_a_step_back_is_pending(world):
    harm = counted(0.25, 0.25, 200, 30, 200, 0)
    state = world.at_stage(2, counts=(harm,), pending=RollBack("blind", 0.05, 2))
    action = decide(world, state)
    assert isinstance(action, RollBack)
    assert action.share == 0.0


def test_a_drill_ages_at_the_start_of_the_rollout_and_blocks_the_next_one(world):
    records = world.full()
    old = replace(records["drill"].evidence, collected_unix_s=world.NOW - 8 * 86400.0)
    records["drill"] = replace(records["drill"], evidence=old)
    assert isinstance(decide(world, world.state(), records), Collect)
    state = world.at_stage(1, counts=(fine(0.01),), rollout_began_unix_s=world.NOW - 5 * 86400.0)
    assert isinstance(decide(world, state, records), Advance)


def test_a_drill_of_before_an_upgrade_is_walked_again_before_the_first_stage_and_ends_no_rollout(world):
    records = world.full()
    old = replace(records["drill"].evidence, observed={"software": "1.0"})
    records["drill"] = replace(records["drill"], evidence=old)
    assert isinstance(decide(world, world.state(), records, software="1.0"), Advance)
    action = decide(world, world.state(), records, software="1.1")
    assert isinstance(action, Collect)
    assert (action.kind, action.reason) == (
        EvidenceKind.DRILL, "the drill was walked by version 1.0, this is 1.1"
    )  # fmt: skip
    assert isinstance(decide(world, world.state(), world.full(), software="1.1"), Collect)
    state = world.at_stage(1, counts=(fine(0.01),))
    assert isinstance(decide(world, state, records, software="1.1"), Advance)


def test_a_drill_that_has_expired_is_walked_again_or_holds_the_share_where_it_is(world):
    records = world.full()
    gone = replace(records["drill"].evidence, expires_unix_s=world.NOW - 1.0)
    records["drill"] = replace(records["drill"], evidence=gone)
    action = decide(world, world.state(), records)
    assert isinstance(action, Collect)
    assert action.reason == "drill: it has expired"
    action = decide(world, world.at_stage(1, counts=(fine(0.01),)), records)
    assert action == Hold("drill: it has expired", "a drill needs share 0: `rollback`, then `resume`")


def test_an_asked_drill_runs_before_the_first_stage(world):
    state = world.state(approvals=Approvals(drill_unix_s=world.NOW - 1))
    action = decide(world, state)
    assert isinstance(action, Collect)
    assert action.kind is EvidenceKind.DRILL


def test_last_stage_soaks_then_promotes(world):
    counts = (fine(0.5), fine(1.0, 0.0))
    assert isinstance(decide(world, world.at_stage(5, counts=counts)), Hold)
    soaked = world.at_stage(5, counts=counts, stage_began_unix_s=world.NOW - 5000)
    assert isinstance(decide(world, soaked), Promote)


def test_an_operator_may_shorten_the_soak_but_not_skip_the_evidence(world):
    asked = Approvals(promote_unix_s=world.NOW)
    enough, few = (fine(0.5), fine(1.0, 0.0)), (fine(0.5), fine(1.0, 0.0, requests=3))
    assert isinstance(decide(world, world.at_stage(5, counts=enough, approvals=asked)), Promote)
    assert isinstance(decide(world, world.at_stage(5, counts=few, approvals=asked)), Hold)


def test_promoted_closes_when_asked_or_in_time(world):
    state = world.at_stage(5, counts=(fine(1.0, 0.0),), promoted_unix_s=world.NOW - 10)
    assert isinstance(decide(world, state), Hold)
    assert isinstance(decide(world, replace(state, approvals=Approvals(close_unix_s=world.NOW))), Close)
    assert isinstance(decide(world, replace(state, promoted_unix_s=world.NOW - 1e6)), Close)


def test_closed_does_nothing(world):
    assert decide(world, world.state(closed_unix_s=world.NOW)) == Hold("closed")


SPOILS = (
    "missing",
    "expired",
    "unsigned",
    "other fingerprint",
    "inconclusive",
    "fail",
    "future",
    "other migration",
)


def spoil(signed, how, now):
    record = signed.evidence
    match how:
        case "expired":
            return replace(signed, evidence=replace(record, expires_unix_s=now))
        case "unsigned":
            return replace(signed, valid=False)
        case "other fingerprint":
            return replace(signed, evidence=replace(record, fingerprint="0" * 64))
        case "inconclusive":
            return replace(signed, evidence=replace(record, verdict=Verdict.INCONCLUSIVE))
        case "fail":
            return replace(signed, evidence=replace(record, verdict=Verdict.FAIL))
        case "future":
            return replace(signed, evidence=replace(record, collected_unix_s=now + 1e5))
        case _:
            return replace(signed, evidence=replace(record, migration="another"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_spoiled_evidence_ever_advances(world, data):
    records = world.full()
    spoiled = data.draw(st.lists(st.sampled_from(sorted(records)), min_size=1, unique=True))
    for name in spoiled:
        how = data.draw(st.sampled_from(SPOILS))
        if how == "missing":
            del records[name]
        else:
            records[name] = spoil(records[name], how, world.NOW)
    stage = data.draw(st.integers(0, 5))
    asked = Approvals(*(data.draw(st.sampled_from([None, world.NOW])) for _ in range(4)))
    counts = tuple(fine(share, min(share, 1 - share), 10**6) for share in world.SPEC.rollout.stages[:stage])
    changes = {
        "approvals": asked,
        "counts": counts,
        "resumed_unix_s": data.draw(st.sampled_from([0.0, world.NOW])),
    }
    pending = data.draw(st.sampled_from([None, Advance(1.0, 5, False, ""), Promote("")]))
    state = (
        world.at_stage(stage, pending=pending, **changes)
        if stage
        else world.state(pending=pending, **changes)
    )
    state = replace(state, stage_began_unix_s=0.0)
    action = decide(world, state, records)
    assert not isinstance(action, Advance | Promote)


def waiver(world, gate, person, **change):
    record = {"observed": {"gate": gate, "name": person}, "signer": person, **change}
    return world.evidence(EvidenceKind.WAIVER, gate, **record)


def test_two_peoples_waivers_open_a_gate_and_one_persons_do_not(world):
    records = world.full()
    del records["latency_parity-recap"]
    records["a"] = waiver(world, "latency_parity", "Ann")
    records["b"] = waiver(world, "latency_parity", "Ann", evidence_id="second")
    assert isinstance(decide(world, world.state(), records), Collect)
    records["c"] = waiver(world, "latency_parity", "Bo", expires_unix_s=world.NOW - 1.0)
    assert isinstance(decide(world, world.state(), records), Collect)
    records["c"] = waiver(world, "latency_parity", "Bo")
    assert isinstance(decide(world, world.state(), records), Advance)


def test_compliance_and_the_drill_have_no_waiver(world):
    records = world.full()
    del records["drill"]
    records |= {person: waiver(world, "drill", person) for person in ("Ann", "Bo")}
    assert isinstance(decide(world, world.state(), records), Collect)


def test_a_wide_margin_needs_two_people(world):
    state = world.state()
    wide = replace(state.spec.quality, margins={"rubric": 0.4})
    state = replace(state, spec=replace(state.spec, quality=wide))
    held = decide(world, state)
    assert isinstance(held, Hold)
    assert "needs two people" in held.reason
    records = world.full() | {person: waiver(world, "wide_margins", person) for person in ("Ann", "Bo")}
    assert isinstance(decide(world, state, records), Advance)


def test_one_person_does_not_sign_for_two_roles(world):
    records = world.full()
    for role in ("security", "legal"):
        records[f"signoff-{role}"] = world.evidence(
            EvidenceKind.SIGNOFF, "new", observed={"role": role}, signer="Ann"
        )
    asked = decide(world, world.state(), records)
    assert isinstance(asked, Ask)
    assert len(asked.roles) == 1
    assert isinstance(decide(world, world.at_stage(1), records), RollBack)


def strong(share, baseline=None, **change):
    return replace(fine(share, baseline, requests=3000), **change)


def rollout_with(state, **change):
    return replace(state, spec=replace(state.spec, rollout=replace(state.spec.rollout, **change)))


FRIDAY_NIGHT = FreezeWindow(4 * 1440 + 15 * 60, 8 * 60, "Europe/Berlin", "Fri 15:00 - Mon 08:00")


@pytest.mark.parametrize(
    ("text", "is_frozen"),
    [
        ("2026-11-27T13:59:00+00:00", False),  # a Friday, 14:59 in Berlin
        ("2026-11-27T14:00:00+00:00", True),
        ("2026-11-29T12:00:00+00:00", True),
        ("2026-11-30T06:59:00+00:00", True),
        ("2026-11-30T07:00:00+00:00", False),
        ("2026-07-31T13:00:00+00:00", True),  # summer: 15:00 in Berlin
    ],
)
def test_no_share_is_raised_in_a_freeze_window_by_the_clock_of_its_zone(world, text, is_frozen):
    now = datetime.fromisoformat(text).timestamp()
    assert rollout.is_within(FRIDAY_NIGHT, now) is is_frozen


def test_a_frozen_rollout_holds_before_the_first_stage_and_between_stages_but_still_rolls_back(world):
    always = FreezeWindow(0, 7 * 1440, "UTC", "Mon 00:00 - Sun 24:00")
    held = decide(world, rollout_with(world.state(), freeze=(always,)))
    assert isinstance(held, Hold)
    assert held.reason.startswith("frozen")
    done = rollout_with(world.at_stage(1, counts=(strong(0.01),)), freeze=(always,))
    assert isinstance(decide(world, done), Hold)
    bad = rollout_with(world.at_stage(3, counts=(counted(0.25, 0.25, 200, 30, 200, 0),)), freeze=(always,))
    assert isinstance(decide(world, bad), RollBack)


def test_a_burning_error_budget_stops_the_climb(world):
    state = world.at_stage(1, counts=(strong(0.01),))
    assert isinstance(decide(world, state), Advance)
    held = decide(world, state, incident="recap: more than 2.0% of its callers see errors")
    assert isinstance(held, Hold)
    assert "callers see errors" in held.reason


def test_half_of_the_traffic_is_not_reached_without_having_seen_a_peak(world):
    frozen = Frozen({}, peak_per_s=100.0)
    quiet = world.at_stage(3, counts=(strong(0.25, busiest_per_s=40.0),), frozen=frozen)
    held = decide(world, quiet)
    assert isinstance(held, Hold)
    assert "peak" in held.reason
    assert isinstance(decide(world, replace(quiet, counts=(strong(0.25, busiest_per_s=95.0),))), Advance)
    assert isinstance(decide(world, rollout_with(quiet, needs_peak=False)), Advance)
    a_day = replace(quiet, stage_began_unix_s=world.NOW - 86401.0, rollout_began_unix_s=world.NOW - 86401.0)
    assert isinstance(decide(world, a_day), Advance)


def test_a_missing_arm_holds_and_after_a_minute_steps_back(world):
    state = world.at_stage(3, counts=(strong(0.25),))
    few = decide(world, state, lull=Lull("candidate", 5.0, 30.0))
    assert isinstance(few, Advance)  # five expected and none seen is chance
    held = decide(world, state, lull=Lull("candidate", 40.0, 30.0))
    assert held == Hold("no candidate data", "40 requests expected in 30 s, none reported")
    back = decide(world, state, lull=Lull("baseline", 40.0, 60.0))
    assert isinstance(back, RollBack)
    assert (back.share, back.stage) == (0.05, 2)


def test_a_guard_without_data_or_limit_holds_the_stage(world):
    state = rollout_with(world.at_stage(1, counts=(strong(0.01),)), guards=("errors", "ttft"))
    held = decide(world, state)
    assert isinstance(held, Hold)
    assert "no data for the guards ttft" in held.reason
