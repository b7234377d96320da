from __future__ import annotations

import numpy as np
import pytest

from crossfade.sim.canary.detection import TABLE, measure_harm
from crossfade.sim.canary.report import equal_run, incident_run, near
from crossfade.sim.canary.rollouts import base_rate, run_rollout


@pytest.mark.parametrize("row", [4, 8, 14, 16, 22])
def test_harm_before_a_rollback_is_near_the_published_table(row):
    case, median, p90, _ = TABLE[row]
    found = measure_harm(case, 300, seed=1)
    assert near(found.median, median, 0.3)
    assert near(found.p90, p90, 0.45)
    assert found.crossed == 1.0


def test_an_identical_candidate_and_an_incident_of_both_arms_are_not_rolled_back():
    """40 rollouts each at alpha 1 %: three or more false ones come up once in 140 such tests."""
    assert sum(equal_run(seed).guard is not None for seed in range(40)) <= 2
    assert sum(incident_run(seed).guard is not None for seed in range(20)) <= 2


def test_four_times_the_errors_is_rolled_back_with_the_tables_harm():
    def worse(guard, _):
        return (4.0 * base_rate(guard) if guard == "errors" else base_rate(guard)), base_rate(guard)

    endings = [run_rollout(worse, seed, looks=40) for seed in range(15)]
    assert {ending.guard for ending in endings} == {"errors"}
    # 29 bad answers by the table at weight 50 %: the baseline is as large as the candidate.
    assert np.median([ending.harmed for ending in endings]) == pytest.approx(29, rel=0.4)
