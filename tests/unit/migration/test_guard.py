from __future__ import annotations

import json
from dataclasses import replace

import pytest

from crossfade.control.migration.guard.plans import KNOWN, SPARSE, share_alpha
from crossfade.control.migration.guard.samples import CONTROL_LEAST, Sample, SampleBoard, values_of
from crossfade.control.migration.guard.tally import News, Tally
from crossfade.control.migration.guard.verdict import decide_guards, unfrozen
from crossfade.control.migration.people.feedback import Feedback
from crossfade.control.migration.people.trends import Consequence, Trends
from crossfade.domain.attempt import (
    ArmCount,
    ArmKind,
    AttemptRecord,
    Content,
    OutcomeClass,
    Role,
    Timings,
    Usage,
    UsageSource,
)
from crossfade.domain.migration import (
    ArmHealth,
    Frozen,
    GuardCount,
    StageCounts,
)


def stage(share, baseline, **guards):
    counts = tuple(GuardCount(name, *numbers) for name, numbers in sorted(guards.items()))
    return StageCounts(share, baseline, guards=counts)


def guarded(world, names, counts, frozen=None):
    state = world.at_stage(1, counts=counts, frozen=frozen)
    rollout = replace(state.spec.rollout, guards=names)
    return replace(state, spec=replace(state.spec, rollout=rollout))


def sample(unit="ann", *, arm=ArmKind.CANDIDATE, at=0.0, feature="recap", share=0.01, **values):
    return Sample(feature, arm, "move", share, unit, at, values)


def record(**change):
    base = AttemptRecord(
        attempt_id="r.0",
        request_id="r",
        index=0,
        gateway="g",
        snapshot_version=1,
        started_unix_ms=1000,
        feature="recap",
        caller=None,
        unit="ann",
        arm=ArmKind.CANDIDATE,
        arm_name="move",
        share=0.01,
        endpoint="e",
        provider="p",
        region=None,
        model="m",
        capacity_class="on-demand",
        served_tier=None,
        role=Role.FIRST,
        reason="",
        next_reason=None,
        stream=True,
        outcome=OutcomeClass.OK,
        error_kind=None,
        error_detail=None,
        http_status=200,
        provider_request_id=None,
        pushback_ms=None,
        committed=True,
        final=True,
        caller_error=False,
        timings=Timings(5.0, None, None, 100.0, None, None, 1100.0),
        usage=Usage(10, 0, 0, 101, 0, UsageSource.PROVIDER),
        stop_reason="stop",
        max_output_tokens=None,
        content=None,
    )
    return replace(base, **change)


def test_alphas_sum_to_the_rollouts_and_hard_guards_take_a_thousandth_each():
    plans = share_alpha([name for name in KNOWN if name not in SPARSE], 0.01)
    assert abs(sum(plan.alpha for plan in plans) - 0.01) < 1e-12
    assert {plan.alpha for plan in plans if plan.is_hard} == {0.001}
    assert sum(plan.alpha for plan in share_alpha(KNOWN, 0.01)) <= 0.01 + 1e-12
    assert share_alpha(("errors",), 0.01)[0].alpha == 0.001
    assert sum(plan.alpha for plan in share_alpha(("errors", "ttft"), 0.0004)) <= 0.0004 + 1e-15


def test_one_guard_of_several_rolls_back_and_is_named(world):
    counts = (stage(0.05, 0.05, errors=(900, 1, 900, 1), ttft=(900, 300, 900, 90)),)
    verdict = decide_guards(guarded(world, ("errors", "ttft"), counts))
    assert verdict.crossed is not None
    assert verdict.crossed.plan.name == "ttft"
    assert verdict.nearest is verdict.crossed


def test_promotion_waits_for_hard_guards_and_says_which_have_no_data(world):
    counts = (stage(0.05, 0.05, errors=(5000, 20, 5000, 22)),)
    assert decide_guards(guarded(world, ("errors",), counts)).is_strong
    both = decide_guards(guarded(world, ("errors", "schema"), counts))
    assert not both.is_strong
    assert both.unmeasured == ("schema",)
    assert both.doubtful == ("schema",)


def test_a_guard_with_a_limit_waits_for_it(world):
    state = guarded(world, ("errors", "ttft", "cost"), ())
    assert unfrozen(state) == ("ttft", "cost")
    limits = {"recap": {"ttft": 1.0, "cost": 2.0}, "search": {"ttft": 1.0}}
    assert unfrozen(replace(state, frozen=Frozen(limits))) == ("cost",)


def counts_of(stage: StageCounts, guard: str) -> GuardCount:
    return next(count for count in stage.guards if count.guard == guard)


