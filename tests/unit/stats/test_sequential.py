"""Guards: crossing rate under the null, and harm done before a crossing, near the published table."""

import math

import numpy as np
import pytest

from crossfade.stats.sequential import confidence_sequence, corrected_stream, harm_test, promotion_test


def wealth_paths(rng, runs, events, weight, true_ratio, test):
    """ln E after each bad event, by the closed form; shape (runs, events), and who had each event."""
    share = weight * true_ratio / (weight * true_ratio + 1 - weight)
    candidate = rng.random((runs, events)) < share
    hits = np.cumsum(candidate, axis=1)
    misses = np.arange(1, events + 1) - hits
    per_ratio = []
    for ratio in test.ratios:
        one = [replace.log_wealth[test.ratios.index(ratio)] for replace in _single_steps(test, weight)]
        per_ratio.append(hits * one[0] + misses * one[1])
    stack = np.stack(per_ratio)
    return np.logaddexp.reduce(stack, axis=0) - math.log(len(test.ratios)), candidate


def _single_steps(test, weight):
    return test.observe(1, 0, weight), test.observe(0, 1, weight)


def test_the_harm_test_crosses_under_the_null_no_more_often_than_alpha():
    paths, _ = wealth_paths(np.random.default_rng(1), 4000, 600, 0.25, 1.0, harm_test())
    assert np.mean(paths.max(axis=1) >= -math.log(0.01)) <= 0.01


def test_the_harm_test_is_valid_deep_inside_the_null_too():
    paths, _ = wealth_paths(np.random.default_rng(2), 2000, 600, 0.5, 0.5, harm_test())
    assert np.mean(paths.max(axis=1) >= -math.log(0.01)) <= 0.001


@pytest.mark.parametrize(
    ("base", "ratio", "weight", "null_ratio", "requests"),
    [
        (0.005, 2, 0.05, 1.0, 3900),
        (0.005, 4, 0.05, 1.0, 730),
        (0.02, 4, 0.25, 1.0, 228),
        (0.02, 40, 0.25, 1.0, 9),
        (0.10, 2, 0.25, 1.1, 365),
    ],
)
def test_candidate_requests_until_roll_back_are_near_the_table(base, ratio, weight, null_ratio, requests):
    test = harm_test(null_ratio)
    paths, _ = wealth_paths(np.random.default_rng(3), 1000, 2000, weight, ratio, test)
    crossed = paths >= -math.log(0.001)
    assert crossed.any(axis=1).mean() > 0.99
    events = np.median(np.argmax(crossed, axis=1) + 1)
    # Per candidate request: `base * ratio` own bad events and base (1-w)/w of the control's.
    per_request = base * ratio + base * (1 - weight) / weight
    # The table's figures are medians of a simulation by request; 35 % covers its granularity.
    assert events / per_request == pytest.approx(requests, rel=0.35)


def test_an_equal_candidate_is_certified_near_the_table_row():
    paths, _ = wealth_paths(np.random.default_rng(4), 1000, 3000, 0.5, 1.0, promotion_test(2.0))
    crossed = paths >= math.log(20)
    events = np.median(np.argmax(crossed, axis=1) + 1)
    assert crossed.any(axis=1).mean() > 0.99
    assert events / 0.02 == pytest.approx(1600, rel=0.5)


def test_a_candidate_at_the_margin_is_certified_no_more_often_than_beta():
    paths, _ = wealth_paths(np.random.default_rng(5), 4000, 600, 0.5, 2.0, promotion_test(2.0))
    assert np.mean(paths.max(axis=1) >= math.log(20)) <= 0.05


def test_an_incident_of_both_arms_cancels():
    test = harm_test()
    for _ in range(200):
        test = test.observe(5, 5, 0.5)
    assert test.e_value < 1
    assert test.events == 2000


def test_the_order_of_batches_does_not_matter():
    one = harm_test().observe(3, 4, 0.2).observe(1, 0, 0.2)
    other = harm_test().observe(4, 4, 0.2)
    assert one.log_e_value == pytest.approx(other.log_e_value)


def test_a_dead_candidate_overflows_nothing():
    test = harm_test().observe(100_000, 0, 0.01)
    assert test.e_value == math.inf
    assert test.is_rejected(0.001)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_with_one_arm_only_nothing_is_learnt(weight):
    assert harm_test().observe(50, 0, weight) == harm_test()


def test_impossible_parameters_are_refused():
    with pytest.raises(ValueError, match="no alternative"):
        harm_test(200.0)
    with pytest.raises(ValueError, match="above 1"):
        promotion_test(1.0)
    with pytest.raises(ValueError, match="cannot be negative"):
        harm_test().observe(-1, 0, 0.5)


def test_the_confidence_sequence_covers_at_all_times_together():
    rng = np.random.default_rng(6)
    missed = 0
    for _ in range(600):
        values = rng.choice([-1.0, 0.0, 1.0], 2000, p=[0.1, 0.8, 0.1])
        lower, _ = confidence_sequence(values, alpha=0.05, best_at=1000)
        missed += bool(np.any(lower[50:] > 0))
    assert missed / 600 <= 0.05


def test_corrected_increments_average_to_the_human_difference_under_a_biased_judge():
    rng = np.random.default_rng(7)
    count = 60_000
    human = rng.choice([-1.0, 0.0, 1.0], count, p=[0.15, 0.75, 0.10])
    judge = np.clip(human + rng.choice([0.0, 1.0], count, p=[0.7, 0.3]), -1, 1)
    seen = np.where(rng.random(count) < 0.2, human, np.nan)
    assert corrected_stream(judge, seen, 0.2).mean() == pytest.approx(-0.05, abs=0.015)
