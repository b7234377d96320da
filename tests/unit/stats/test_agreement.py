import numpy as np
import pytest

from crossfade.stats.agreement import measure_ac1, measure_kappa


def ratings(both, first_only, second_only, neither):
    first = [1] * (both + first_only) + [0] * (second_only + neither)
    second = [1] * both + [0] * first_only + [1] * second_only + [0] * neither
    return first, second


def test_kappa_of_a_textbook_table():
    assert measure_kappa(*ratings(20, 5, 10, 15)).value == pytest.approx(0.4)


def test_ac1_of_a_skewed_table_stays_high_where_kappa_collapses():
    first, second = ratings(118, 5, 2, 0)
    assert measure_kappa(first, second).value == pytest.approx(-0.0234, abs=5e-4)
    assert measure_ac1(first, second).value == pytest.approx(0.9408, abs=5e-4)


def test_raters_who_agree_throughout_have_one():
    assert measure_kappa([1, 1, 1], [1, 1, 1]).value == 1.0
    assert measure_ac1([1, 0, 1], [1, 0, 1]).value == 1.0


def test_the_interval_covers_the_true_value_of_independent_raters():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        found = measure_kappa(list(rng.integers(0, 2, 100)), list(rng.integers(0, 2, 100)))
        covered += found.lower <= 0 <= found.upper
    assert covered >= 180


def test_raters_of_different_items_are_refused():
    with pytest.raises(ValueError, match="same"):
        measure_kappa([1, 0], [1])
