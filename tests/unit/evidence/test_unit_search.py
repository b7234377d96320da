"""The search for units against a limiter whose true answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from crossfade.config.load import load_text
from crossfade.control.evidence.capacity import search
from crossfade.control.evidence.capacity.loadtest import judge_probe, slo_of, with_parameters
from crossfade.control.evidence.capacity.profile import Arrival, Profile
from crossfade.control.evidence.gateway_client import Measured
from crossfade.control.migration.collecting.collectors import refuse_masked
from crossfade.control.migration.ports import CollectError
from crossfade.domain.evidence import Verdict

RECORDED = Profile(tuple(Arrival(i / 20, 100, 100, "recap") for i in range(400)), 20.0, (100.0, 60.0))


class Limiter:
    """Answers in no time while `units` are enough for the rate; lags as often as told."""

    def __init__(self, needed: int, lags: int = 0) -> None:
        self.needed, self.lags = needed, lags
        self.moves: list[int] = []

    async def move(self, units: int) -> None:
        self.moves.append(units)

    async def measure(self, body, endpoint, due) -> Measured:
        lag = 500.0 if self.lags else 0.0
        full = bool(self.moves) and self.moves[-1] < self.needed
        return Measured(
            not full, full, None if full else 5.0, 5.0, lag, "text", "rate_limited" if full else None
        )


def plan(bought=(12, "MU"), headroom=0.15, worth=None):
    slo = slo_of({"ttft_p95": 2000.0}, None, 0.01)
    return search.LoadPlan("pt", RECORDED, 1.3, slo, 1.0, 6.0, headroom, bought, worth)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Arrivals are due now: the search is tested, not the generator's clock."""

    async def run(client, endpoint, arrivals, parameters):
        answers = [await client.measure({}, endpoint, 0.0) for _ in arrivals]
        client.lags = max(0, client.lags - 1)
        return answers

    monkeypatch.setattr(search, "run_probe", run)


@pytest.mark.parametrize("needed", [1, 2, 5, 12, 13, 30, 64])
async def test_the_smallest_number_that_carries_the_load_is_found_and_the_bought_number_stands_again(needed):
    limiter = Limiter(needed)
    found = await search.search_units(limiter, plan(), limiter.move, lambda _: None)

    assert (found.verdict, found.observed["units"]) == (Verdict.PASS, needed)
    assert limiter.moves[-1] == 12


async def test_more_than_the_most_is_a_failure_that_says_so():
    limiter = Limiter(999)
    found = await search.search_units(limiter, plan(), limiter.move, lambda _: None)

    assert found.verdict is Verdict.FAIL
    assert "not even 64" in found.observed["reason"]


async def test_a_lagging_generator_is_measured_again_and_not_counted_against_the_units():
    limiter = Limiter(5, lags=2)
    found = await search.search_units(limiter, plan(), limiter.move, lambda _: None)

    assert found.observed["units"] == 5
    assert [probe["is_void"] for probe in found.observed["probes"]][:3] == [True, True, False]


async def test_a_generator_that_always_lags_gives_no_answer_instead_of_more_units():
    limiter = Limiter(5, lags=99)

    with pytest.raises(LookupError, match="too busy"):
        await search.search_units(limiter, plan(), limiter.move, lambda _: None)
    assert limiter.moves[-1] == 12


async def test_on_demand_capacity_is_probed_as_it_is_with_the_headroom_on_the_load():
    limiter = Limiter(0)
    found = await search.probe_what_is_there(limiter, plan(bought=None), lambda _: None)

    assert found.verdict is Verdict.PASS
    assert found.observed["interval"] is None
    assert found.observed["rate"] == pytest.approx(RECORDED.rate * 1.3 * 1.15)


