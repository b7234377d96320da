"""A control that cannot reach its log yet tries on, says why, and keeps the gateways in credentials."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from crossfade.app.waiting import Door, Waiting
from crossfade.config.compile import CredentialNeed
from crossfade.control.api.access import Person
from crossfade.control.api.app import create_waiting_api
from crossfade.control.credentials.broker import CredentialBroker
from crossfade.control.store.eventlog import StoreError
from crossfade.domain.credential import BearerCredential
from crossfade.domain.people import Role

PEOPLE = {"vic": Person("Vic", frozenset({Role.VIEWER}))}


async def test_it_tries_until_the_log_is_there_and_tells_each_reason_once():
    told, answers = [], [StoreError("away"), StoreError("away"), StoreError("still starting"), "the parts"]

    async def enter():
        answer = answers.pop(0)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    waiting = Waiting(told.append, again_s=0.0)
    assert await waiting.until(enter, asyncio.Event()) == "the parts"
    assert told == ["away", "still starting"]


async def test_it_stops_waiting_when_control_is_to_stop():
    stop = asyncio.Event()

    async def enter():
        stop.set()
        raise StoreError("away")

    assert await Waiting(lambda _: None, again_s=3600.0).until(enter, stop) is None


@pytest.fixture
async def http():
    broker = CredentialBroker(
        (CredentialNeed("lab", "gcp", {}),), fetcher=lambda _: BearerCredential("short-lived", 4e9)
    )
    await broker.refresh()
    app = create_waiting_api(broker, "gw", PEOPLE.get, lambda: "the database db.internal cannot be used")
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(Door(app)), base_url="http://control"
    ) as made:
        yield made


async def test_gateways_get_credentials_and_nothing_else(http):
    gateway = {"authorization": "Bearer gw"}
    path = "/internal/v1/credentials?after=0&gateway=g1"
    assert (await http.get(path, headers=gateway)).json()["bearer"]["lab"]["token"] == "short-lived"
    assert (await http.get(path)).status_code == 401
    assert (await http.get("/internal/v1/snapshot?after=0&gateway=g1", headers=gateway)).status_code == 503
    for path in ("/internal/v1/records", "/internal/v1/counters", "/internal/v1/acks", "/v1/feedback"):
        assert (await http.post(path, headers=gateway, json={})).status_code == 503, path


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/api/v1/overview"), ("POST", "/api/v1/migrations/move/rollback"), ("GET", "/metrics"),
])  # fmt: skip
async def test_people_are_told_why_and_what_to_do_and_strangers_are_not(http, method, path):
    answer = await http.request(method, path, headers={"authorization": "Bearer vic"})
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["message"] == "control has started and waits: the database db.internal cannot be used"
    assert "/admin/kill/FEATURE" in error["hint"]
    assert (await http.request(method, path)).status_code == 401


async def test_it_is_not_ready_and_says_so_without_names(http):
    answer = await http.get("/health/readiness")
    assert (answer.status_code, answer.text) == (503, "control has started and waits for its database\n")
