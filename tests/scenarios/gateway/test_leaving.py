"""Callers who leave, send on, or stop reading while an answer is under way; with TLS and without."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from certificate import write_certificate
from process import PATIENCE_S, looks, running_gateway

CONFIG = """
gateway: {{send: 300ms}}
providers:
  up: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/a/v1', auth: {{method: none}}}}
endpoints: {{a: {{provider: up, model: m}}}}
features:
  f: {{hierarchy: [a], deadline: 60s, limits: {{header: 30s, ttft: 50s, liveness: 50s, progress: 50s}}}}
"""


@pytest.fixture(params=["plain", "tls"])
def caller(request, cloud, tmp_path):
    """Connects to a gateway."""
    context, tls = None, None
    if request.param == "tls":
        write_certificate(tmp_path, 1)
        tls = {"cert": str(tmp_path / "tls.crt"), "key": str(tmp_path / "tls.key")}
        context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    with running_gateway(CONFIG.format(port=cloud.port), tls=tls) as gateway:

        def connect() -> socket.socket:
            plain = socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S)
            return plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1")

        yield connect


def request(text: str, *, stream: bool) -> bytes:
    body = json.dumps({"model": "f", "messages": [{"role": "user", "content": text}], "stream": stream})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def read_until(sock: socket.socket, mark: bytes, seen: bytes = b"") -> bytes:
    while mark not in seen:
        part = sock.recv(65536)
        assert part, f"ended before {mark!r}: {seen[-300:]!r}"
        seen += part
    return seen


@pytest.mark.parametrize("under_way", ["a stream that says nothing", "a plain call"])
def test_the_upstream_is_left_when_the_caller_leaves(cloud, caller, under_way):
    stream = under_way != "a plain call"
    cloud.script("a", [{"stream": [{"text": "Hello"}, "hang"]} if stream else "silent"])
    with caller() as sock:
        sock.sendall(request("Hi", stream=stream))
        if stream:
            read_until(sock, b"Hello")
        for _ in looks():
            if cloud.calls:
                break
    assert cloud.calls[0].left.wait(10)


def test_a_request_behind_one_whose_answer_streams_is_answered_after_it(cloud, caller):
    cloud.script("a", [{"stream": [{"text": "one"}, {"wait": 0.2}, {"finish": "stop"}, "done", "end"]}, "ok"])
    with caller() as sock:
        sock.sendall(request("first", stream=True))
        seen = read_until(sock, b"one")
        large = "second " * 2000
        sock.sendall(request(large, stream=False) + request("third", stream=False))
        seen = read_until(sock, b"[DONE]", seen)
        seen = read_until(sock, b'chat.completion"', seen)
        read_until(sock, b'chat.completion"', seen.partition(b'chat.completion"')[2])
    asked = [json.loads(call.body)["messages"][0]["content"] for call in cloud.calls]
    assert asked == ["first", large, "third"]


def test_a_caller_that_reads_nothing_does_not_keep_its_upstream(cloud, caller):
    words = [{"text": "word " * 10000}] * 1000
    cloud.script("a", [{"stream": [*words, "hang"]}])
    with caller() as sock:
        sock.sendall(request("Hi", stream=True))
        read_until(sock, b"word")
        assert cloud.calls[0].left.wait(30)


def asked(cloud, port: int) -> socket.socket:
    """A connection whose plain call has reached an upstream that says nothing."""
    cloud.script("a", ["silent"])
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    sock.sendall(request("Hi", stream=False))
    for _ in looks():
        if cloud.calls:
            break
    return sock


def test_who_closes_the_sending_side_before_the_answer_is_told_so(cloud):
    with running_gateway(CONFIG.format(port=cloud.port)) as gateway, asked(cloud, gateway.port) as sock:
        sock.shutdown(socket.SHUT_WR)
        answer = read_until(sock, b"}}")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"closed for sending" in answer
    assert cloud.calls[0].left.wait(10)


def test_a_call_that_a_stop_cuts_breaks_off_and_is_not_told_that_it_was_wrong(cloud):
    config = CONFIG.replace("send: 300ms", "send: 300ms, drain: 1s")
    with running_gateway(config.format(port=cloud.port)) as gateway, asked(cloud, gateway.port) as sock:
        os.kill(gateway.pid, signal.SIGTERM)
        try:
            answer = sock.recv(65536)
        except ConnectionError:
            answer = b""

    assert answer == b""
