"""Nothing of control is read by nobody: each route knows who asks, whatever will be added."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace

import httpx2
import pytest
import uvicorn

from crossfade.control.api import overview
from crossfade.control.api.access import Person
from crossfade.control.api.app import create_api
from crossfade.control.api.parts import ControlParts
from crossfade.control.store.eventlog import StoreError
from crossfade.domain.people import Role

# What the way to log in needs. Gateways prove themselves by their own token.
OPEN = {"/logout", "/api/v1/me"}
PEOPLE = {
    "vic": Person("Vic", frozenset({Role.VIEWER})),
    "nobody-yet": Person("Ned", frozenset()),
}


@pytest.fixture
async def control(world):
    mine = {"migrations", "gateway_token", "api_token", "config_error", "person_of", "is_caller"}
    unused = dict.fromkeys(name for name in ControlParts.__dataclass_fields__ if name not in mine)
    known = dict(PEOPLE)
    parts = ControlParts(
        **unused, migrations=world.service, gateway_token="g", api_token="secret", person_of=known.get,
        is_caller=lambda _: False,
    )  # fmt: skip
    app = create_api(parts)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx2.AsyncClient(base_url=url) as http:
        yield SimpleNamespace(http=http, app=app, parts=parts, known=known)
    server.should_exit = True
    await serving


async def test_every_route_that_is_not_named_here_asks_who_is_there(control):
    asked = []
    paths = {**control.app.openapi()["paths"], "/metrics": {"get": {}}}
    for path, methods in paths.items():
        if path in OPEN:
            continue
        asking = path.replace("{verb}", "hold").replace("{", "").replace("}", "")
        for method in methods:
            answer = await control.http.request(method, asking, json={} if method == "post" else None)
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.json()["error"]["hint"], path
            asked.append(path)
    assert {"/api/v1/overview", "/api/v1/migrations", "/metrics", "/api/v1/cost", "/api/v1/audit"} <= {*asked}
    assert len(asked) >= 25


@pytest.mark.parametrize(("bearer", "status"), [("vic", 200), ("nobody-yet", 200), ("guess", 401), ("", 401)])
async def test_whoever_is_known_may_read(control, bearer, status):
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    assert (await control.http.get("/api/v1/migrations", headers=headers)).status_code == status


async def test_the_stream_of_the_console_ends_with_the_login(control, monkeypatch):
    async def document(parts):
        return {"unix_s": 0}

    monkeypatch.setattr(overview, "overview_of", document)
    own = {"authorization": "Bearer vic"}
    async with control.http.stream("GET", "/api/v1/events", headers=own) as answer:
        told = answer.aiter_lines()
        assert await anext(told) == "event: overview"
        del control.known["vic"]
        assert [line async for line in told if "event" in line] == []


async def test_a_stream_gives_a_sign_of_life_while_its_news_takes_long(monkeypatch):
    monkeypatch.setattr(overview, "ALIVE_S", 0.0)
    made = asyncio.Event()

    async def make():
        await made.wait()
        return "overview", {"unix_s": 0}

    told = overview.told(make, lambda: True).body_iterator
    for _ in range(3):
        assert (await anext(told)).startswith("event: alive")
    made.set()
    assert "event: overview" in [(await anext(told)).partition("\n")[0] for _ in range(2)]
    await told.aclose()


async def test_a_stream_that_is_over_says_so_and_ends():
    async def make():
        return None

    assert [event async for event in overview.told(make, lambda: True).body_iterator] == [
        "event: over\ndata: {}\n\n"
    ]


async def test_without_its_log_control_shows_what_gateways_say_of_migrations_and_all_else_as_before(
    control, monkeypatch
):
    async def away():
        raise StoreError("the database db.internal cannot be used")

    async def unread(parts, why, since):
        return {"why": why, "since_unix_s": since}

    control.parts.publisher = SimpleNamespace(
        snapshot=SimpleNamespace(version=3, features={}, pools={}, endpoints={})
    )
    control.parts.board = SimpleNamespace(gateways=list)
    control.parts.broker, control.parts.trends = SimpleNamespace(failures={}), SimpleNamespace(rows=list)
    monkeypatch.setattr(overview, "unread_of", unread)
    assert (await overview.overview_of(control.parts))["unread"] is None
    monkeypatch.setattr(control.parts.migrations, "statuses", away)
    shown = await overview.overview_of(control.parts)
    assert (shown["version"], shown["migrations"]) == (3, [])
    assert shown["unread"] == {"why": "the database db.internal cannot be used", "since_unix_s": None}
