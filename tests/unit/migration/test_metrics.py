"""Business metrics: totals by arm from a real database and a real HTTP server, events that are pushed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from crossfade.config.shape.control import MetricSection
from crossfade.control.evidence.gateway_address import GatewayAddress
from crossfade.control.evidence.gateway_client import GatewayClient
from crossfade.control.evidence.judge import JudgeError
from crossfade.control.migration.guard.samples import Sample, SampleBoard
from crossfade.control.migration.metrics.book import MetricBook
from crossfade.control.migration.metrics.judging import WAITING_AT_MOST, LiveJudge, grader
from crossfade.control.migration.metrics.metric_sources import MetricError, read_total
from crossfade.control.migration.metrics.pushed import Event, Pushed
from crossfade.control.migration.rollout import live_rollout
from crossfade.domain.attempt import ArmKind, AttemptRecord, Content, OutcomeClass, Role, Timings
from crossfade.domain.migration_spec import MetricSpec
from crossfade.domain.overlay import FeatureOverlay

ORDERS = MetricSection(sql="SHOP", query="SELECT n FROM orders WHERE arm = :arm")


class Shop:
    """Totals by arm that a test sets, and the book that reads them."""

    def __init__(self, spec):
        rollout = replace(spec.rollout, metrics=(MetricSpec("orders", True, 0.1),))
        self.spec = replace(spec, rollout=rollout)
        self.totals = {"candidate": 0.0, "baseline": 0.0}
        self.problem = None
        self.now = 0.0
        self.sources = {"orders": ORDERS}
        self.laid = {}
        self.board = SampleBoard(price=lambda _: None)
        self.book = MetricBook(
            lambda: self.sources,
            lambda: self.laid,
            self.board,
            LiveJudge(self.board, None),
            lambda: self.now,
            lambda: 7.0,
            self.read,
        )
        self.cursor = 0

    async def read(self, source, arm, migration):
        assert (source, migration) == (ORDERS, "move")
        if self.problem:
            raise MetricError(self.problem)
        return self.totals[arm]

    def share(self, share, epoch=1):
        live = live_rollout("move", epoch, "salt", share, self.spec.target)
        self.laid = {"recap": FeatureOverlay(live, None, ())}

    def look(self, candidate, baseline, *, after_s=15.0):
        """Events told after these totals were read."""
        self.now += after_s
        self.totals = {"candidate": candidate, "baseline": baseline}
        self.book.unread(self.spec)
        asyncio.run(self.book.look())
        self.cursor, samples = self.board.since("move", self.cursor)
        return {(sample.arm.value, sample.share): sample.events["orders"] for sample in samples}


@pytest.fixture
def shop(world):
    return Shop(world.SPEC)


def test_what_totals_grow_by_are_the_arms_events_at_the_share_of_both_readings(shop):
    assert shop.look(50, 60) == {}, "no share is live"
    shop.share(0.05)
    assert shop.look(100, 110) == {}, "what was before is nobody's"
    assert shop.look(130, 150) == {("candidate", 0.05): 30, ("baseline", 0.05): 40}
    assert shop.look(135, 150, after_s=2.0) == {}, "not due yet"
    assert shop.look(135, 150) == {("candidate", 0.05): 5}
    shop.share(0.25)
    assert shop.look(300, 300) == {}, "between two shares"
    assert shop.look(310, 301) == {("candidate", 0.25): 10, ("baseline", 0.25): 1}
    shop.share(0.25, epoch=2)
    assert shop.look(400, 400) == {}, "another epoch"
    assert shop.look(3, 401) == {("candidate", 0.25): 3, ("baseline", 0.25): 1}, "a counter that was reset"


def test_a_source_that_cannot_be_read_is_told_and_what_came_meanwhile_counts_if_the_share_stayed(shop):
    shop.share(0.05)
    shop.look(100, 100)
    assert shop.book.unread(shop.spec) is None
    shop.problem = "no answer (hint: look)"
    assert shop.look(120, 130) == {}
    assert shop.book.unread(shop.spec) == "orders: no answer (hint: look)"
    shop.problem = None
    assert shop.look(140, 150) == {("candidate", 0.05): 40, ("baseline", 0.05): 50}
    assert shop.book.unread(shop.spec) is None
    shop.sources = {}
    assert "not in the config any more" in shop.book.unread(shop.spec)


@pytest.fixture
def database(tmp_path, monkeypatch):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as shop:
        shop.execute("CREATE TABLE orders (arm TEXT, n INTEGER)")
        shop.executemany("INSERT INTO orders VALUES (?, ?)", [("candidate", 7), ("baseline", 9)])
    monkeypatch.setenv("SHOP", f"sqlite:///{path}")
    return path


async def test_a_database_is_asked_for_each_arm_and_never_changed(database):
    assert [await read_total(ORDERS, arm, "move") for arm in ("candidate", "baseline")] == [7.0, 9.0]
    both = MetricSection(sql="SHOP", query="SELECT n FROM orders WHERE arm = :arm AND :migration = 'move'")
    assert await read_total(both, "candidate", "move") == 7.0
    spoils = MetricSection(sql="SHOP", query="UPDATE orders SET n = 0 WHERE arm = :arm RETURNING 5")
    await read_total(spoils, "candidate", "move")
    assert await read_total(ORDERS, "candidate", "move") == 7.0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT n FROM orders WHERE arm <> :arm OR 1", "gave 2 rows"),
        ("SELECT 'x' || :arm", "gave 'xcandidate'"),
        ("SELECT -1 WHERE :arm <> ''", "gave -1"),
        ("SELECT nothing FROM nowhere WHERE a = :arm", "the database in SHOP: OperationalError"),
    ],
)
async def test_a_query_that_gives_no_total_says_why(database, query, said):
    with pytest.raises(MetricError, match="hint") as raised:
        await read_total(MetricSection(sql="SHOP", query=query), "candidate", "move")
    assert said in str(raised.value)
    assert str(database) not in str(raised.value)


async def test_a_database_url_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("SHOP", raising=False)
    with pytest.raises(MetricError, match="the variable SHOP is empty"):
        await read_total(ORDERS, "candidate", "move")


@pytest.fixture
def prometheus():
    """Answers instant queries: `answers` by query."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = urlsplit(self.path)
            status, body = answers.get(
                (asked.path, parse_qs(asked.query)["query"][0]),
                (400, {"status": "error", "error": "bad query"}),
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    server.server_close()
    thread.join(5)


def vector(*values):
    result = [{"metric": {}, "value": [1.0, value]} for value in values]
    return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}


