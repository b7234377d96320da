"""Applications read the engine's own split through OFREP, with the official OpenFeature SDK."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from crossfade import _engine
from crossfade.app.arms import EngineArms
from crossfade.config.shape.control import MetricSection
from crossfade.control.api.feedback import create_feedback_router
from crossfade.control.api.flags import create_flags_router
from crossfade.control.migration.guard.samples import SampleBoard
from crossfade.control.migration.metrics.pushed import Pushed
from crossfade.domain.attempt import ArmKind, FeatureEffect
from crossfade.domain.snapshot import Snapshot

GOLDEN = Path(__file__).parents[3] / "spec" / "golden" / "snapshot-migration.json"
KEY = {"authorization": "Bearer key"}
UNITS = int(os.environ.get("CROSSFADE_UNITS", "150"))  # `make flags` asks for 100,000
A_CLIENT = 1000  # units that one process asks for


@pytest.fixture
def control():
    """Control's flag and feedback routes over a snapshot with a rollout, on a real socket."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - only here

    snapshot = TypeAdapter(Snapshot).validate_json(GOLDEN.read_bytes())
    board = SimpleNamespace(live=tuple)
    arms = EngineArms(SimpleNamespace(snapshot=snapshot), board)
    said = []

    def take(request_id, score, event, comment):
        if request_id == "nobody":
            raise LookupError("no record of request 'nobody'")
        said.append((request_id, score, event, comment))
        return "accepted"

    parts = SimpleNamespace(
        publisher=SimpleNamespace(snapshot=snapshot),
        arm_of=arms.arm_of,
        is_caller=lambda bearer: bearer == "key",
        person_of=lambda bearer: "Ann" if bearer == "ann" else None,
        feedback=SimpleNamespace(take=take),
        pushed=Pushed(
            SampleBoard(lambda _: None), lambda: {"orders": MetricSection()}, arms.arm_of, time.time
        ),
    )
    app = FastAPI()
    app.include_router(create_flags_router(parts))
    app.include_router(create_feedback_router(parts))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield SimpleNamespace(
        url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        snapshot=snapshot,
        board=board,
        said=said,
        samples=parts.pushed.board,
    )
    server.should_exit = True
    thread.join()


def feature_with_rollout(snapshot):
    return next((n, f.rollout) for n, f in snapshot.features.items() if f.rollout and f.rollout.share > 0)


def arms_of(url, name, units):
    """What the SDK says of each unit: the arm, or why there is none, and whether it is the candidate."""
    api.set_provider(OFREPProvider(url, headers_factory=lambda: KEY))
    client, found = api.get_client(), []
    for number in units:
        context = EvaluationContext(f"unit-{number}")
        details = client.get_string_details(name, "none", context)
        is_candidate = number % 20 == 0 and client.get_boolean_value(
            f"{name}.candidate", default_value=False, evaluation_context=context
        )
        found.append((details.error_code or details.value, is_candidate))
    api.shutdown()
    return found


def test_the_openfeature_sdk_sees_the_arm_the_engine_splits_to(control):
    name, rollout = feature_with_rollout(control.snapshot)
    parts = [range(begin, min(UNITS, begin + A_CLIENT)) for begin in range(0, UNITS, A_CLIENT)]
    if len(parts) == 1:
        found = arms_of(control.url, name, parts[0])
    else:  # this process is the server, and has one interpreter
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as clients:
            asked = clients.map(arms_of, repeat(control.url), repeat(name), parts)
            found = [arm for part in asked for arm in part]
    assert len(found) == UNITS
    seen = set()
    for number, (arm, is_candidate) in enumerate(found):
        point = _engine.split_point(rollout.salt, f"unit-{number}")
        wanted = "candidate" if point < rollout.share else None
        if wanted is None:
            wanted = "baseline" if point < rollout.share + rollout.baseline_share else "main"
        assert arm == wanted, number
        assert is_candidate is (wanted == "candidate" and number % 20 == 0)
        seen.add(wanted)
    assert seen >= {"candidate", "main"} or rollout.share + rollout.baseline_share >= 1.0


