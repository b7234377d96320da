"""Whatever the ratio on the null's side, the expected growth of wealth is at most one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.stats.sequential import harm_test, promotion_test

weights = st.floats(0.001, 0.999)


def expected_growth(test, weight, true_ratio):
    share = weight * true_ratio / (weight * true_ratio + 1 - weight)
    after_candidate = test.observe(1, 0, weight).e_value
    after_control = test.observe(0, 1, weight).e_value
    return share * after_candidate + (1 - share) * after_control


@given(weights, st.floats(0.01, 5.0), st.floats(0.01, 1.0))
def test_harm_wealth_never_grows_on_average_under_the_null(weight, null_ratio, fraction):
    assert expected_growth(harm_test(null_ratio), weight, null_ratio * fraction) <= 1 + 1e-9


@given(weights, st.floats(1.01, 10.0), st.floats(1.0, 50.0))
def test_promotion_wealth_never_grows_on_average_under_the_null(weight, margin, multiple):
    assert expected_growth(promotion_test(margin), weight, margin * multiple) <= 1 + 1e-9


@given(weights, st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_wealth_stays_finite_in_log_space_and_counts_every_event(weight, batches):
    test = harm_test()
    for candidate, control in batches:
        test = test.observe(candidate, control, weight)
    assert math.isfinite(test.log_e_value)
    assert test.events == sum(map(sum, batches))
    whole = harm_test().observe(sum(c for c, _ in batches), sum(c for _, c in batches), weight)
    assert test.log_e_value == pytest.approx(whole.log_e_value, abs=1e-6)