async def test_prometheus_is_asked_for_each_arm(prometheus):
    url, answers = prometheus
    metric = MetricSection(prometheus=url, query='sum(orders_total{arm="$arm",m="$migration"})')
    answers["/api/v1/query", 'sum(orders_total{arm="candidate",m="move"})'] = vector("12")
    answers["/api/v1/query", 'sum(orders_total{arm="baseline",m="move"})'] = vector()
    assert [await read_total(metric, arm, "move") for arm in ("candidate", "baseline")] == [12.0, 0.0]

    for answer, said in (
        (vector("1", "2"), "gave 2 series"),
        (vector("NaN"), "gave 'NaN'"),
        ((400, {"status": "error", "error": "parse error"}), "answered 400 parse error"),
    ):
        answers["/api/v1/query", 'sum(orders_total{arm="candidate",m="move"})'] = answer
        with pytest.raises(MetricError, match="hint") as raised:
            await read_total(metric, "candidate", "move")
        assert said in str(raised.value)
    gone = MetricSection(prometheus="http://127.0.0.1:9", query="$arm")
    with pytest.raises(MetricError, match="ConnectError"):
        await read_total(gone, "candidate", "move")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"prometheus": "http://p", "sql": "SHOP", "query": "$arm :arm"}, "name one of prometheus and sql"),
        ({"prometheus": "http://p", "query": "sum(orders_total)"}, "must name the arm by .arm"),
        ({"sql": "SHOP"}, "must name the arm by :arm"),
        ({"query": "SELECT 1"}, "a query needs a source"),
    ],
)
def test_a_source_that_could_not_tell_the_arms_apart_is_refused(section, said):
    with pytest.raises(ValidationError, match=said):
        MetricSection(**section)


@pytest.fixture
def pushed():
    board = SampleBoard(price=lambda _: None)
    arm = {"kind": "candidate", "name": "move", "share": 0.05}
    sources = {"orders": MetricSection(), "read": ORDERS}
    return Pushed(
        board,
        lambda: sources,
        lambda feature, unit: arm if unit == "ann" else {"kind": "main", "name": None, "share": None},
        lambda: 9.0,
    )


def test_a_pushed_event_counts_for_the_arm_its_unit_or_request_is_in(pushed):
    asked = Sample("recap", ArmKind.BASELINE, "move", 0.05, "bo", 1.0, {})
    pushed.board.asked["r1"] = asked
    assert pushed.take(Event("orders", None, "recap", "ann", "o1")) == "accepted"
    assert pushed.take(Event("orders", None, "recap", "ann", "o1")) == "duplicate"
    assert pushed.take(Event("orders", None, "recap", "cy", None)) == "accepted"
    assert pushed.take(Event("orders", "r1", "", "", None)) == "accepted"
    samples = pushed.board.since("move", 0)[1]
    assert [(s.arm, s.unit, s.values) for s in samples] == [
        (ArmKind.CANDIDATE, "ann", {"orders": 1.0}),
        (ArmKind.BASELINE, "bo", {"orders": 1.0}),
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event("refunds", None, "recap", "ann", None), "no metric 'refunds'"),
        (Event("read", None, "recap", "ann", None), "is read from its source"),
        (Event("orders", "r9", "", "", None), "no record of request 'r9'"),
    ],
)
def test_an_event_of_nothing_known_is_refused_with_a_hint(pushed, event, said):
    with pytest.raises(LookupError, match=said) as raised:
        pushed.take(event)
    assert "hint" in str(raised.value)


