import pytest

from crossfade.stats import clopper
from crossfade.stats.power import Claim, clean_trials_needed, labels_needed, pairs_needed


@pytest.mark.parametrize(
    ("margin", "row"),
    [
        (0.01, (4282, 8564, 17128, 25692)),
        (0.02, (1071, 2141, 4282, 6423)),
        (0.03, (476, 952, 1904, 2855)),
        (0.05, (172, 343, 686, 1028)),
        (0.10, (43, 86, 172, 257)),
    ],
)
def test_pairs_are_those_of_the_published_table(margin, row):
    found = [pairs_needed(Claim(margin, discordance)) for discordance in (0.05, 0.10, 0.20, 0.30)]
    assert found == [pytest.approx(expected, abs=1) for expected in row]


def test_labels_are_those_of_the_published_table():
    found = [labels_needed(Claim(0.05, 0.2, power=0.8), correlation=rho) for rho in (0, 0.5, 0.7, 0.8, 0.9)]
    assert found == [495, 371, 253, 179, 94]


@pytest.mark.parametrize(("rate", "trials"), [(0.01, 299), (0.005, 598), (0.001, 2995)])
def test_clean_trials_follow_the_exact_rule_of_three(rate, trials):
    assert clean_trials_needed(rate) == trials
    assert clopper.upper_bound(0, trials) == pytest.approx(rate, rel=0.01)


def test_a_true_deficit_at_the_margin_cannot_be_shown_to_be_parity():
    with pytest.raises(ValueError, match="no sample"):
        pairs_needed(Claim(0.05, 0.2, deficit=0.05))


def test_exact_bounds_enclose_the_rate_and_know_the_edges():
    assert clopper.lower_bound(0, 10) == 0.0
    assert clopper.upper_bound(10, 10) == 1.0
    assert clopper.lower_bound(3, 10) < 0.3 < clopper.upper_bound(3, 10)
    with pytest.raises(ValueError, match="not a count"):
        clopper.upper_bound(11, 10)
