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
    told = overview._follow(control.parts, "vic")
    assert (await anext(told)).startswith("event: overview")
    del control.known["vic"]
    with pytest.raises(StopAsyncIteration):
        await anext(told)
