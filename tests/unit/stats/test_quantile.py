import numpy as np
import pytest

from crossfade.domain.evidence import Verdict
from crossfade.stats.quantile import Arm, QuantileTest, decide_quantile_parity

P50 = QuantileTest(0.5, resamples=300)


def draw_arm(rng, factor, weather, per_block=40):
    blocks = np.repeat(np.arange(weather.size), per_block)
    values = factor * 400 * np.exp(0.6 * rng.standard_normal(blocks.size) + weather[blocks])
    return Arm(values, blocks)


def draw_pair(seed, factor, minutes=40):
    rng = np.random.default_rng(seed)
    weather = 0.3 * rng.standard_normal(minutes)
    return draw_arm(rng, 1.0, weather), draw_arm(rng, factor, weather)


def test_equal_latency_passes():
    assert decide_quantile_parity(*draw_pair(1, 1.0), P50).verdict is Verdict.PASS


def test_a_third_slower_fails_at_both_quantiles():
    for probability in (0.5, 0.9):
        test = QuantileTest(probability, resamples=300)
        assert decide_quantile_parity(*draw_pair(2, 1.33), test).verdict is Verdict.FAIL


def test_false_parity_at_the_margin_is_rare_although_minutes_differ():
    passes = [
        decide_quantile_parity(*draw_pair(seed, 1.1), QuantileTest(0.5, resamples=200)).verdict
        is Verdict.PASS
        for seed in range(300)
    ]
    assert np.mean(passes) <= 0.08  # 4 % nominal, three standard errors of 300 runs


def test_few_blocks_decide_nothing():
    result = decide_quantile_parity(*draw_pair(3, 1.0, minutes=9), P50)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "9 blocks" in result.reason


def test_few_values_decide_nothing():
    rng = np.random.default_rng(4)
    arm = draw_arm(rng, 1.0, np.zeros(12), per_block=8)
    assert decide_quantile_parity(arm, arm, P50).verdict is Verdict.INCONCLUSIVE


def test_the_ratio_is_that_of_the_sample_quantiles():
    rng = np.random.default_rng(5)
    arm = draw_arm(rng, 1.0, np.zeros(20))
    twice = Arm(arm.values * 2, arm.blocks)
    assert decide_quantile_parity(arm, twice, P50).ratio == pytest.approx(2.0)


def test_a_latency_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="positive"):
        Arm(np.array([0.0]), np.array([1]))
