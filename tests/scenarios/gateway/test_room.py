"""What large bodies and answers hold together is bounded: one more is told so, and nobody else waits."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from process import PATIENCE_S, ask, get, looks, running_gateway

CONFIG = """
gateway: {{body_limit: 4MiB, bodies_held: 4MiB, answer_limit: 4MiB, answers_held: 16MiB, receive: 60s}}
providers:
  up: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/a/v1', auth: {{method: none}}}}
  other: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/b/v1', auth: {{method: none}}}}
endpoints: {{a: {{provider: up, model: m}}, b: {{provider: other, model: m}}}}
features:
  f: {{hierarchy: [a, b], deadline: 60s, limits: {{header: 30s, ttft: 50s, liveness: 50s, progress: 50s}}}}
  small: [b]
"""
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
MIB = 1 << 20
LARGE = "x" * (7 * MIB // 2)


@pytest.fixture
def gateway(cloud):
    with running_gateway(CONFIG.format(port=cloud.port)) as running:
        yield running


def held(gateway, by: str) -> int:
    text = get(gateway.admin_port, "/metrics")
    return int(re.search(rf'^crossfade_held_bytes{{by="{by}"}} (\d+)', text, re.MULTILINE)[1])


def until_held(gateway, by: str, size: int) -> None:
    for _ in looks():
        if held(gateway, by) == size:
            return
    raise AssertionError(f"{by}: {held(gateway, by)}, not {size}")


def large_request() -> bytes:
    body = json.dumps({"model": "f", "messages": [{"role": "user", "content": LARGE}]}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def test_one_more_large_body_gets_a_503_that_says_when_to_come_back(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port)) as slow:
        slow.sendall(large_request()[:-10])
        until_held(gateway, "bodies", 3 * MIB)
        refused = ask(gateway.port, stream=False, messages=[{"role": "user", "content": LARGE}])
        assert (refused.status, refused.code) == (503, "capacity")
        assert refused.headers["retry-after"] == "1"
        assert ask(gateway.port, stream=False).text == "Hello world.", "small ones do not need the room"
    until_held(gateway, "bodies", 0)
    assert ask(gateway.port, stream=False, messages=[{"role": "user", "content": LARGE}]).status == 200


def test_one_more_large_answer_fails_as_if_full_and_the_backup_serves(cloud, gateway):
    endless = {"raw": [HEAD, {"repeat": " " * 65536, "times": 54}, {"wait": 60}]}
    cloud.script("a", [endless])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)) as one:
        body = json.dumps({"model": "f", "messages": [{"role": "user", "content": "Hi"}]})
        one.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        until_held(gateway, "answers", 10 * MIB)
        second = ask(gateway.port, stream=False)
        assert (second.status, second.text) == (200, "Hello world.")
        assert second.headers["x-crossfade-endpoint"] == "b"
        assert held(gateway, "answers") == 10 * MIB, "the first goes on, the second gave its part back"
        assert ask(gateway.port, stream=False, model="small").status == 200
    until_held(gateway, "answers", 0)


def test_a_plain_answer_that_alone_would_hold_more_than_all_may_is_broken_not_full(cloud):
    with running_gateway(
        CONFIG.format(port=cloud.port).replace("answers_held: 16MiB", "answers_held: 4MiB")
    ) as small:
        cloud.script("a", [{"raw": [HEAD, {"repeat": " " * 65536, "times": 54}, {"wait": 60}]}])
        answer = ask(small.port, stream=False)
        assert (answer.status, answer.headers["x-crossfade-endpoint"]) == (200, "b")
        assert "malformed_output" in answer.headers["x-crossfade-reason"]
