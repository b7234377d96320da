from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from types import SimpleNamespace

import pytest

from crossfade.config.load import load_text
from crossfade.control.evidence.fingerprint import fingerprint
from crossfade.control.migration.adapters import (
    VERIFIED_EVERY_S,
    BoardCounters,
    ConfigCandidate,
    FolderBundles,
    LookedUp,
)
from crossfade.control.migration.guard.samples import SampleBoard
from crossfade.control.records.counters import CounterBoard
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.journal import Journal
from crossfade.domain.attempt import Counters, FeatureEffect
from crossfade.domain.migration_spec import MetricSpec
from crossfade.domain.route import Target

CONFIG = """
providers:
  lab: {kind: openai-compatible, base_url: "http://127.0.0.1:9/v1", auth: {method: none}}
endpoints:
  a: {provider: lab, model: a}
  b1: {provider: lab, model: b, capacity: {class: provisioned, units: 4 MU}}
  b2: {provider: lab, model: b, capacity: {class: provisioned, units: 2 MU}}
pools: {old: {endpoints: [a]}, new: {endpoints: [b1, b2]}, od: {endpoints: [a]}}
features:
  recap: {hierarchy: [old, od], policy: {signoffs: [legal, security]}}
  search: {hierarchy: [old, od], policy: {signoffs: [legal, fedramp]}}
"""


@pytest.fixture
def candidate():
    publisher = SimpleNamespace(config=load_text(CONFIG, "crossfade.yaml").config)
    return ConfigCandidate(publisher, lambda _config, target, features: f"{target.pool}:{','.join(features)}")


def test_candidate_gathers_roles_units_and_endpoints(world, candidate):
    found = asyncio.run(candidate.look(world.SPEC))
    assert found.endpoints == ("b1", "b2")
    assert found.required_roles == ("legal", "security", "fedramp")
    assert found.purchased_units == 6.0
    assert found.fingerprint == "new:recap,search"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidate": "nowhere"}, "pool 'nowhere'"),
        ({"features": ("none",)}, "feature 'none'"),
        ({"incumbent": "new"}, "not served by 'new'"),
    ],
)
def test_what_is_not_in_the_config_is_named_with_a_hint(world, candidate, change, message):
    with pytest.raises(LookupError, match=message) as raised:
        asyncio.run(candidate.look(replace(world.SPEC, **change)))
    assert "hint" in str(raised.value)


@pytest.mark.parametrize(
    ("parameters", "served"), [({}, ("recap", "search")), ({"temperature": 0.2}, ())], ids=["same", "other"]
)
def test_the_incumbents_own_pool_is_a_candidate_only_with_other_parameters(
    world, candidate, parameters, served
):
    spec = replace(world.SPEC, candidate="old", parameters=parameters)
    assert asyncio.run(candidate.look(spec)).serves_already == served


def test_the_incumbents_endpoints_are_no_candidate_by_another_name(world, candidate):
    config = candidate.publisher.config
    alias = config.pools["old"].model_copy(update={"choose": "fastest"})
    candidate.publisher.config = config.model_copy(update={"pools": {**config.pools, "alias": alias}})
    spec = replace(world.SPEC, candidate="alias")
    assert asyncio.run(candidate.look(spec)).serves_already == ("recap", "search")
    other = replace(spec, parameters={"temperature": 0.2})
    assert asyncio.run(candidate.look(other)).serves_already == ()


def test_a_judge_that_moves_itself_is_told_before_the_start(world, candidate):
    quality = replace(world.SPEC.quality, judges=("recap",))
    (said,) = asyncio.run(candidate.look(replace(world.SPEC, quality=quality))).lacks
    assert said.startswith("the judge recap is one of the features that move")


