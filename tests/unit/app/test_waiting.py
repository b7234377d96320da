"""A control that cannot reach its log yet tries on, says why, and keeps the gateways in credentials."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import httpx2
import pytest

from crossfade.app.waiting import Door, Waiting
from crossfade.config.compile import CredentialNeed
from crossfade.control.api import overview
from crossfade.control.api.access import Person
from crossfade.control.api.login import LoginParts
from crossfade.control.api.waiting import WaitingParts, create_waiting_api
from crossfade.control.credentials.broker import CredentialBroker
from crossfade.control.evidence.gateway_admin import AdminError, AdminPorts, HttpGatewayAdmin
from crossfade.control.login.sessions import Sessions
from crossfade.control.migration.effects import RollBackResult
from crossfade.control.records.own_turns import OwnTurns
from crossfade.control.store.aside import Aside
from crossfade.control.store.eventlog import StoreError
from crossfade.domain.credential import BearerCredential
from crossfade.domain.people import Role

PEOPLE = {"vic": Person("Vic", frozenset({Role.VIEWER})), "op": Person("Op", frozenset({Role.OPERATOR}))}
WHY = "the database db.internal cannot be used"
SPLIT = {
    "migration": "move",
    "epoch": 2,
    "salt": "move-1",
    "share": 0.25,
    "baseline_share": 0.25,
    "candidate": {"pool": "new", "set": {}},
    "dead_hard": 5,
    "dead_of": 20,
}
EFFECT = {
    "feature": "recap",
    "candidate_share": 0.0,
    "rollout_epoch": 2,
    "local_rollback": None,
    "killed": True,
}
HEALTH = {"endpoint": "e", "state": "closed", "share": 1.0, "reason": "closed"}
STATE = {
    "gateway": "g1",
    "snapshot_version": 7,
    "rollouts": {"recap": SPLIT},
    "timelines": {},
    "effects": [EFFECT, {**EFFECT, "feature": "ask", "rollout_epoch": None, "killed": False}],
    "health": [HEALTH],
}


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

    def __init__(self, folder):
        self.asked = []
        self.aside = Aside(folder / "aside.ndjson")

    def is_heard(self):
        return True

    async def roll_back(self, asked, *, why):
        self.asked.append(asked)
        if asked.migration != "move":
            raise LookupError(f"no gateway carries {asked.migration}")
        return RollBackResult(True, 0.1, ("g1",), (), 0, unlogged=why, killed=("g1",), is_set_aside=True)


class Admin(HttpGatewayAdmin):
    """One gateway that answers."""

    async def _call(self, method, gateway, path):
        if gateway != "g1":
            raise AdminError(f"{method} {path}: connection refused")
        return STATE


@pytest.fixture
async def parts(tmp_path):
    broker = CredentialBroker(
        (CredentialNeed("lab", "gcp", {}),), fetcher=lambda _: BearerCredential("short-lived", 4e9)
    )
    await broker.refresh()
    config = SimpleNamespace(control=SimpleNamespace(oidc=None), people={})
    return WaitingParts(
        broker=broker,
        admin=Admin(AdminPorts(), OwnTurns(tmp_path / "turns.json", time.time)),
        unread=Unread(tmp_path),
        login=LoginParts(PEOPLE.get, Sessions("k" * 64, time.time), lambda: config, lambda _: None),
        why=lambda: WHY,
        since_unix_s=100.0,
        is_over=iter([False, True]).__next__,
        gateway_token="gw",
    )


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
    assert parts.admin.ports.urls == {"g1": "http://127.0.0.1:4001"}
    assert parts.admin.ports.uncallable == {"g2"}, "g3 has no snapshot: it serves nothing"


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


async def events(http, headers):
    answer = await http.get("/api/v1/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    parted = [event.split("\n") for event in answer.text.split("\n\n") if event]
    told = [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in parted]
    return [event for event in told if event[0] != "alive"]


async def test_the_console_is_told_what_gateways_carry_and_when_the_log_is_read(http, parts, monkeypatch):
    for name, admin in (("g1", "127.0.0.1:4001"), ("g2", "127.0.0.1:4002"), ("g3", "10.0.0.9")):
        parts.admin.ports.tell(name, admin, "127.0.0.1" if name != "g3" else "10.0.0.8")
    parts.admin.ports.tell("g3", "127.0.0.1:4003", "10.0.0.8")
    parts.unread.aside.write({"migration": "move", "reason": "it lies", "unix_s": 5, "counts": []})
    parts.unread.aside.write({"migration": ["move"], "unix_s": "late"})

    monkeypatch.setattr(overview, "ALIVE_S", 0.0)
    (kind, told), last = await events(http, {"authorization": "Bearer vic"})
    assert (kind, last) == ("unread", ("over", {}))
    assert (told["why"], told["since_unix_s"], told["is_heard"]) == (WHY, 100.0, True)
    first, second, third = told["gateways"]
    assert (first["name"], first["admin"], first["snapshot_version"]) == ("g1", "http://127.0.0.1:4001", 7)
    assert first["splits"] == [
        {
            "feature": "recap", "migration": "move", "candidate": "new", "share": 0.25, "share_now": 0.0,
            "killed": True, "local_rollback": None,
        }
    ]  # fmt: skip
    assert first["endpoints"] == [HEALTH]
    assert (second["error"], second["splits"]) == ("GET /admin/state: connection refused", [])
    assert (third["admin"], "gateway.admin" in third["error"]) == (None, True)
    assert told["set_aside"] == [
        {"migration": "move", "reason": "it lies", "unix_s": 5},
        {"migration": "['move']", "reason": "None", "unix_s": None},
    ]
    assert (await http.get("/api/v1/events")).status_code == 401


async def test_people_log_in_while_control_waits(http, monkeypatch):
    assert (await http.get("/api/v1/me")).json() == {"name": None, "roles": None, "oidc": False}
    monkeypatch.setitem(PEOPLE, "root", Person(None, frozenset({Role.ADMIN})))
    made = await http.post("/api/v1/login/links", json={}, headers={"authorization": "Bearer root"})
    landed = await http.get(made.json()["path"])
    assert (made.status_code, landed.status_code) == (201, 303)
    assert "crossfade_session=" in landed.headers["set-cookie"]
