"""Where gateways' admin ports are, and the way back that goes through them."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest

from crossfade.control.evidence.gateway_admin import AdminError, AdminPorts, HttpGatewayAdmin
from crossfade.control.migration.effects import pull_kill_switches
from crossfade.domain.attempt import FeatureEffect
from crossfade.domain.migration import GatewayView


@pytest.mark.parametrize(
    ("listens", "peer", "url"),
    [
        ("127.0.0.1:4001", "127.0.0.1", "http://127.0.0.1:4001"),
        ("10.0.0.7:4001", "10.0.0.9", "http://10.0.0.7:4001"),
        ("0.0.0.0:4001", "10.0.0.9", "http://10.0.0.9:4001"),
        ("[::]:4001", "fd00::9", "http://[fd00::9]:4001"),
        ("127.0.0.1:4001", "10.0.0.9", None),  # the loopback of another machine
        ("[::1]:4001", "10.0.0.9", None),
        ("gateway.example:4001", "10.0.0.9", None),
        ("10.0.0.7:x@evil", "10.0.0.9", None),
        ("10.0.0.7:99999", "10.0.0.9", None),
        ("10.0.0.7:0", "10.0.0.9", None),
        ("4001", "10.0.0.9", None),
        (None, "10.0.0.9", None),
        ("127.0.0.1:4001", None, None),
    ],
)
def test_an_admin_port_is_known_where_it_can_be_called_from_here(listens, peer, url):
    ports = AdminPorts()
    ports.tell("g2", "127.0.0.1:1", "127.0.0.1")
    ports.tell("g2", listens, peer)
    assert ports.urls == ({} if url is None else {"g2": url})
    assert ports.uncallable == ({"g2"} if url is None else set())
    ports.tell("g2", "127.0.0.1:1", "127.0.0.1")
    assert ports.uncallable == set(), "it says where it is by now"


class Admin:
    """Gateways that obey, but for one that cannot be reached."""

    def __init__(self, *names, away=()):
        self._names, self._away = names, away

    def names(self):
        return self._names

    async def kill(self, gateway, feature, *, is_killed):
        assert is_killed
        if gateway in self._away:
            raise AdminError(f"{gateway}: connection refused")

    async def share(self, gateway, feature):
        return 0.0


def view(name, share):
    return GatewayView(name, 0.1, (FeatureEffect("recap", share, 1, None, False),))


def test_a_gateway_whose_admin_port_is_not_known_is_not_rolled_back_without_the_log():
    views = (view("g1", 0.3), view("g2", 0.3), view("g3", 0.0))
    result = asyncio.run(pull_kill_switches(Admin("g1"), ("recap",), "away", views))
    assert (result.is_zero, result.killed, result.missing) == (False, ("g1",), ("g2",))
    assert result.gateways == ("g1", "g2")


def test_every_gateway_is_asked_also_after_one_that_is_away():
    views = (view("g1", 0.3), view("g2", 0.3))
    result = asyncio.run(pull_kill_switches(Admin("g1", "g2", away=("g1",)), ("recap",), "away", views))
    assert (result.is_zero, result.killed, result.missing) == (False, ("g2",), ("g1",))


async def test_a_gateway_that_does_not_answer_delays_no_other_and_a_feature_it_lacks_keeps_no_other_live():
    asked = []
    both_asked = asyncio.Event()

    class Slow(Admin):
        async def kill(self, gateway, feature, *, is_killed):
            asked.append((gateway, feature))
            if len(asked) == 4:
                both_asked.set()
            await both_asked.wait()
            if feature == "gone":
                raise AdminError("there is no such feature")

    views = (view("g1", 0.3), view("g2", 0.3))
    pulling = pull_kill_switches(Slow("g1", "g2"), ("gone", "recap"), "away", views)
    result = await asyncio.wait_for(pulling, 30)
    assert sorted(asked) == [(name, feature) for name in ("g1", "g2") for feature in ("gone", "recap")]
    assert (result.killed, result.missing) == ((), ("g1", "g2"))


ROLLOUT = {
    "migration": "move", "epoch": 2, "salt": "move-1", "share": 0.25, "baseline_share": 0.25,
    "candidate": {"pool": "new", "set": {}}, "dead_hard": 5, "dead_of": 20,
}  # fmt: skip


@pytest.fixture
def admin_port():
    """An admin port that answers as it is told: a body, or a document."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.do_GET()

        def do_GET(self):
            body = told[-1] if isinstance(told[-1], bytes) else json.dumps(told[-1]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    ports = AdminPorts()
    for name in ("g1", "g2"):
        ports.tell(name, f"127.0.0.1:{server.server_port}", "127.0.0.1")
    yield told, HttpGatewayAdmin(ports, None)
    server.shutdown()
    server.server_close()
    thread.join()


async def test_what_another_gateway_answers_says_nothing_of_the_one_that_was_asked(admin_port):
    told, admin = admin_port
    told.append({"gateway": "g1", "effects": [{"feature": "recap", "candidate_share": 0.25}]})
    assert await admin.share("g1", "recap") == 0.25
    with pytest.raises(AdminError, match=r"is the admin port of g1, not of g2 \(hint: "):
        await admin.share("g2", "recap")


async def test_a_gateway_says_which_migration_it_carries_and_one_of_another_version_does_not(admin_port):
    told, admin = admin_port
    told.append({"gateway": "g1", "effects": [], "rollouts": {"recap": ROLLOUT}})
    carried = await admin.rollouts("g1")
    assert (carried["recap"].migration, carried["recap"].salt, carried["recap"].epoch) == (
        "move",
        "move-1",
        2,
    )
    for rollouts in ({}, {"rollouts": {"recap": {"migration": "move"}}}, {"rollouts": None}):
        told.append({"gateway": "g1", "effects": []} | rollouts)
        with pytest.raises(AdminError, match=r"g1 does not say which migrations it carries \(hint: "):
            await admin.rollouts("g1")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff"])
async def test_what_is_no_answer_of_an_admin_port_is_told_as_such(admin_port, body):
    told, admin = admin_port
    told.append(body)
    with pytest.raises(AdminError, match="hint: "):
        await admin.rollouts("g1")


@pytest.mark.parametrize("effects", [{}, {"effects": 5}, {"effects": [{"feature": "recap"}]}])
async def test_an_answer_that_lacks_what_was_asked_for_stops_no_other_gateway(admin_port, effects):
    told, admin = admin_port
    told.append({"gateway": "g1"} | effects)
    with pytest.raises(AdminError, match=r"g1 does not say which share a candidate has \(hint: "):
        await admin.share("g1", "recap")
    with pytest.raises(AdminError, match=r"g1 does not say how many calls it cut \(hint: "):
        await admin.cut("g1", "recap")


async def test_whatever_a_call_ends_with_stops_no_other_gateway(admin_port):
    _, admin = admin_port
    admin.ports.urls["g1"] = "http://127.0.0.1:99999"
    with pytest.raises(AdminError, match=r"http://127.0.0.1:99999/admin/state: .*\(hint: "):
        await admin.rollouts("g1")


async def test_a_gateway_that_moved_where_it_cannot_be_called_is_told_as_such(admin_port):
    _, admin = admin_port
    admin.ports.tell("g1", "127.0.0.1:4001", "10.0.0.9")
    assert (admin.names(), admin.uncallable()) == (("g2",), ("g1",))
    with pytest.raises(AdminError, match="the admin port of g1 is not known"):
        await admin.cut("g1", "recap")


async def test_a_gateway_that_does_not_answer_in_time_is_told_as_such(admin_port, monkeypatch):
    class Silent:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return False

        async def request(self, *_):
            raise httpx2.ReadTimeout("")

    monkeypatch.setattr("crossfade.control.outgoing.client", lambda _: Silent())
    with pytest.raises(AdminError, match=r"/admin/state: ReadTimeout \(hint: "):
        await admin_port[1].rollouts("g1")
