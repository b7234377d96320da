"""`crossfade wire check`: what it lets pass, what it names."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.main import app
from crossfade.app.wire.check import problems
from crossfade.app.wire.exchange import ExchangeError, read_exchanges

CHAT = {
    "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2},
}
EXPECT = {"text": "Hi", "tool_calls": [], "stop": "stop", "input_tokens": 9, "output_tokens": 2}


def record(body: object, **fields: object) -> dict[str, object]:
    plain = {
        "id": "one",
        "kind": "unary",
        "provider": "openai",
        "operation": "chat/completions",
        "url_template": "https://api.example/v1/chat/completions",
        "status": 200,
        "response_headers": {},
        "response_body": body if isinstance(body, str) else json.dumps(body),
        "stream": False,
        "expect": EXPECT,
    }
    return plain | fields


def write(path: Path, *records: dict[str, object]) -> Path:
    file = path / "exchanges.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in records))
    return file


def found(tmp_path: Path, one: dict[str, object]) -> list[str]:
    return [line for exchange in read_exchanges(write(tmp_path, one)) for line in problems(exchange)]


def frame(payload: bytes, **headers: str) -> bytes:
    block = b""
    for name, value in headers.items():
        key = f":{name.replace('_', '-')}".encode()
        block += bytes([len(key)]) + key + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def test_a_right_answer_passes(tmp_path):
    assert found(tmp_path, record(CHAT)) == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("text", "Ho"),
        ("stop", "length"),
        ("input_tokens", 8),
        ("output_tokens", 1),
        ("tool_calls", [["f", {}]]),
    ],
)
def test_each_difference_is_named(tmp_path, name, wrong):
    (line,) = found(tmp_path, record(CHAT, expect=EXPECT | {name: wrong}))

    assert line.startswith(f"{name}: expected")


def test_a_refusal_is_compared_by_class_and_retry(tmp_path):
    body = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    right = record(
        body,
        kind="error",
        status=429,
        expect={"error_class": "rate_limited", "retryable_same_endpoint": True},
    )
    wrong = right | {"expect": {"error_class": "authentication", "retryable_same_endpoint": False}}

    assert found(tmp_path, right) == []
    assert len(found(tmp_path, wrong)) == 2


def test_a_binary_stream_is_read_frame_by_frame(tmp_path):
    event = {"message_type": "event"}
    body = b"".join(
        [
            frame(b'{"contentBlockIndex":0,"delta":{"text":"Hi"}}', event_type="contentBlockDelta", **event),
            frame(b'{"stopReason":"end_turn"}', event_type="messageStop", **event),
            frame(b'{"usage":{"inputTokens":9,"outputTokens":2}}', event_type="metadata", **event),
        ]
    )
    one = record(
        "",
        provider="bedrock",
        operation="converse-stream",
        url_template="https://b.example/model/m/converse-stream",
        stream=True,
        response_body=None,
        response_body_b64=base64.b64encode(body).decode(),
        expect=EXPECT | {"stop": "end_turn", "events": 3},
    )

    assert found(tmp_path, one) == []


def test_an_error_inside_a_stream_must_be_seen(tmp_path):
    expect = {"text": "", "tool_calls": [], "midstream_error": {"message": "x"}}
    bad = record('data: {"error":{"message":"x"}}\n\n', kind="midstream_error", stream=True, expect=expect)

    assert found(tmp_path, bad) == []
    assert found(tmp_path, record(CHAT, kind="midstream_error", expect=expect | {"text": "Hi"})) == [
        "the error inside the stream was not seen"
    ]


def test_the_command_counts_and_says_no_with_its_exit_code(tmp_path):
    file = write(tmp_path, record(CHAT), record(CHAT, id="two", expect=EXPECT | {"text": "Ho"}))
    plain = CliRunner().invoke(app, ["wire", "check", str(file)])
    machine = CliRunner().invoke(app, ["wire", "check", str(file), "--json"])

    assert plain.exit_code == machine.exit_code == 1
    assert plain.output.splitlines()[-1] == "1 passed, 1 failed"
    assert json.loads(machine.output)["failures"][0]["id"] == "two"


def test_a_line_that_is_no_exchange_is_named(tmp_path):
    file = tmp_path / "broken.jsonl"
    file.write_text('{"id": "x"}\n')

    with pytest.raises(ExchangeError, match=r"broken\.jsonl:1"):
        list(read_exchanges(file))
    assert CliRunner().invoke(app, ["wire", "check", str(file)]).exit_code == 2
