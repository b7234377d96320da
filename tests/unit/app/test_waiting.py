"""A control that cannot reach its log yet tries on, says why, and keeps the gateways in credentials."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from crossfade.app.waiting import Door, Waiting
from crossfade.config.compile import CredentialNeed
from crossfade.control.api.access import Person
from crossfade.control.api.waiting import WaitingParts, create_waiting_api
from crossfade.control.credentials.broker import CredentialBroker
from crossfade.control.evidence.gateway_admin import AdminPorts
from crossfade.control.migration.effects import RollBackResult
from crossfade.control.store.eventlog import StoreError
from crossfade.domain.credential import BearerCredential
from crossfade.domain.people import Role

PEOPLE = {"vic": Person("Vic", frozenset({Role.VIEWER})), "op": Person("Op", frozenset({Role.OPERATOR}))}
WHY = "the database db.internal cannot be used"


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


class Unread:
    """Notes what it is asked, and carries `move` only."""

    def __init__(self):
        self.asked = []

    async def roll_back(self, asked, *, why):
        self.asked.append(asked)
        if asked.migration != "move":
            raise LookupError(f"no gateway carries {asked.migration}")
        return RollBackResult(True, 0.1, ("g1",), (), 0, unlogged=why, killed=("g1",), is_set_aside=True)


@pytest.fixture
async def parts():
    broker = CredentialBroker(
        (CredentialNeed("lab", "gcp", {}),), fetcher=lambda _: BearerCredential("short-lived", 4e9)
    )
    await broker.refresh()
    return WaitingParts(broker, AdminPorts(), Unread(), PEOPLE.get, lambda: WHY, "gw")


@pytest.fixture
async def http(parts):
    door = Door(create_waiting_api(parts))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(door), base_url="http://control") as made:
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
    ("GET", "/api/v1/overview"), ("POST", "/api/v1/migrations/move/resume"), ("GET", "/metrics"),
])  # fmt: skip
async def test_people_are_told_why_and_what_to_do_and_strangers_are_not(http, method, path):
    answer = await http.request(method, path, headers={"authorization": "Bearer vic"})
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["message"] == "control has started and waits: the database db.internal cannot be used"
    assert "`crossfade migration rollback`" in error["hint"]
    assert "/admin/kill/FEATURE" in error["hint"]
    assert (await http.request(method, path)).status_code == 401


async def test_it_is_not_ready_and_says_so_without_names(http):
    answer = await http.get("/health/readiness")
    assert (answer.status_code, answer.text) == (503, "control has started and waits for its database\n")


async def test_whoever_asks_for_a_snapshot_says_where_its_kill_switch_is(http, parts):
    path, gateway = "/internal/v1/snapshot", {"authorization": "Bearer gw"}
    for name, version, admin in (
        ("g1", 7, "127.0.0.1:4001"),
        ("g2", 7, "10.0.0.9"),
        ("g3", 0, "127.0.0.1:4003"),
    ):
        query = {"after": version, "gateway": name, "admin": admin}
        assert (await http.get(path, headers=gateway, params=query)).status_code == 503
        assert (await http.get(path, params=query | {"gateway": "a stranger"})).status_code == 401
    assert parts.admin_ports.urls == {"g1": "http://127.0.0.1:4001"}
    assert parts.admin_ports.uncallable == {"g2"}, "g3 has no snapshot: it serves nothing"


async def test_a_rollback_goes_by_the_gateways_and_says_that_it_is_not_logged(http, parts):
    path, own = "/api/v1/migrations/move/rollback", {"authorization": "Bearer op"}
    answer = await http.post(path, headers=own, json={"actor": "ann", "reason": "it lies", "hard": True})
    said = answer.json()
    assert (answer.status_code, said["is_zero"], said["killed"]) == (200, True, ["g1"])
    assert said["unlogged"] == f"control has started and waits: {WHY}"
    [asked] = parts.unread.asked
    assert (asked.actor, asked.reason, asked.hard) == ("Op", "it lies", True), "under the person's own name"
    unknown = await http.post(path.replace("move", "moove"), headers=own, json={"actor": "ann"})
    assert unknown.status_code == 404
    assert unknown.json()["error"]["message"] == "no gateway carries moove"


async def test_a_rollback_without_the_log_needs_the_same_role_as_with_it(http, parts):
    path = "/api/v1/migrations/move/rollback"
    for headers, status in (({}, 401), ({"authorization": "Bearer vic"}, 403)):
        assert (await http.post(path, headers=headers, json={"actor": "ann"})).status_code == status
    halves = await http.post(
        path,
        headers={"authorization": "Bearer op", "content-type": "application/json"},
        content=b'{"actor": "ann", "reason": "\\ud800"}',
    )
    assert halves.status_code == 422
    assert parts.unread.asked == []
