"""`PUT /admin/cut/FEATURE` on a real gateway: what is under way at the candidate, and nothing else."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import threading
import time
from pathlib import Path

import pytest

from crossfade.control.evidence.gateway_admin import AdminPorts, HttpGatewayAdmin
from crossfade.control.migration.unread import Asked, Unread
from crossfade.control.records.own_turns import OwnTurns
from crossfade.control.store.aside import Aside

sys.path.insert(0, str(Path(__file__).parent))

from process import PATIENCE_S, ask, looks, running_gateway

CONFIG = """
providers:
  old: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/old/v1', auth: {{method: none}}}}
  new: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/new/v1', auth: {{method: none}}}}
endpoints: {{o: {{provider: old, model: m}}, n: {{provider: new, model: m}}}}
pools: {{old: {{endpoints: [o]}}, new: {{endpoints: [n]}}}}
features:
  f: {{hierarchy: [old]}}
"""


ROLLOUT = {
    "migration": "move", "epoch": 1, "salt": "s", "share": 1.0, "baseline_share": 0.0,
    "candidate": {"pool": "new", "set": {}}, "dead_hard": 5, "dead_of": 20,
}  # fmt: skip


def at_full_share(snapshot: dict) -> dict:
    """The feature's candidate serves everybody."""
    snapshot["features"]["f"]["rollout"] = ROLLOUT
    snapshot["features"]["f"]["eligible"] = ["n", "o"]
    return snapshot


def put(port: int, path: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("PUT", path)
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if response.status == 200 else {}
    finally:
        connection.close()


def asked_in_background(gateway, *, stream: bool):
    found = []
    thread = threading.Thread(target=lambda: found.append(ask(gateway.port, stream=stream)))
    thread.start()
    return thread, found


def cut_when_under_way(gateway, cloud) -> int:
    """Cuts once the upstream has the call; how many calls were cut."""
    for _ in looks():
        if cloud.calls:
            break
    for _ in looks():
        status, said = put(gateway.admin_port, "/admin/cut/f")
        assert status == 200
        if said["cut"]:
            return said["cut"]
    raise AssertionError("never under way")


def test_a_stream_whose_caller_has_content_ends_in_an_honest_error(cloud):
    cloud.script("new", [{"stream": [{"text": "Hello"}, "hang"]}])
    with running_gateway(CONFIG.format(port=cloud.port), at_full_share) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
        body = {"model": "f", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"}
        )
        response = connection.getresponse()
        first = response.read1(65536)
        assert b"Hello" in first
        assert put(gateway.admin_port, "/admin/cut/f") == (200, {"feature": "f", "cut": 1})
        rest = b""
        try:
            while part := response.read1(65536):
                rest += part
        except (http.client.IncompleteRead, ConnectionError):
            pass
        connection.close()
        assert b"cut by a hard rollback" in rest
        assert b"[DONE]" not in rest
        assert put(gateway.admin_port, "/admin/cut/f")[1]["cut"] == 0, "nothing is under way any more"
        assert cloud.calls[0].left.wait(10), "the upstream is left"


@pytest.mark.parametrize("stream", [True, False])
def test_before_the_first_content_the_incumbent_answers_instead(cloud, stream):
    cloud.script("new", ["silent"])
    with running_gateway(CONFIG.format(port=cloud.port), at_full_share) as gateway:
        thread, found = asked_in_background(gateway, stream=stream)
        assert cut_when_under_way(gateway, cloud) == 1
        thread.join(PATIENCE_S)
        assert (found[0].status, found[0].text, found[0].ends) == (200, "Hello world.", "whole")
        assert [call.endpoint for call in cloud.calls] == ["new", "old"]


def test_calls_at_the_incumbent_and_unknown_features_are_left_alone(cloud):
    with running_gateway(CONFIG.format(port=cloud.port)) as gateway:
        assert put(gateway.admin_port, "/admin/cut/nobody")[0] == 404
        assert put(gateway.admin_port, "/admin/cut/f") == (200, {"feature": "f", "cut": 0})
        assert ask(gateway.port, stream=True).ends == "whole"


async def test_a_gateway_says_which_migration_it_carries_to_a_control_that_knows_of_none(tmp_path):
    with running_gateway(CONFIG.format(port=9), at_full_share) as gateway:
        ports = AdminPorts()
        ports.tell("g", f"127.0.0.1:{gateway.admin_port}", "127.0.0.1")
        admin = HttpGatewayAdmin(ports, OwnTurns(tmp_path / "turns.json", time.time))
        aside = Aside(tmp_path / "aside.ndjson")
        unread = Unread(admin, aside, time.time, time.monotonic, asyncio.sleep, 0.0)
        with pytest.raises(LookupError, match="g carry move"):
            await unread.roll_back(Asked("another", "ann", "stop"), why="away")
        assert await admin.share("g", "f") == 1.0
        result = await unread.roll_back(Asked("move", "ann", "stop"), why="away")
        assert (result.is_zero, result.killed, result.is_set_aside) == (True, ("g",), True)
        [effect] = gateway.state()["effects"]
        assert (effect["killed"], effect["candidate_share"]) == (True, 0.0)
        assert gateway.state()["rollouts"] == {"f": ROLLOUT}
        assert (await admin.rollouts("g"))["f"].share == 1.0, "as published, whatever the switch says"
        assert [(line["salt"], line["epoch"]) for _, line in aside.unsettled()] == [("s", 1)]