async def test_a_declared_worth_of_a_unit_saves_probes():
    # 26 requests/s of 60 output tokens are 93,600 a minute: ten units of 10,000 by the mean
    limiter = Limiter(11)
    found = await search.search_units(limiter, plan(worth=(1e6, 1e4)), limiter.move, lambda _: None)

    assert found.observed["units"] == 11
    assert found.observed["probes"][0]["units"] == 10


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ({}, {"model": "f", "max_tokens": 50}),
        ({"temperature": 0.2}, {"model": "f", "max_tokens": 50, "temperature": 0.2}),
        ({"max_tokens": 300}, {"model": "f", "max_tokens": 300}),
        ({"max_completion_tokens": 300}, {"model": "f", "max_completion_tokens": 300}),
    ],
)
def test_a_load_test_asks_as_the_candidate_would_be_asked(parameters, asked):
    assert with_parameters({"model": "f", "max_tokens": 50}, parameters) == asked


def test_a_load_test_sends_the_candidates_prompt_as_the_first_message():
    said = {"role": "user", "content": "Hello"}
    prompt = {"role": "system", "content": "Be brief."}
    old = {"role": "system", "content": "Be long."}
    for before in ([said], [old, said]):
        asked = with_parameters({"model": "f", "messages": before}, {"system": "Be brief."})
        assert asked == {"model": "f", "messages": [prompt, said]}


MASKING = """
providers: {lab: {kind: openai-compatible, base_url: "http://127.0.0.1:9/v1", auth: {method: none}}}
endpoints: {a: {provider: lab, model: a}, b: {provider: lab, model: b}}
pools: {old: {endpoints: [a]}, new: {endpoints: [b]}}
features:
  recap: {hierarchy: [{pool: old, set: {max_tokens: 100, temperature: 0}}]}
"""


@pytest.mark.parametrize(
    ("parameters", "endpoint", "is_refused"),
    [
        ({"max_tokens": 300}, "a", True),
        ({"temperature": 0.5}, "a", False),
        ({"max_tokens": 300}, "b", False),
    ],
)
def test_a_load_that_would_be_measured_with_the_incumbents_parameters_is_not_measured(
    parameters, endpoint, is_refused
):
    config = load_text(MASKING, "crossfade.yaml").config
    spec = SimpleNamespace(features=("recap",), parameters=parameters)
    if not is_refused:
        return refuse_masked(config, spec, endpoint)
    with pytest.raises(CollectError, match="max_tokens is set by recap's own target"):
        refuse_masked(config, spec, endpoint)
    return None


def measured(ttft_ms: float, total_ms: float, count: int) -> list[Measured]:
    return [Measured(True, False, ttft_ms, total_ms, 0.0, "text", None)] * count


def test_an_objective_of_whole_answers_is_not_read_as_one_of_first_tokens():
    slow_ends = measured(100.0, 9000.0, 200)
    assert judge_probe(1, slow_ends, slo_of({"ttft_p95": 2000.0}, None, 0.01)).verdict is Verdict.PASS
    found = judge_probe(1, slow_ends, slo_of({"e2e_p95": 5000.0}, None, 0.01))
    assert (found.verdict, found.reason) == (Verdict.FAIL, "only 0 of 200 were whole in time (e2e_p95)")


def test_every_limit_of_the_objective_counts_not_the_first_alone():
    seen = measured(100.0, 9000.0, 200)
    for limits in ({"ttft_p95": 2000.0, "e2e_p50": 5000.0}, {"e2e_p50": 5000.0, "ttft_p95": 2000.0}):
        assert judge_probe(1, seen, slo_of(limits, None, 0.01)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("name", "attainment", "verdict"),
    [
        ("ttft_p90", None, Verdict.PASS),
        ("ttft_p99", None, Verdict.FAIL),
        ("ttft_p90", 0.99, Verdict.FAIL),
        ("ttft_p99", 0.9, Verdict.PASS),
    ],
)
def test_a_limits_name_says_how_many_must_keep_it_unless_attainment_does(name, attainment, verdict):
    seen = [*measured(100.0, 200.0, 470), *measured(3000.0, 4000.0, 30)]  # 94 % in time
    assert judge_probe(1, seen, slo_of({name: 2000.0}, attainment, 0.01)).verdict is verdict
