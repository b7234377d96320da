from __future__ import annotations

import math
import random

import numpy as np

from crossfade.stats.canary import (
    ArmTotals,
    GuardPlan,
    frozen_log_e_value,
    judge_guard,
    sample_ratio_p,
)

HARD = GuardPlan("errors", 0.001, 1.0, 2.0, is_hard=True)


def test_a_dead_candidate_is_caught_within_ten_bad_requests_at_one_percent():
    totals = [ArmTotals(0.5, bad, bad, 50, 0) for bad in range(30)]
    caught = next(t.candidate_bad for t in totals if judge_guard(HARD, [t]).is_crossed)
    assert caught <= 15


def test_equal_arms_are_hardly_ever_rolled_back_however_often_one_looks():
    draws = random.Random(7)
    crossed = 0
    for _ in range(300):
        candidate = control = 0
        for _ in range(60):
            if draws.random() < 0.5:
                candidate += 1
            else:
                control += 1
            if judge_guard(HARD, [ArmTotals(0.5, 5000, candidate, 5000, control)]).is_crossed:
                crossed += 1
                break
    assert crossed <= 2  # alpha is 0.1 %, so 0.4 of 300 are expected at most


def test_full_share_is_judged_by_the_controls_frozen_rate():
    before = ArmTotals(0.5, 2000, 10, 2000, 10)
    assert not judge_guard(HARD, [before, ArmTotals(1.0, 2000, 12)]).is_crossed
    assert judge_guard(HARD, [before, ArmTotals(1.0, 2000, 120)]).is_crossed


def test_a_control_seen_on_few_requests_does_not_roll_an_equal_candidate_back():
    """An estimate from 500 requests is off by a third; the bound pays for that."""
    draws = np.random.default_rng(3)
    crossed = 0
    for _ in range(1000):
        before = ArmTotals(0.5, 500, 0, 500, int(draws.binomial(500, 0.02)))
        alone = [ArmTotals(1.0, n, 0) for n in (1000, 5000, 20_000)]
        bad = np.cumsum(draws.binomial([1000, 4000, 15_000], 0.02))
        looks = [ArmTotals(1.0, t.candidate_measured, int(b)) for t, b in zip(alone, bad, strict=True)]
        crossed += any(judge_guard(HARD, [before, look]).is_crossed for look in looks)
    assert crossed <= 4  # alpha is 0.1 %: one of 1,000 is expected at most


def test_frozen_test_is_an_e_value_under_its_null():
    """Sum over k of Binomial(n, p)(k) E(k) is at most 1, exactly."""
    n, p = 60, 0.02
    mean = sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k) * math.exp(frozen_log_e_value([ArmTotals(1.0, n, k)], p))
        for k in range(n + 1)
    )
    assert math.isclose(mean, 1.0, rel_tol=1e-9)


def test_a_clean_candidate_is_promoted_on_rare_errors_without_waiting_for_one():
    assert not judge_guard(HARD, [ArmTotals(0.5, 200, 0, 200, 0)]).is_strong
    assert judge_guard(HARD, [ArmTotals(0.5, 600, 0, 600, 0)]).is_strong


def test_a_candidate_at_the_margin_is_promoted_no_more_often_than_beta():
    """Control at the floor, candidate at twice that; 20 looks over 4,000 requests."""
    draws = np.random.default_rng(5)
    promoted = 0
    for _ in range(600):
        candidate = np.cumsum(draws.binomial(200, 0.01, 20))
        control = np.cumsum(draws.binomial(200, 0.005, 20))
        promoted += any(
            judge_guard(HARD, [ArmTotals(0.5, 200 * (i + 1), int(a), 200 * (i + 1), int(b))]).is_strong
            for i, (a, b) in enumerate(zip(candidate, control, strict=True))
        )
    assert promoted / 600 <= 0.075  # beta 5 % and three standard errors


def test_sample_ratio_is_tested_only_with_enough_requests_and_both_arms():
    assert sample_ratio_p(0.5, 20, 4, 1.0) is None
    assert sample_ratio_p(1.0, 2000, 0, 1.0) is None
    assert sample_ratio_p(0.5, 500, 510, 1.0) > 0.5
    assert sample_ratio_p(0.5, 600, 400, 1.0) < 1e-6
    assert sample_ratio_p(0.5, 600, 400, 20.0) > 0.001


ORDERS = GuardPlan("orders", 0.001, 0.9, 1.5, is_hard=False, is_good=True, is_counted=True)
REFUNDS = GuardPlan("refunds", 0.001, 1.1, 1.5, is_hard=False, is_counted=True)


def events(plan: GuardPlan, ratio: float, seed: int, looks: int = 40) -> bool:
    """Whether 4,000 requests of each arm, and then 4,000 at full share, end in a rollback."""
    draw = np.random.default_rng(seed)
    both, alone = [0, 0], 0
    for look in range(1, looks + 1):
        both[0] += int(draw.binomial(100, 0.1 * ratio))
        both[1] += int(draw.binomial(100, 0.1))
        if judge_guard(plan, [ArmTotals(0.5, 100 * look, both[0], 100 * look, both[1])]).is_crossed:
            return True
    before = ArmTotals(0.5, 100 * looks, both[0], 100 * looks, both[1])
    for look in range(1, looks + 1):
        alone += int(draw.binomial(100, 0.1 * ratio))
        if judge_guard(plan, [before, ArmTotals(1.0, 100 * look, alone)]).is_crossed:
            return True
    return False


def test_a_business_metric_that_does_not_change_rolls_nothing_back_at_any_stage():
    for plan in (ORDERS, REFUNDS):
        assert sum(events(plan, 1.0, seed) for seed in range(400)) <= 3  # alpha is 0.1 %


def test_a_metric_worse_than_its_margin_is_caught_in_its_own_direction():
    assert sum(events(ORDERS, 0.5, seed) for seed in range(50)) >= 49
    assert sum(events(REFUNDS, 1.6, seed) for seed in range(50)) >= 49
    assert not any(events(ORDERS, 1.6, seed) for seed in range(50)), "more orders are no harm"
    assert not any(events(REFUNDS, 0.5, seed) for seed in range(50)), "nor fewer refunds"


def test_a_metric_is_caught_at_full_share_against_its_last_measured_control():
    before = ArmTotals(0.5, 4000, 400, 4000, 400)
    assert not judge_guard(ORDERS, [before, ArmTotals(1.0, 4000, 390)]).is_crossed
    assert judge_guard(ORDERS, [before, ArmTotals(1.0, 4000, 150)]).is_crossed
    assert judge_guard(REFUNDS, [before, ArmTotals(1.0, 4000, 900)]).is_crossed


def test_good_events_of_which_none_was_ever_told_are_not_measured():
    silent = judge_guard(ORDERS, [ArmTotals(0.5, 4000, 0, 4000, 0)])
    assert (silent.measured, silent.is_weakly_fine) == (0, True)
    assert judge_guard(REFUNDS, [ArmTotals(0.5, 4000, 0, 4000, 0)]).measured == 4000
    assert judge_guard(ORDERS, [ArmTotals(0.5, 4000, 0, 4000, 3)]).measured == 4000
