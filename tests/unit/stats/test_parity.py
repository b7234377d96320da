"""The gate's error rates, by simulation: false parity at the margin, power at equality."""

import numpy as np
import pytest

from crossfade.domain.evidence import Verdict
from crossfade.stats.parity import decide_parity
from crossfade.stats.ppi import PairedSample, estimate_difference

MARGIN = 0.05
RUNS = 1200
# 1200 runs at a true 5 %: three binomial standard errors are 1.9 points.
TOLERANCE = 0.069

JUDGES = {
    "biased towards the candidate": ((0.90, 0.75), (0.95, 0.55)),
    "good": ((0.92, 0.85), (0.92, 0.85)),
    "useless": ((0.5, 0.5), (0.5, 0.5)),
}


def draw_sample(rng, delta, judge, *, pairs=2000, labels=200, per_cluster=1):
    (sens_a, spec_a), (sens_b, spec_b) = judge
    # Half of the outcomes are shared between the arms: discordance near 0.16 at 85 %.
    shared = rng.random(pairs) < 0.4
    level = rng.random(pairs)
    if per_cluster > 1:
        groups = np.repeat(rng.random(pairs // per_cluster), per_cluster)
        level = np.where(rng.random(pairs) < 0.3, groups, level)
    first = level < 0.85
    second = np.where(shared, level, rng.random(pairs)) < 0.85 + delta
    marks = rng.random((2, pairs))
    seen_a = np.where(first, marks[0] < sens_a, marks[0] > spec_a)
    seen_b = np.where(second, marks[1] < sens_b, marks[1] > spec_b)
    human = np.full(pairs, np.nan)
    chosen = rng.choice(pairs, labels, replace=False)
    human[chosen] = (second.astype(float) - first)[chosen]
    return PairedSample(seen_b.astype(float) - seen_a, human, np.arange(pairs) // per_cluster)


def share_passing(seed, delta, judge, **options):
    rng = np.random.default_rng(seed)
    verdicts = [
        decide_parity(draw_sample(rng, delta, judge, **options), margin=MARGIN).verdict for _ in range(RUNS)
    ]
    return np.mean([verdict is Verdict.PASS for verdict in verdicts])


@pytest.mark.parametrize("judge", JUDGES, ids=str)
def test_false_parity_at_the_margin_stays_within_the_nominal_rate_whatever_the_judge(judge):
    assert share_passing(11, -MARGIN, JUDGES[judge]) <= TOLERANCE


def test_false_parity_stays_within_the_nominal_rate_when_pairs_come_in_conversations():
    assert share_passing(12, -MARGIN, JUDGES["good"], per_cluster=5) <= TOLERANCE


def test_equal_arms_pass_with_four_hundred_labels_and_a_good_judge():
    assert share_passing(13, 0.0, JUDGES["good"], labels=400) >= 0.85


def test_twice_the_margin_is_hardly_ever_parity():
    assert share_passing(14, -2 * MARGIN, JUDGES["biased towards the candidate"], labels=400) <= 0.005


def test_a_judge_that_follows_the_people_saves_labels():
    good = share_passing(15, 0.0, JUDGES["good"], labels=200)
    useless = share_passing(15, 0.0, JUDGES["useless"], labels=200)
    assert good > useless + 0.05


def test_a_large_drop_fails_rather_than_staying_open():
    sample = draw_sample(np.random.default_rng(1), -0.25, JUDGES["good"], labels=400)
    assert decide_parity(sample, margin=MARGIN).verdict is Verdict.FAIL


def test_labels_from_fewer_than_thirty_clusters_decide_nothing():
    sample = draw_sample(np.random.default_rng(1), 0.0, JUDGES["good"], labels=29)
    parity = decide_parity(sample, margin=MARGIN)
    assert parity.verdict is Verdict.INCONCLUSIVE
    assert "29 clusters" in parity.reason


@pytest.mark.parametrize(("labels", "verdict"), [(40, Verdict.INCONCLUSIVE), (80, Verdict.PASS)])
def test_no_difference_seen_passes_only_when_the_exact_bound_allows(labels, verdict):
    sample = PairedSample(np.zeros(labels), np.zeros(labels), np.arange(labels))
    assert decide_parity(sample, margin=MARGIN).verdict is verdict


def test_the_estimate_without_a_judge_is_the_plain_paired_mean_and_its_error():
    human = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], 100)
    mean = estimate_difference(PairedSample(np.zeros(100), human, np.arange(100)))
    assert mean.estimate == pytest.approx(human.mean(), abs=1e-12)
    assert mean.standard_error == pytest.approx(human.std(ddof=1) / 10, rel=1e-9)


def test_the_estimate_follows_the_published_formula():
    sample = draw_sample(np.random.default_rng(4), 0.0, JUDGES["good"], pairs=500, labels=100)
    mean = estimate_difference(sample)
    known = ~np.isnan(sample.human)
    rest = sample.judge[~known]
    expected = mean.weight * rest.mean() + (sample.human[known] - mean.weight * sample.judge[known]).mean()
    assert mean.estimate == pytest.approx(expected, abs=1e-12)
    assert 0 < mean.weight < 1


def test_doubling_every_pair_inside_its_cluster_adds_no_certainty():
    single = draw_sample(np.random.default_rng(5), 0.0, JUDGES["good"], pairs=400, labels=100)
    twice = PairedSample(*(np.repeat(part, 2) for part in (single.judge, single.human, single.clusters)))
    first, second = estimate_difference(single), estimate_difference(twice)
    assert second.standard_error == pytest.approx(first.standard_error, rel=1e-9)


def test_scores_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match="scale the scores"):
        PairedSample(np.array([2.0]), np.array([np.nan]), np.array([0]))