def test_what_shall_guard_and_could_not_is_told_before_the_start(world, candidate):
    rollout = replace(
        world.SPEC.rollout, guards=("errors", "judge"), metrics=(MetricSpec("orders", True, 0.1),)
    )
    lacks = asyncio.run(candidate.look(replace(world.SPEC, rollout=rollout))).lacks
    assert [text.partition(" (hint: ")[0] for text in lacks] == [
        "the config has no metric orders",
        "the judge judge is no feature in the config",
        "no answer of recap is captured, so none can be judged",
        "no answer of search is captured, so none can be judged",
    ]


def test_a_judge_that_is_no_feature_is_told_before_the_start_also_where_it_guards_nothing(world, candidate):
    quality = replace(world.SPEC.quality, judges=("jugde",))
    lacks = asyncio.run(candidate.look(replace(world.SPEC, quality=quality))).lacks
    assert lacks == ("the judge jugde is no feature in the config (hint: define it under features)",)


def test_a_signoff_binds_to_the_parameters_it_was_given_for():
    config = load_text(CONFIG, "crossfade.yaml").config
    prints = [
        fingerprint(config, Target("old", given), ("recap",)) for given in ({}, {"top_p": 0.9}, {"top_p": 1})
    ]
    assert len(set(prints)) == 3


def report(gateway):
    effects = (FeatureEffect("recap", 0.1, 1, None, False), FeatureEffect("other", 0.0, None, None, False))
    return Counters(gateway, 1, 0, 3, (), (), effects, 0, 0, 0)


def test_a_gateway_that_was_taken_away_is_forgotten_unless_it_was_the_last():
    now = [1000.0]
    board = CounterBoard(lambda: now[0])
    counters = BoardCounters(board, lambda: now[0], None, SampleBoard(price=lambda _: None))
    board.observe(report("g1"))
    board.observe(report("g2"))
    now[0] += 30.0
    board.observe(report("g2"))
    views = counters.views(("recap",))
    assert [(view.name, view.silent_s) for view in views] == [("g1", 30.0), ("g2", 0.0)]
    assert [effect.feature for effect in views[0].effects] == ["recap"]
    now[0] += 100.0
    assert [view.name for view in counters.views(("recap",))] == ["g2"]
    now[0] += 1000.0
    assert [view.name for view in counters.views(("recap",))] == ["g1", "g2"]


def test_bundles_are_written_whole_and_named_by_their_hash(tmp_path):
    written = asyncio.run(FolderBundles(tmp_path).write("move", {"report.json": "{}"}))
    assert written == {"report.json": hashlib.sha256(b"{}").hexdigest()}
    assert (tmp_path / "move" / "report.json").read_text() == "{}"
    assert len(list((tmp_path / "move").iterdir())) == 1


async def test_evidence_is_verified_anew_after_a_new_line_and_every_minute_but_not_twice_a_second(tmp_path):
    now, asked = [100.0], []
    log = await EventLog.open(f"sqlite:///{tmp_path}/log.db")

    async def of(migration):
        asked.append(migration)
        return tuple(await log.read(f"evidence/{migration}"))

    async def add(evidence, artefact):
        await log.append("evidence/move", "drill", {}, actor="a", reason=f"{evidence} {artefact}")

    journal = Journal(log, steady=lambda: now[0])
    looked = LookedUp(SimpleNamespace(of=of, add=add), journal, lambda: now[0])
    assert await looked.of("move") == ()
    await looked.add("one", b"")
    assert len(await looked.of("move")) == 1, "one's own line at once"
    for _ in range(20):
        now[0] += 0.5
        assert len(await looked.of("move")) == 1
    assert len(asked) == 2
    now[0] += VERIFIED_EVERY_S
    await looked.of("move")
    assert len(asked) == 3
    await looked.of("move", anew=True)
    assert len(asked) == 4, "who asks for it has it verified now"
    await log.close()


async def test_what_verifies_the_evidence_is_the_stores_own(tmp_path):
    async def proofs(migration):
        return {"keys": {}, "artefacts": {"of": migration}}

    looked = LookedUp(SimpleNamespace(proofs=proofs), None, lambda: 0.0)
    assert await looked.proofs("move") == {"keys": {}, "artefacts": {"of": "move"}}
