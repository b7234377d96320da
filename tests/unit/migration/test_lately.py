from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crossfade.control.migration.guard.lately import KEPT_S, Lately, Side, sum_of
from crossfade.domain.migration import ArmHealth

STEPS = st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 5)), min_size=1, max_size=1500)


@given(STEPS, st.integers(0, 900))
def test_a_look_over_any_stretch_is_what_counting_anew_would_give(steps, back):
    side, naive, now = Side(), [], 1_000
    for step, failed in steps:
        now += step
        side.add(now, ArmHealth(10, 1, failed, 2, 1, failed))
        naive.append((max(now, naive[-1][0] if naive else now), ArmHealth(10, 1, failed, 2, 1, failed)))
    newest = naive[-1][0]
    since = max(newest - back, newest - KEPT_S)

    assert side.since(newest - back) == sum_of(health for second, health in naive if second >= since)
    assert side.since(newest + 1) == ArmHealth()


@given(STEPS, st.integers(0, 300))
def test_an_incumbent_is_well_exactly_where_a_look_would_find_nothing(steps, back):
    ours, theirs, now = Side(), Side(), 1_000
    for step, failed in steps:
        now += step
        theirs.add(now, ArmHealth(10, failed=failed // 5))
    since = theirs.seconds[-1] - back

    is_well = Lately({"recap": (ours, theirs)}).is_well("recap", since)
    assert is_well == (not theirs.since(since).is_spotted)
    assert Lately().is_well("recap", since)