def test_a_feature_nobody_knows_gets_the_callers_default(control):
    api.set_provider(OFREPProvider(control.url, headers_factory=lambda: KEY))
    asked = api.get_client().get_string_value("no-such-feature", "fallback", EvaluationContext("u"))
    assert asked == "fallback"
    api.shutdown()


def test_all_flags_of_a_unit_come_at_once_and_again_only_when_they_changed(control):
    body = {"context": {"targetingKey": "unit-1"}}
    with httpx2.Client(base_url=control.url, headers=KEY) as http:
        first = http.post("/ofrep/v1/evaluate/flags", json=body)
        assert {flag["key"].removesuffix(".candidate") for flag in first.json()["flags"]} == set(
            control.snapshot.features
        )
        again = http.post(
            "/ofrep/v1/evaluate/flags", json=body, headers={"if-none-match": first.headers["etag"]}
        )
        assert again.status_code == 304
        unsaid = http.post("/ofrep/v1/evaluate/flags", json={"context": {}})
        assert unsaid.json()["errorCode"] == "TARGETING_KEY_MISSING"


@pytest.mark.parametrize(("bearer", "status"), [("key", 200), ("ann", 200), ("guess", 401), ("", 401)])
def test_flags_are_for_the_gateways_callers_and_for_people(control, bearer, status):
    body = {"context": {"targetingKey": "unit-1"}}
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    answer = httpx2.post(f"{control.url}/ofrep/v1/evaluate/flags", json=body, headers=headers)
    assert answer.status_code == status


def test_what_every_gateway_rolled_back_by_itself_is_not_the_candidate(control):
    name, rollout = feature_with_rollout(control.snapshot)
    unit = next(f"u{n}" for n in range(10_000) if _engine.split_point(rollout.salt, f"u{n}") < rollout.share)
    effect = FeatureEffect(name, 0.0, rollout.epoch, "5 of the first 20 failed", False)
    control.board.live = lambda: (SimpleNamespace(effects={name: effect}),)
    with httpx2.Client(base_url=control.url, headers=KEY) as http:
        answer = http.post(f"/ofrep/v1/evaluate/flags/{name}", json={"context": {"targetingKey": unit}})
    assert answer.json()["value"] == "main"


def test_feedback_needs_a_callers_key_and_a_known_request(control):
    with httpx2.Client(base_url=control.url, headers={"authorization": "Bearer key"}) as http:
        assert http.post("/v1/feedback", json={"request_id": "r", "score": -1}).status_code == 202
        assert http.post("/v1/feedback", json={"request_id": "nobody", "score": 1}).status_code == 404
        assert http.post("/v1/feedback", json={"request_id": "r"}).status_code == 422
        assert http.post("/v1/feedback", json={"request_id": "r", "score": 5}).status_code == 422
        refused = http.post(
            "/v1/feedback", json={"request_id": "r", "score": 1}, headers={"authorization": "Bearer no"}
        )
        assert refused.status_code == 401
    assert control.said == [("r", -1.0, None, None)]


def test_an_event_counts_for_the_arm_its_unit_is_split_to_and_needs_a_callers_key(control):
    name, rollout = feature_with_rollout(control.snapshot)
    unit = next(f"u{n}" for n in range(10_000) if _engine.split_point(rollout.salt, f"u{n}") < rollout.share)
    about = {"metric": "orders", "feature": name, "unit": unit, "id": "order-1"}
    with httpx2.Client(base_url=control.url, headers={"authorization": "Bearer key"}) as http:
        said = [http.post("/v1/events", json=about) for _ in range(2)]
        assert [one.json()["status"] for one in said] == ["accepted", "duplicate"]
        assert http.post("/v1/events", json={**about, "metric": "refunds"}).status_code == 404
        assert http.post("/v1/events", json={"metric": "orders", "feature": name}).status_code == 422
        assert http.post("/v1/events", json={**about, "extra": 1}).status_code == 422
        refused = http.post("/v1/events", json=about, headers={"authorization": "Bearer no"})
        assert refused.status_code == 401
    samples = control.samples.since(rollout.migration, 0)[1]
    assert [(s.arm, s.share, s.values) for s in samples] == [
        (ArmKind.CANDIDATE, rollout.share, {"orders": 1.0})
    ]
