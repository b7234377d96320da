"""Whatever is sent to control's API: a refusal of one form that says which field and why, never a 500."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from crossfade.control.api.access import ADMIN
from crossfade.control.api.app import add_errors, create_api
from crossfade.control.api.feedback import create_feedback_router
from crossfade.control.api.flags import create_flags_router
from crossfade.control.api.migrations import create_migrations_router
from crossfade.control.api.parts import ControlParts
from crossfade.control.migration.spec.parse import parse_spec

FLAG = "/ofrep/v1/evaluate/flags/recap"
HALF = rb"\ud800"
HALF_SAID = "the body holds half of a character (a lone surrogate)"


@pytest.fixture
def http():
    """Control's routes, errors included, over a service that only checks and keeps what it was given."""
    kept = []

    async def start(spec, *, actor):
        parse_spec(spec)
        return {"actor": actor}

    async def sign(name, *, role, person, statement):
        kept.append((role, person, statement))
        raise LookupError("nothing is signed here")

    async def command(name, verb, *, actor, reason):
        kept.append((verb, actor, reason))
        return {}

    parts = SimpleNamespace(
        publisher=SimpleNamespace(snapshot=SimpleNamespace(features={"recap": None}, version=1)),
        arm_of=lambda feature, unit: {"kind": "main", "name": unit.encode().decode(), "share": None},
        is_caller=lambda _: True,
        person_of=lambda _: ADMIN,
        feedback=SimpleNamespace(take=lambda *_: "accepted"),
        pushed=SimpleNamespace(take=lambda _: "accepted"),
    )
    app = FastAPI()
    add_errors(app)
    for router in (create_feedback_router(parts), create_flags_router(parts)):
        app.include_router(router)
    service = SimpleNamespace(start=start, sign=sign, command=command)
    app.include_router(create_migrations_router(service, lambda _: ADMIN))
    client = TestClient(app, raise_server_exceptions=False)
    client.kept = kept
    return client


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/migrations/m/sign", b"{"),
        ("/migrations/m/sign", b"[]"),
        ("/migrations/m/sign", b'{"role": NaN}'),
        ("/migrations/m/sign", b'{"role": "legal", "name": "' + HALF + b'", "statement": "ok"}'),
        ("/migrations/m/sign", b'{"role": "legal", "name": "Ann", "statement": "' + HALF + b'"}'),
        ("/migrations/m/sign", b'{"role": "legal", "name": " ", "statement": "ok"}'),
        ("/migrations/m/sign", b'{"role": "legal", "name": "A\\u0000B", "statement": "ok"}'),
        ("/migrations/m/hold", b'{"actor": "x", "reason": "' + HALF + b'"}'),
        ("/migrations/m/hold", b'{"actor": " "}'),
        ("/migrations/m/explode", b'{"actor": "x"}'),
        ("/migrations", b'{"actor": "x", "spec": {"' + HALF + b'": 1}}'),
        ("/migrations", b'{"actor": "x", "spec": {"migration": NaN}}'),
        ("/v1/feedback", b'{"request_id": "r", "score": NaN}'),
        ("/v1/feedback", b'{"request_id": "r", "score": 1e999}'),
        ("/v1/events", b'{"metric": NaN}'),
    ],
)
def test_a_body_that_does_not_check_is_refused_with_the_field(http, path, body):
    answer = http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert http.kept == []


def test_a_refusal_does_not_send_back_what_it_refuses(http):
    answer = http.post("/migrations/m/sign", json={"role": "r", "name": "n", "statement": "secret" * 50_000})
    assert answer.status_code == 422
    assert "secret" not in answer.text
    assert "body.statement" in answer.json()["error"]["message"]


@pytest.mark.parametrize("half", [rb'{"a": "\ud800"}', b'{"a": "\xed\xa0\x80"}', rb'[{"\uDFFF": 1}]'])
def test_half_of_a_character_is_refused_before_any_route_begins(half):
    """Found out while a rollback is logged, it would pull the gateways' kill switches instead."""
    parts = ControlParts(**{name: SimpleNamespace() for name in ControlParts.__dataclass_fields__})
    app = create_api(parts)
    client = TestClient(app, raise_server_exceptions=False)
    paths = app.openapi()["paths"]
    takes = [path for path, one in paths.items() for verb in one.values() if "requestBody" in verb]
    assert {"/api/v1/migrations/{name}/rollback", "/v1/feedback", "/v1/events"} <= set(takes)
    for path in (*takes, "/internal/v1/acks", "/internal/v1/counters"):
        address = path.format(name="m", verb="hold", key="recap")
        answer = client.post(address, content=half, headers={"content-type": "application/json"})
        said = answer.json().get("error", {}).get("message") or answer.json().get("errorDetails")
        assert (answer.status_code in {400, 422}, said) == (True, HALF_SAID), path


def test_whole_characters_are_taken_however_they_are_written(http):
    for text in (rb"\ud83d\ude00", "한 😀".encode(), rb"\\ud800"):
        body = b'{"actor": "x", "reason": "' + text + b'"}'
        answer = http.post("/migrations/m/hold", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200, text


@pytest.mark.parametrize(
    "body",
    [b"{", b"null", b'{"context": []}', b'{"context": NaN}', b'{"context": {"targetingKey": "\\ud800"}}'],
)
def test_flags_refuse_in_the_protocols_own_words(http, body):
    answer = http.post(FLAG, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["errorCode"] == "PARSE_ERROR"


def test_the_frameworks_own_refusals_have_the_same_form(http):
    for answer, status in ((http.get("/nowhere"), 404), (http.put("/migrations", json={}), 405)):
        assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True)


def test_names_are_kept_without_the_spaces_around_them(http):
    http.post("/migrations/m/hold", json={"actor": " Ann Example "})
    assert http.kept[0][1] == "Ann Example"


def test_an_event_of_a_feature_that_is_none_is_refused(http):
    about = {"metric": "orders", "unit": "u1"}
    assert http.post("/v1/events", json={**about, "feature": "recap"}).status_code == 202
    answer = http.post("/v1/events", json={**about, "feature": "recup"})
    assert (answer.status_code, "recup" in json.dumps(answer.json())) == (404, True)
