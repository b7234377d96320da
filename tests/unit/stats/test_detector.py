"""The detector keeps its promises: quiet while nothing changes, quick once it does (`quality.md` table 2)."""

from __future__ import annotations

import numpy as np
import pytest

from crossfade.stats.detector import QUIET_FOR, RISES, watch

A = 20_000.0
RUNS = 600


def first_alarms(
    ordinary: float, rate: float, quiet_for: float, runs: int, most: int, seed: int
) -> np.ndarray:
    """Observations until the alarm of each run, -1 without one: `Detector`, many at once."""
    draw = np.random.default_rng(seed)
    bets = np.array(watch(ordinary).bets)
    values, alarms = np.zeros((runs, bets.size)), np.full(runs, -1)
    for number in range(1, most + 1):
        bad = (draw.random(runs) < rate).astype(np.float64)[:, None]
        values = (values + 1.0) * (1.0 + bets * (bad - ordinary))
        alarms[(values.mean(axis=1) >= quiet_for) & (alarms < 0)] = number
        if (alarms >= 0).all():
            break
    return alarms


def test_many_at_once_are_the_detector_one_at_a_time():
    draw = np.random.default_rng(5)
    detector, number = watch(0.1), 0
    while not detector.is_alarmed(A):
        detector, number = detector.observe(float(draw.random() < 0.3)), number + 1
    assert first_alarms(0.1, 0.3, A, 1, 1000, seed=5)[0] == number == detector.seen
    assert len(detector.values) == len(RISES)


@pytest.mark.parametrize(
    ("ordinary", "rate", "median", "slow"),
    [(0.05, 0.10, 294, 525), (0.08, 0.13, 359, 697), (0.10, 0.15, 410, 822), (0.20, 0.25, 627, 1228)],
)
def test_a_rise_of_five_points_is_found_as_fast_as_promised(ordinary, rate, median, slow):
    alarms = first_alarms(ordinary, rate, A, RUNS, 20_000, seed=1)
    assert (alarms > 0).all()
    assert np.median(alarms) <= 1.2 * median
    assert np.quantile(alarms, 0.9) <= 1.2 * slow


@pytest.mark.parametrize("ordinary", [0.02, 0.08, 0.3])
def test_while_nothing_changes_ten_thousand_votes_end_in_an_alarm_once_in_twenty_at_most(ordinary):
    alarms = first_alarms(ordinary, ordinary, QUIET_FOR, RUNS, 10_000, seed=2)
    assert (alarms > 0).mean() <= 0.05 + 3.0 * (0.05 * 0.95 / RUNS) ** 0.5


def test_observations_that_hang_together_are_no_excuse():
    """Runs of ten equal votes, whose mean given the past is not above the ordinary one."""
    draw = np.random.default_rng(3)
    bets, ordinary = np.array(watch(0.1).bets), 0.1
    values, alarmed = np.zeros((RUNS, bets.size)), np.zeros(RUNS, dtype=bool)
    mood = np.zeros(RUNS)
    for number in range(5_000):
        if number % 10 == 0:
            mood = draw.random(RUNS) * 2.0 * ordinary * 0.95
        bad = (draw.random(RUNS) < mood).astype(np.float64)[:, None]
        values = (values + 1.0) * (1.0 + bets * (bad - ordinary))
        alarmed |= values.mean(axis=1) >= QUIET_FOR
    assert alarmed.mean() <= 0.05


@pytest.mark.parametrize("ordinary", [0.0, 1.0, -0.1])
def test_a_rate_that_leaves_nothing_to_bet_on_is_refused(ordinary):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        watch(ordinary)
    with pytest.raises(ValueError, match="not within 0 and 1"):
        watch(0.5).observe(1.5)