def test_tally_counts_a_late_request_for_the_stage_that_sent_it(world):
    stages = (StageCounts(0.01, 0.01), StageCounts(0.05, 0.05))
    state = world.at_stage(2, counts=stages)
    tally = Tally()
    news = [
        ArmCount("recap", ArmKind.CANDIDATE, "move", 0.01, 3, 0, 2, 1),
        ArmCount("search", ArmKind.BASELINE, "move", 0.05, 5, 2, 0, 2),
        ArmCount("other", ArmKind.CANDIDATE, "move", 0.05, 9, 9, 9, 9),
        ArmCount("recap", ArmKind.CANDIDATE, "another", 0.05, 9, 9, 9, 9),
        ArmCount("recap", ArmKind.MAIN, None, None, 9, 9, 9, 9),
        ArmCount("recap", ArmKind.CANDIDATE, "move", 0.25, 9, 9, 9, 9),
    ]
    tally.take(state, News(5, news, 0), world.NOW)
    first, second = tally.counts
    assert (first.candidate_requests, first.candidate_bad, second.control_requests) == (3, 2, 5)
    assert counts_of(first, "errors").candidate_bad == 1
    assert counts_of(second, "errors").control_bad == 2


def test_tally_goes_on_from_the_log_after_a_restart_and_starts_anew_with_an_epoch(world):
    logged = (StageCounts(0.01, 0.01, 100, 1, 100, 1),)
    tally = Tally()
    news = News(1, [ArmCount("recap", ArmKind.CANDIDATE, "move", 0.01, 5, 0, 0, 0)], 0)
    tally.take(world.at_stage(1, counts=logged), news, world.NOW)
    assert tally.counts[0].candidate_requests == 105
    tally.take(world.state(epoch=2), News(2, [], 0), world.NOW)
    assert tally.counts == ()


def test_a_units_bad_events_count_once_a_minute_in_each_arm_and_guard(world):
    frozen = Frozen({"recap": {"ttft": 100.0}})
    state = guarded(world, ("errors", "ttft", "thumbs"), (StageCounts(0.01, 0.01),), frozen)
    samples = [sample(at=second, ttft=150.0) for second in (1, 2, 59, 61)]
    samples += [sample("bob", at=62, ttft=150.0), sample(at=62, thumbs=1.0), sample(at=63, ttft=90.0)]
    samples += [sample(arm=ArmKind.BASELINE, at=63, ttft=150.0)]
    tally = Tally()
    tally.take(state, News(0, [], 8, samples), world.NOW)
    ttft, thumbs = counts_of(tally.counts[0], "ttft"), counts_of(tally.counts[0], "thumbs")
    assert (ttft.candidate_measured, ttft.candidate_bad) == (6, 3)
    assert (ttft.control_measured, ttft.control_bad) == (1, 1)
    assert (thumbs.candidate_measured, thumbs.candidate_bad) == (1, 1)


def test_an_arm_nothing_is_heard_of_is_noticed_by_what_was_expected_of_it(world):
    state = world.at_stage(2, counts=(StageCounts(0.05, 0.05),))
    tally = Tally()
    control = ArmCount("recap", ArmKind.BASELINE, "move", 0.05, 10, 0, 0, 0)
    tally.take(state, News(1, [control], 0), world.NOW)
    tally.take(state, News(2, [control], 0), world.NOW + 61.0)
    lull = tally.lull(world.NOW + 61.0)
    assert (lull.arm, lull.expected, lull.silent_s) == ("candidate", 20.0, 61.0)
    both = [control, replace(control, arm=ArmKind.CANDIDATE)]
    tally.take(state, News(3, both, 0), world.NOW + 62.0)
    assert tally.lull(world.NOW + 62.0) is None
    assert tally.counts[0].busiest_per_s > 0


@pytest.mark.parametrize("order", [1, -1])
def test_an_arm_that_is_in_the_same_report_as_the_other_is_there_however_busy_both_are(world, order):
    """Reports come every second, and a controller looks twice a second."""
    state = world.at_stage(2, counts=(StageCounts(0.05, 0.05),))
    control = ArmCount("recap", ArmKind.BASELINE, "move", 0.05, 500, 0, 0, 0)
    both = [control, replace(control, arm=ArmKind.CANDIDATE)][::order]
    tally = Tally()
    tally.take(state, News(1, both, 0), world.NOW)
    tally.take(state, News(1, [], 0), world.NOW + 0.5)
    assert tally.lull(world.NOW + 0.5) is None
    tally.take(state, News(2, [control], 0), world.NOW + 1.0)
    lull = tally.lull(world.NOW + 1.0)
    assert (lull.arm, lull.expected, lull.silent_s) == ("candidate", 500.0, 1.0)


def test_a_record_says_what_each_guard_measures():
    values = values_of(record(), 0.01)
    assert values == {"guardrail": 0.0, "ttft": 105.0, "tpot": 10.0, "cost": 0.01, "refusals": 0.0}
    asked = '{"response_format": {"type": "json_object"}}'
    assert values_of(record(content=Content(asked, "not json")), None)["schema"] == 1.0
    assert values_of(record(content=Content(asked, "{}")), None)["schema"] == 0.0
    assert values_of(record(stop_reason="guardrail_intervened"), None)["refusals"] == 1.0
    assert values_of(record(outcome=OutcomeClass.HARD), None) == {}