def answered(arm, text, **change):
    timings = Timings(0.0, None, None, 100.0, None, None, 200.0)
    content = Content('{"messages": [{"role": "user", "content": "Sum up."}]}', text)
    base = AttemptRecord(
        attempt_id="r.0", request_id="r", index=0, gateway="g", snapshot_version=1, started_unix_ms=5000,
        feature="recap", caller=None, unit="u", arm=arm, arm_name="move", share=0.5, endpoint="new-1",
        provider="two", region=None, model="b", capacity_class="on-demand", served_tier=None,
        role=Role.FIRST, reason="", next_reason=None, stream=True, outcome=OutcomeClass.OK,
        error_kind=None, error_detail=None, http_status=200, provider_request_id=None, pushback_ms=None,
        committed=True, final=True, caller_error=False, timings=timings, usage=None, stop_reason="stop",
        max_output_tokens=None, content=content,
    )  # fmt: skip
    return replace(base, **change)


@pytest.fixture
def judged(world):
    """A live judge that fails what says so, and cannot be asked while it is told to be away."""
    asked, away = [], []

    async def grade(name, items):
        asked.append((name, *items[0]))
        if away:
            raise JudgeError(away[0])
        return [0.0 if "bad" in items[0][1] else 1.0]

    spec = replace(
        world.SPEC,
        rollout=replace(world.SPEC.rollout, guards=("errors", "judge")),
        quality=replace(world.SPEC.quality, judges=("judge-a", "judge-b")),
    )
    live = LiveJudge(SampleBoard(price=lambda _: None), grade)
    return SimpleNamespace(live=live, spec=spec, asked=asked, away=away)


async def test_captured_answers_of_both_arms_are_judged_in_turn_and_told_to_the_guard(judged):
    judged.live.observe(answered(ArmKind.CANDIDATE, "before anybody wants it"))
    assert judged.live.want(judged.spec) is None
    for record in (
        answered(ArmKind.CANDIDATE, "a bad one"),
        answered(ArmKind.BASELINE, "a good one"),
        answered(ArmKind.SHADOW, "a copy"),
        answered(ArmKind.CANDIDATE, "by a backup", index=1),
        answered(ArmKind.CANDIDATE, "broken", outcome=OutcomeClass.HARD),
        answered(ArmKind.CANDIDATE, "not captured", content=None),
        answered(ArmKind.CANDIDATE, "of another feature", feature="chat"),
    ):
        judged.live.observe(record)
    await judged.live.look()

    assert judged.asked == [("judge-a", "Sum up.", "a bad one"), ("judge-b", "Sum up.", "a good one")]
    samples = judged.live.board.since("move", 0)[1]
    assert [(s.arm, s.share, s.values) for s in samples] == [
        (ArmKind.CANDIDATE, 0.5, {"judge": 1.0}),
        (ArmKind.BASELINE, 0.5, {"judge": 0.0}),
    ]


async def test_a_judge_that_cannot_be_asked_is_told_until_it_answers_again(judged):
    judged.live.want(judged.spec)
    judged.away.append("judge judge-a: no route")
    judged.live.observe(answered(ArmKind.CANDIDATE, "one"))
    await judged.live.look()
    assert judged.live.want(judged.spec) == "judge judge-a: no route"
    judged.away.clear()
    judged.live.observe(answered(ArmKind.CANDIDATE, "two"))
    await judged.live.look()
    assert judged.live.want(judged.spec) is None
    assert (
        judged.live.want(replace(judged.spec, rollout=replace(judged.spec.rollout, guards=("errors",))))
        is None
    )


async def test_more_answers_than_a_judge_can_grade_drop_the_oldest(judged):
    judged.live.want(judged.spec)
    for number in range(WAITING_AT_MOST + 50):
        judged.live.observe(answered(ArmKind.CANDIDATE, f"answer {number}"))
    await judged.live.look()
    assert (len(judged.asked), judged.asked[0][2]) == (8, "answer 50")


async def test_a_gateway_that_cannot_be_reached_is_the_judges_problem():
    client = GatewayClient(GatewayAddress("http://127.0.0.1:9"), "key")
    with pytest.raises(JudgeError, match="connect"):
        await grader(client)("judge-a", [("source", "answer")])
    await client.close()
