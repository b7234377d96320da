"""Where gateways' admin ports are, and the way back that goes through them."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

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


def test_what_another_gateway_answers_says_nothing_of_the_one_that_was_asked():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            effects = [{"feature": "recap", "candidate_share": 0.25}]
            body = json.dumps({"gateway": "g1", "effects": effects}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    admin = HttpGatewayAdmin({"g1": url, "g2": url}, None)
    try:
        assert asyncio.run(admin.share("g1", "recap")) == 0.25
        with pytest.raises(AdminError, match=r"is the admin port of g1, not of g2 \(hint: "):
            asyncio.run(admin.share("g2", "recap"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
