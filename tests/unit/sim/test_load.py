"""Capacity under load: never more than the allowance, first come first served, the same under one seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crossfade.sim.load.instances import Instances
from crossfade.sim.load.metered import Charge, ModelUnits, Quota

ARRIVALS = st.lists(
    st.tuples(
        st.floats(0, 5),  # seconds since the one before
        st.integers(1, 4000),  # input tokens
        st.integers(1, 2000),  # reserved output
        st.floats(0, 1),  # share of the reservation that is generated
    ),
    max_size=80,
)


@given(ARRIVALS, st.integers(1, 4), st.floats(1, 60))
def test_model_units_never_admit_more_than_rate_and_window_allow(arrivals, units, window_s):
    load = ModelUnits(units, (90_000, 18_000), window_s, now=0.0)
    now, used_input, used_output, oversize = 0.0, 0.0, 0.0, 0.0
    for gap, wanted_input, reserve, share in arrivals:
        now += gap
        charge = load.admit(wanted_input, reserve, now)
        if isinstance(charge, Charge):
            generated = int(min(reserve, charge.output_tokens) * share)
            load.settle(charge, generated, now)
            used_input += wanted_input
            used_output += generated
            oversize = max(oversize, wanted_input - load.input.size)
        allowed_input = units * 1500 * (now + window_s)
        allowed_output = units * 300 * (now + window_s)
        assert used_input <= allowed_input + max(0.0, oversize) + 1e-6
        assert used_output <= allowed_output + 1e-6


@given(ARRIVALS, st.floats(1, 5))
def test_a_quota_never_admits_reservations_beyond_its_bucket(arrivals, burndown):
    load = Quota(100_000, 60, burndown, 60.0, now=0.0)
    now, reserved = 0.0, 0.0
    for gap, wanted_input, reserve, _ in arrivals:
        now += gap
        charge = load.admit(wanted_input, reserve, now)
        if isinstance(charge, Charge):
            reserved += charge.input_tokens + charge.output_tokens
        assert reserved <= 100_000 / 60 * (now + 60) + 1e-6


def test_settlement_refunds_what_was_not_generated_and_burns_output_down():
    load = Quota(60_000, None, 5.0, 60.0, now=0.0)

    charge = load.admit(1000, 4000, 0.0)
    before = load.tokens.level
    load.settle(charge, 100, 0.0)

    assert before == 55_000
    assert load.tokens.level == 60_000 - 1000 - 5 * 100


def test_a_request_larger_than_the_bucket_is_served_from_a_full_one():
    load = ModelUnits(1, (600, 600), 1.0, now=0.0)

    assert isinstance(load.admit(50, 1, 0.0), Charge)
    assert not isinstance(load.admit(50, 1, 0.0), Charge)


def test_the_wait_named_by_a_refusal_is_enough():
    load = ModelUnits(1, (6000, 600), 10.0, now=0.0)
    load.admit(1000, 50, 0.0)

    refused = load.admit(500, 50, 0.0)

    assert isinstance(load.admit(500, 50, refused.retry_after_s + 1e-6), Charge)


def test_no_units_admit_nothing():
    assert not isinstance(ModelUnits(0, (600, 600), 10.0, now=0.0).admit(1, 1, 100.0), Charge)


@given(st.lists(st.integers(0, 2), max_size=100), st.integers(0, 3), st.integers(1, 4), st.integers(0, 5))
def test_instances_start_in_order_of_arrival_and_never_beyond_their_places(moves, instances, slots, limit):
    load = Instances(instances, slots, limit)
    arrived, started = [], []
    for number, move in enumerate(moves):
        if move:
            answer = load.arrive(str(number))
            if answer != "full":
                arrived.append(str(number))
            if answer == "started":
                started.append(str(number))
        elif load.running:
            started += load.leave(min(load.running, key=int))
        assert len(load.running) <= instances * slots
        assert len(load.waiting) <= limit
        assert started == arrived[: len(started)]


def test_more_instances_start_those_who_wait():
    load = Instances(1, 1, 10)
    assert [load.arrive(name) for name in "abc"] == ["started", "queued", "queued"]

    assert load.leave("b") == []
    assert load.resize(2) == ["c"]
    assert load.running == {"a", "c"}
