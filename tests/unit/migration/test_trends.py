"""Falling feedback: noticed where it falls, told to the engine, over by itself."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade._engine import Decider
from crossfade.config.compile import compile_snapshot, lay_signals
from crossfade.config.load import load_text
from crossfade.config.snapshot_json import encode_snapshot
from crossfade.control.migration.people.liked import Liked
from crossfade.control.migration.people.trends import LEARNT_FROM, Consequence, Trends, merge
from crossfade.domain.route import Signal

HOUR_S = 3600.0
CONFIG = """
providers:
  lab: {kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1', auth: {method: none}}
endpoints: {a: {provider: lab, model: m}, b: {provider: lab, model: n}}
features: {recap: {hierarchy: [a, b]}}
"""


@pytest.fixture
def now():
    return [1_795_000_000.0]


@pytest.fixture
def trends(now):
    return Trends(lambda: now[0], lambda _: Consequence(0.25, HOUR_S))


def vote(trends, endpoint, number, every):
    trends.observe("recap", endpoint, f"u{number}", bad=number % every == 0)


def turned_bad(trends, endpoint="b"):
    for number in range(LEARNT_FROM):
        vote(trends, endpoint, number, 20)
    for number in range(LEARNT_FROM, 20 * LEARNT_FROM):
        vote(trends, endpoint, number, 6)
        if trends.signals():
            return


def test_feedback_that_turns_bad_at_one_endpoint_is_noticed_there_and_only_there(trends):
    for number in range(LEARNT_FROM + 1500):
        vote(trends, "a", number, 20)
    turned_bad(trends)
    rows = {row["endpoint"]: row for row in trends.rows()}
    assert (rows["a"]["is_worse"], rows["b"]["is_worse"]) == (False, True)
    assert rows["b"]["rate"] == pytest.approx(1 / 6, abs=0.01)
    assert rows["b"]["ordinary"] < 0.1
    (signal,) = trends.signals()["recap"]
    assert (signal.endpoint, signal.share) == ("b", 0.25)
    assert "17% of" in signal.reason


def test_an_alarm_ends_by_itself_and_votes_that_stay_bad_renew_it(trends, now):
    turned_bad(trends)
    until = trends.signals()["recap"][0].until_unix_s
    now[0] += HOUR_S / 2
    for number in range(10_000):
        vote(trends, "b", number, 6)
    assert trends.signals()["recap"][0].until_unix_s == until + HOUR_S / 2
    now[0] += HOUR_S
    assert trends.signals() == {}
    assert not trends.rows()[0]["is_worse"]


def test_one_customer_is_one_voice_a_minute(trends, now):
    for number in range(LEARNT_FROM):
        vote(trends, "b", number, 20)
    for _ in range(5000):
        trends.observe("recap", "b", "angry", bad=True)
    assert trends.signals() == {}
    assert trends.rows()[0]["votes"] == LEARNT_FROM + 1
    now[0] += 60.0
    trends.observe("recap", "b", "angry", bad=True)
    assert trends.rows()[0]["votes"] == LEARNT_FROM + 2


def test_where_everything_is_kept_the_alarm_is_only_told(now):
    trends = Trends(lambda: now[0], lambda _: Consequence(1.0, HOUR_S))
    for number in range(LEARNT_FROM):
        vote(trends, "b", number, 20)
    for number in range(5000):
        vote(trends, "b", number + LEARNT_FROM, 6)
    assert trends.rows()[0]["is_worse"]
    assert trends.signals() == {}


ends = st.integers(0, 20)
told = st.dictionaries(
    st.sampled_from(["f", "g"]),
    st.lists(
        st.builds(Signal, st.sampled_from("abc"), st.just(0.25), ends, st.just("said")),
        unique_by=lambda one: one.endpoint, min_size=1,
    ).map(tuple),
)  # fmt: skip


@given(told, told, ends)
def test_nothing_is_ended_early_and_nothing_that_ended_is_kept(present, fresh, now):
    merged = merge(present, fresh, now)
    for feature, signals in merged.items():
        known = {one.endpoint: one for one in present.get(feature, ()) if one.until_unix_s > now}
        known |= {one.endpoint: one for one in fresh.get(feature, ())}
        assert {one.endpoint: one for one in signals} == known
        assert len(signals) == len(known)
    assert set(merged) == {
        feature
        for feature in {*present, *fresh}
        if feature in fresh or any(one.until_unix_s > now for one in present[feature])
    }


class Told:
    """A publisher that keeps what it is told."""

    def __init__(self):
        self.signals, self.reasons = {}, []

    async def signal(self, signals, *, actor, reason):
        self.signals = signals
        self.reasons.append((actor, reason))


def firsts(signals, unix_s):
    """Who is asked first, of a thousand requests, by the real engine."""
    config = load_text(CONFIG, "c.yaml").config
    snapshot = compile_snapshot(config, version=1, issued_unix_s=int(unix_s), keys=(), overlays={})
    decider = Decider(encode_snapshot(lay_signals(snapshot, signals)))
    facts = SimpleNamespace(
        feature="recap", unix_s=int(unix_s), stream=False, input_tokens=5, max_output_tokens=None,
        tools=False, deadline_ms=None, pin=None,
    )  # fmt: skip
    first = []
    for number in range(1000):
        asked = json.dumps({**vars(facts), "request_id": f"r{number}", "unit": f"u{number}"})
        plan = [c["endpoint"] for c in json.loads(decider.choose(asked, 0.0, 0.5))["ok"]["candidates"]]
        assert sorted(plan) == ["a", "b"], "nobody loses a backup by what users say"
        first.append(plan[0])
    return first.count("a")


async def test_from_the_votes_to_the_order_of_the_engine_and_back(trends, now, tmp_path):
    """Virtual time: users of `a` like it less, three quarters ask `b` first for an hour, then none."""
    told, draw = Told(), random.Random(1)
    liked = Liked(trends, told, tmp_path / "trends.json")
    for number in range(LEARNT_FROM):
        vote(trends, "a", number, 20)
    await liked.look()
    assert told.reasons == []
    for number in range(3000):
        trends.observe("recap", "a", f"late{number}", bad=draw.random() < 0.2)
    await liked.look()
    await liked.look()
    assert len(told.reasons) == 1, "published once"
    assert told.reasons[0][1].startswith("recap at a: users like its answers less")
    assert 200 <= firsts(told.signals, now[0]) <= 300
    assert firsts(told.signals, now[0] + HOUR_S) == 1000, "the engine ends it itself, control being away"
    now[0] += HOUR_S
    await liked.look()
    assert (told.signals, len(told.reasons)) == ({}, 2)


async def test_a_restarted_control_does_not_end_what_was_said(now, tmp_path):
    told = Told()
    told.signals = {"recap": (Signal("a", 0.25, int(now[0]) + 60, "said before"),)}
    liked = Liked(Trends(lambda: now[0], lambda _: Consequence(0.25, HOUR_S)), told, tmp_path / "trends.json")
    await liked.look()
    assert told.reasons == []
    now[0] += 60.0
    await liked.look()
    assert told.signals == {}


def restarted(liked, now):
    """Another process on the same folder."""
    trends = Trends(lambda: now[0], lambda _: Consequence(0.25, HOUR_S))
    again = Liked(trends, Told(), liked.place)
    again.restore()
    return again


async def test_a_trend_half_told_goes_on_after_a_restart_and_one_that_was_told_is_not_told_again(
    trends, now, tmp_path
):
    straight = Trends(trends.clock, trends.consequence_of)
    liked = Liked(trends, Told(), tmp_path / "trends.json")
    for number in range(LEARNT_FROM + 5000):
        if number % 300 == 299:
            await liked.look()
            liked = restarted(liked, now)
        for one in (straight, liked.trends):
            vote(one, "b", number, 20 if number < LEARNT_FROM else 6)
        assert bool(liked.trends.signals()) == bool(straight.signals()), number
    assert straight.signals()
    await liked.look()
    again = restarted(liked, now)
    assert again.trends.rows() == liked.trends.rows()
    again.publisher.signals = liked.publisher.signals
    await again.look()
    assert again.publisher.reasons == [], "told once"


@pytest.mark.parametrize("text", ["", "[[", '[["recap", "b"]]'])
async def test_kept_trends_that_cannot_be_read_are_learnt_anew(trends, tmp_path, text):
    liked = Liked(trends, Told(), tmp_path / "trends.json")
    liked.place.write_text(text)
    liked.restore()
    assert trends.rows() == []
    turned_bad(trends)
    await liked.look()
    assert trends.signals()


async def test_a_folder_that_cannot_be_written_stops_no_alarm(trends, tmp_path):
    turned_bad(trends)
    liked = Liked(trends, Told(), tmp_path / "no/such/folder/trends.json")
    await liked.look()
    assert liked.publisher.reasons
