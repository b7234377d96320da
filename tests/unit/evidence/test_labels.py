"""Labels count only for pairs that were drawn before anybody saw an answer, both answers together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from crossfade.control.evidence import pairs
from crossfade.control.migration.collecting.collectors import read_labels
from crossfade.control.migration.people.approvals import RealPeople
from crossfade.control.migration.ports import CollectError
from crossfade.control.store.eventlog import EventLog

SPEC = SimpleNamespace(
    name="move", features=("recap",), quality=SimpleNamespace(label_rate=0.2, labels_at_most=800)
)
IDS = [f"pair-{number}" for number in range(200)]


@dataclass
class Place:
    people: RealPeople
    log: EventLog
    drawn: list[str] = field(default_factory=lambda: [p for p in IDS if pairs.is_sampled("labels", p, 0.2)])

    @property
    def left_out(self) -> list[str]:
        return [pair for pair in IDS if pair not in self.drawn]

    def label(self, *given: dict, rater: str = "ann") -> int:
        return asyncio.run(self.people.label(SPEC, list(given), rater))

    def known(self) -> dict:
        return asyncio.run(read_labels(self.log, "move"))


@pytest.fixture
def place(tmp_path):
    log = asyncio.run(EventLog.open(f"sqlite:///{tmp_path}/log.db"))
    rows = [
        SimpleNamespace(
            request_id=pair, unit=pair, request='{"messages": [{"role": "user", "content": "Hi"}]}',
            live_response=f"old {pair}", shadow_response=f"new {pair}", live_ttft_ms=1.0,
            shadow_ttft_ms=1.0, started_unix_ms=1000,
        )
        for pair in IDS
    ]  # fmt: skip
    records = SimpleNamespace(pairs=lambda *_: rows)
    yield Place(RealPeople(SimpleNamespace(log=log, records=records)), log)
    asyncio.run(log.close())


def good(pair: str) -> dict:
    return {"id": pair, "score_x": 1.0, "score_y": 0.0}


def test_a_label_of_a_pair_that_was_not_drawn_is_refused_with_the_reason_and_nothing_is_lost(place):
    assert place.label(*map(good, place.drawn[:3])) == 3
    before = place.known()
    with pytest.raises(CollectError, match=f"{place.left_out[0]} is not in the sample .hint: label what"):
        place.label(good(place.drawn[3]), good(place.left_out[0]))

    assert place.known() == before, "a batch is taken whole or not at all"
    assert place.label(good(place.drawn[3])) == 1, "what was refused with it can be sent again"
    assert set(place.known()) == set(place.drawn[:4])


@pytest.mark.parametrize(
    "scores", [{"score_x": 1.0}, {"score_x": 1.0, "score_y": 2.0}, {"score_x": -0.1, "score_y": 0.0}, {}]
)
def test_a_label_of_one_answer_only_or_off_the_scale_is_refused(place, scores):
    with pytest.raises(CollectError, match="both scores are needed, each between 0 and 1"):
        place.label({"id": place.drawn[0], **scores})
    assert place.known() == {}


def test_a_rater_counts_once_for_a_pair_and_two_raters_are_averaged(place):
    pair = place.drawn[0]
    assert place.label(good(pair)) == 1
    assert place.label(good(pair)) == 0
    assert place.label({"id": pair, "score_x": 0.0, "score_y": 1.0}, rater="bo") == 1
    assert place.known() == {pair: (0.5, 0.5)}


def test_the_queue_shows_the_sample_blind_and_only_what_waits(place):
    queue = asyncio.run(place.people.label_queue(SPEC))
    assert [row["id"] for row in queue] == place.drawn
    firsts = {row["answer_x"].split()[0] for row in queue}
    assert firsts == {"old", "new"}, "which answer is X is a coin"
    place.label(good(place.drawn[0]))
    assert len(asyncio.run(place.people.label_queue(SPEC))) == len(place.drawn) - 1