def test_limits_are_the_incumbents_quantiles_once_there_are_enough():
    board = SampleBoard(price=lambda _: 0.5)
    for number in range(250):
        timings = Timings(0.0, None, None, float(number), None, None, 1000.0)
        board.observe(record(arm=ArmKind.MAIN, arm_name=None, share=None, timings=timings))
    assert board.freeze(("recap", "search")) is None
    frozen = board.freeze(("recap",))
    assert 222 <= frozen.limits["recap"]["ttft"] <= 226
    assert frozen.limits["recap"]["cost"] == 0.5
    assert board.since("move", 0)[1] == []


def test_a_rules_own_requests_are_no_ones_control():
    board = SampleBoard(price=lambda _: None)
    for number in range(CONTROL_LEAST):
        ours = {"arm": ArmKind.MAIN, "share": None, "request_id": f"r{number}"}
        board.observe(record(arm_name="rule 1", **ours))
        assert board.freeze(("recap",)) is None
        board.observe(record(arm_name=None, **ours))
    assert board.freeze(("recap",)) is not None


class NoRecords:
    def attempts_of(self, request_id):
        return [record(request_id="old", unit="bob")] if request_id == "old" else []


def test_feedback_joins_the_arm_of_its_request_once_and_an_unknown_one_is_told(tmp_path):
    board = SampleBoard(price=lambda _: None)
    board.observe(record())
    cursor, _ = board.since("move", -1)
    feedback = Feedback(
        board, NoRecords(), tmp_path, lambda: 5.0, Trends(lambda: 5.0, lambda _: Consequence(0.25, 60.0))
    )
    assert feedback.take("r", -1.0, None, "made it up") == "accepted"
    assert feedback.take("r", -1.0, None, None) == "duplicate"
    assert feedback.take("old", 1.0, None, None) == "accepted"
    assert feedback.take("old", None, "copied", None) == "accepted"
    with pytest.raises(LookupError, match="no record of request 'nobody'"):
        feedback.take("nobody", -1.0, None, None)
    _, fresh = board.since("move", cursor)
    assert [(s.arm, s.unit, s.share, s.values) for s in fresh] == [
        (ArmKind.CANDIDATE, "ann", 0.01, {"thumbs": 1.0}),
        (ArmKind.CANDIDATE, "bob", 0.01, {"thumbs": 0.0}),
        (ArmKind.CANDIDATE, "bob", 0.01, {"copied": 1.0}),
    ]
    kept = [json.loads(line) for line in (tmp_path / "feedback.ndjson").read_text().splitlines()]
    assert [row["request_id"] for row in kept] == ["r", "old", "old"]


def test_a_request_that_left_its_arm_is_told_by_its_last_attempt():
    board = SampleBoard(lambda _: None)
    first = record(outcome=OutcomeClass.OVERLOAD, final=False, arm=ArmKind.BASELINE)
    board.observe(first)
    board.observe(replace(first, index=1, final=True, role=Role.FAILOVER, outcome=OutcomeClass.OK))

    _, samples = board.since("move", 0)
    assert [sample.values for sample in samples] == [{"failovers": 1.0, "rejected": 0.0}]
    assert board.health(first.feature, 0.0)[1] == ArmHealth(1, failed=1, voices=1)
    kept_away = replace(
        first, request_id="r2", final=True, outcome=OutcomeClass.OK, reason="backup 1 of the hierarchy"
    )
    board.observe(kept_away)
    board.observe(replace(kept_away, request_id="r3", reason="primary of the hierarchy"))
    assert board.health(first.feature, 0.0)[1] == ArmHealth(3, 1, 1, 1, voices=1)
    late = replace(kept_away, request_id="r4", reason="", started_unix_ms=10_000_000)
    board.observe(late)
    assert board.health(first.feature, 0.0)[1] == ArmHealth(1, answers=1), "five minutes are kept"


def test_samples_are_measured_by_the_limits_of_now(world):
    tally, state = Tally(), guarded(world, ("errors", "ttft"), (StageCounts(0.01, 0.01),), Frozen({}))
    looks = [
        (state, (0, 0)),
        (replace(state, frozen=Frozen({"recap": {"ttft": 100.0}})), (1, 1)),
        (replace(state, frozen=Frozen({"recap": {"ttft": 200.0}})), (2, 1)),
        (guarded(world, ("errors",), state.counts, Frozen({"recap": {"ttft": 100.0}})), (2, 1)),
    ]
    for number, (now, counted) in enumerate(looks):
        tally.take(now, News(0, [], number, [sample(f"unit-{number}", at=number, ttft=150.0)]), world.NOW)
        found = {one.guard: one for one in tally.counts[0].guards}.get("ttft", GuardCount("ttft"))
        assert (found.candidate_measured, found.candidate_bad) == counted, number
