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
