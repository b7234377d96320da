from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crossfade.control.migration.guard.incident import (
    Beside,
    decide_beside,
    decide_calm,
    decide_trouble,
    ordinary_of,
)
from crossfade.domain.migration import (
    Approvals,
    ArmHealth,
    Frozen,
    Incident,
)


def trouble(health, ordinary=None):
    frozen = None if ordinary is None else Frozen({}, ordinary={"recap": ordinary})
    return decide_trouble(frozen, {"recap": (health,)}, 0.02)


@pytest.mark.parametrize(
    ("health", "ordinary", "expected"),
    [
        (ArmHealth(1000, failed=20), None, False),  # at the limit
        (ArmHealth(1000, failed=21), None, True),
        (ArmHealth(100, failed=9), None, False),  # nine may be chance
        (ArmHealth(1000, failed=100), {"failed": 0.04}, False),  # often full, as on every day
        (ArmHealth(1000, failed=121), {"failed": 0.04}, True),
        (ArmHealth(1000, answers=200, bad=40), None, True),
        (ArmHealth(1000, answers=200, bad=40), {"bad": 0.05}, True),
        (ArmHealth(1000, answers=200, bad=29), {"bad": 0.05}, False),
        (ArmHealth(), None, False),
    ],
)
def test_trouble_is_measured_against_the_incumbents_ordinary_hours(health, ordinary, expected):
    found = trouble(health, ordinary)

    assert (found is not None) is expected
    if found is not None:
        assert found.reason.startswith("recap: ")
        assert found.is_shielded is bool(health.failed)


def test_what_is_measured_in_the_middle_of_an_outage_is_nobodys_ordinary():
    assert ordinary_of(ArmHealth(100, failed=90, answers=10, bad=10)) == {"failed": 0.05, "bad": 0.05}
    assert ordinary_of(ArmHealth()) == {"failed": 0.0, "bad": 0.0}


def test_shares_rest_while_an_incident_lasts_and_an_hour_after_it(world):
    on = world.at_stage(2, incident=Incident("recap: fails", world.NOW - 50.0))
    over = replace(on, incident=replace(on.incident, ended_unix_s=world.NOW))
    overruled = replace(over, approvals=Approvals(advance_unix_s=world.NOW + 5.0))

    assert decide_calm(world.at_stage(2), world.NOW) is None
    assert decide_calm(on, world.NOW + 1e6) == "recap: fails"
    assert decide_calm(over, world.NOW + 3599.0) == "the incumbent was in trouble less than 60 min ago"
    assert decide_calm(over, world.NOW + 3600.0) is None
    assert decide_calm(overruled, world.NOW + 6.0) is None


def blames(draw, incumbent, candidate, asked, blocks=40):
    """Whether so many blocks of attempts that the breakers let through ever blame the candidate."""
    beside = Beside()
    for _ in range(blocks):
        (ours, theirs), now = (int(draw.poisson(mean)) for mean in asked()), float(draw.random() < 0.7)
        failed, their_failed = (
            int(draw.binomial(n, p * now)) for n, p in ((ours, candidate), (theirs, incumbent))
        )
        block = (
            ArmHealth(30, 30 - ours, failed, voices=failed),
            ArmHealth(500, 500 - theirs, their_failed, voices=their_failed),
        )
        beside = beside.observe([block])
        if decide_beside(beside.compared(), 0.05) is not None:
            return True
    return False


def bursts_of(draw):
    """The incumbent's breaker lets much through, a little, or a probe now and then."""
    return lambda: (10.0, float(draw.choice([100.0, 5.0, 0.5])))


def test_no_shielding_of_the_incumbent_blames_a_candidate_that_fails_as_often():
    """600 incidents that come and go, each side let through in bursts: alpha is 0.1 % at three times."""
    draw = np.random.default_rng(1)
    rates = np.tile([0.05, 0.3, 0.6, 1.0], 150)

    assert sum(blames(draw, rate, rate, bursts_of(draw)) for rate in rates) == 0
    assert sum(blames(draw, 0.1, 0.3, bursts_of(draw)) for _ in range(300)) <= 2, "three times is the edge"


def test_a_candidate_far_worse_is_blamed():
    draw = np.random.default_rng(2)

    assert all(blames(draw, 0.1, 0.8, bursts_of(draw), 150) for _ in range(30))
    assert all(blames(draw, 0.05, 0.4, bursts_of(draw), 150) for _ in range(30))


def test_where_a_side_was_not_asked_nothing_is_learnt():
    dead = ArmHealth(20, failed=20, voices=20)

    assert Beside().observe([(dead, ArmHealth(20, kept_away=20))] * 50).compared() is None
    assert decide_beside(None, 0.5) is None
