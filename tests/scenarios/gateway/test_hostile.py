"""Hostile parties: a 4xx with an error object within the deadline, bounded memory, no health change,
and nobody else waits."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cloud import Cloud
from hostile import GOOD, corpus
from process import PATIENCE_S, ask, running_gateway

CONFIG = """
gateway: {{receive: 2s, body_limit: 16MiB}}
providers:
  up: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/a/v1', auth: {{method: none}}}}
endpoints: {{a: {{provider: up, model: m}}}}
features: {{f: {{hierarchy: [a]}}}}
"""
GROWTH_MIB = 256


@pytest.fixture(scope="module")
def cloud():
    running = Cloud()
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway(cloud):
    with running_gateway(CONFIG.format(port=cloud.port)) as running:
        yield running


@pytest.fixture(autouse=True)
def _unharmed(gateway, cloud):
    """After each case: nothing learnt about health, memory bounded, the next caller served."""
    cloud.script("a", ["ok"])
    before = gateway.resident_mb()
    yield
    cloud.script("a", ["ok"])
    assert ask(gateway.port, stream=False).status == 200
    assert gateway.resident_mb() - before < GROWTH_MIB


def talk(port: int, raw: bytes) -> bytes:
    """Sends bytes; what came back until the close, or until a whole answer has come."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        try:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was whole: what it answered counts
        seen = b""
        try:
            while part := sock.recv(65536):
                seen += part
        except ConnectionError:
            pass
        return seen


def refusal(answer: bytes) -> tuple[int, dict]:
    status_line, _, rest = answer.partition(b"\r\n")
    assert status_line.startswith(b"HTTP/1."), answer[:200]
    body = rest.partition(b"\r\n\r\n")[2]
    return int(status_line.split(b" ")[1]), json.loads(body)


def test_tokens_are_counted_without_a_limit_of_the_answer(gateway):
    address = f"http://127.0.0.1:{gateway.port}/v1/messages/count_tokens"

    assert httpx.post(address, json=GOOD).status_code == 200


@pytest.mark.parametrize("raw", corpus().values(), ids=corpus().keys())
def test_a_hostile_request_is_refused_in_its_dialect(gateway, cloud, raw):
    cloud.calls.clear()
    status, document = refusal(talk(gateway.port, raw))

    assert 400 <= status < 500, document
    assert document["error"]["message"]
    assert document["error"]["type"]
    assert cloud.calls == []
    assert gateway.health("a") == "closed"
