from __future__ import annotations

import math
import random

from crossfade.control.migration import guard
from crossfade.domain.attempt import ArmCount, ArmKind
from crossfade.domain.migration import StageCounts


def test_a_dead_candidate_is_caught_within_ten_bad_requests_at_one_percent():
    counts = [StageCounts(0.01, 0.01, bad, bad, 50, 0) for bad in range(30)]
    caught = next(c.candidate_bad for c in counts if guard.decide_guard([c]).is_crossed)
    assert caught <= 15


def test_equal_arms_are_hardly_ever_rolled_back_however_often_one_looks():
    draws = random.Random(7)
    crossed = 0
    for _ in range(400):
        candidate = control = 0
        for _ in range(200):
            if draws.random() < 0.5:
                candidate += 1
            else:
                control += 1
            if guard.decide_guard([StageCounts(0.25, 0.25, 5000, candidate, 5000, control)]).is_crossed:
                crossed += 1
                break
    assert crossed <= 2  # alpha is 0.1 %, so 0.4 of 400 are expected at most


def test_full_share_is_judged_by_the_controls_frozen_rate():
    before = StageCounts(0.5, 0.5, 2000, 10, 2000, 10)
    assert not guard.decide_guard([before, StageCounts(1.0, 0.0, 2000, 12, 0, 0)]).is_crossed
    assert guard.decide_guard([before, StageCounts(1.0, 0.0, 2000, 80, 0, 0)]).is_crossed


def test_frozen_test_is_an_e_value_under_its_null():
    """Sum over k of Binomial(n, p)(k) E(k) is at most 1, exactly."""
    n, p = 60, 0.02
    mean = sum(
        math.comb(n, k)
        * p**k
        * (1 - p) ** (n - k)
        * math.exp(guard.frozen_log_e_value([StageCounts(1.0, 0.0, n, k, 0, 0)], p))
        for k in range(n + 1)
    )
    assert math.isclose(mean, 1.0, rel_tol=1e-9)


def test_sample_ratio_is_tested_only_with_enough_requests_and_both_arms():
    assert guard.sample_ratio_p(StageCounts(0.1, 0.1, 20, 0, 4, 0), 1.0) is None
    assert guard.sample_ratio_p(StageCounts(1.0, 0.0, 2000, 0, 0, 0), 1.0) is None
    assert guard.sample_ratio_p(StageCounts(0.1, 0.1, 500, 0, 510, 0), 1.0) > 0.5
    assert guard.sample_ratio_p(StageCounts(0.1, 0.1, 600, 0, 400, 0), 1.0) < 1e-6
    assert guard.sample_ratio_p(StageCounts(0.1, 0.1, 600, 0, 400, 0), 20.0) > 0.001


def test_tally_counts_a_late_request_for_the_stage_that_sent_it(world):
    stages = (StageCounts(0.01, 0.01), StageCounts(0.05, 0.05))
    state = world.at_stage(2, counts=stages)
    tally = guard.Tally()
    news = [
        ArmCount("recap", ArmKind.CANDIDATE, "move", 0.01, 3, 0, 1),
        ArmCount("search", ArmKind.BASELINE, "move", 0.05, 5, 2, 0),
        ArmCount("other", ArmKind.CANDIDATE, "x", 0.05, 9, 9, 9),
        ArmCount("recap", ArmKind.MAIN, None, None, 9, 9, 9),
        ArmCount("recap", ArmKind.CANDIDATE, "move", 0.25, 9, 9, 9),
    ]
    tally.take(state, 5, news)
    assert tally.counts == (StageCounts(0.01, 0.01, 3, 1, 0, 0), StageCounts(0.05, 0.05, 0, 0, 5, 2))


def test_tally_goes_on_from_the_log_after_a_restart_and_starts_anew_with_an_epoch(world):
    logged = (StageCounts(0.01, 0.01, 100, 1, 100, 1),)
    tally = guard.Tally()
    tally.take(
        world.at_stage(1, counts=logged), 1, [ArmCount("recap", ArmKind.CANDIDATE, "move", 0.01, 5, 0, 0)]
    )
    assert tally.counts[0].candidate_requests == 105
    tally.take(world.state(epoch=2), 2, [])
    assert tally.counts == ()
