"""Event-stream frames, byte for byte against worked examples and botocore's decoder."""

from __future__ import annotations

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from crossfade.sim.services.amazon.sagemaker import PayloadCutter, encode_part
from crossfade.sim.wire.eventstream import (
    corrupt_frame,
    encode_exception,
    encode_frame,
    encode_json_event,
)

MESSAGE_STOP = bytes.fromhex(
    "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d657373616765"
    "53746f700d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a"
    "736f6e0d3a6d6573736167652d747970650700056576656e747b2273746f70526561"
    "736f6e223a22656e645f7475726e227d5fbf09fc"
)


def decoded(data: bytes) -> list:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


def test_message_stop_is_the_worked_frame():
    assert encode_json_event("messageStop", {"stopReason": "end_turn"}) == MESSAGE_STOP


def test_an_in_stream_throttle_is_the_worked_frame():
    message = "Too many tokens, please wait before trying again."

    frame = encode_exception("throttlingException", {"message": message})

    assert len(frame) == 176
    assert frame[:12] == bytes.fromhex("000000b0000000614f5086b3")
    assert frame[-4:] == bytes.fromhex("f70ae57f")
    assert b":exception-type\x07\x00\x13throttlingException" in frame


def test_an_empty_frame_is_the_worked_frame():
    assert encode_frame({}, b"") == bytes.fromhex("000000100000000005c248eb7d98c8ff")


def test_a_payload_part_is_the_worked_frame():
    frame = encode_part(b'data: {"a":1}\n\n')

    assert len(frame) == 120
    assert frame[:12] == bytes.fromhex("0000007800000059be379d37")
    assert frame[-4:] == bytes.fromhex("cfe55529")


def test_a_corrupt_frame_fails_its_checksum():
    with pytest.raises(ChecksumMismatch):
        decoded(corrupt_frame(MESSAGE_STOP))


@given(
    st.dictionaries(st.text("abc:-", min_size=1, max_size=20), st.text(max_size=50)), st.binary(max_size=500)
)
def test_every_frame_is_read_back_by_botocore(headers, payload):
    (event,) = decoded(encode_frame(headers, payload))

    assert event.headers == headers
    assert event.payload == payload


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=20), st.uuids())
def test_cutting_loses_nothing_and_holds_back_at_most_a_few_bytes(texts, identity):
    cutter = PayloadCutter(str(identity))
    fed, framed = b"", b""

    for text in texts:
        fed += text.encode()
        framed += cutter.feed(text.encode())
        out = b"".join(event.payload for event in decoded(framed))
        assert fed.startswith(out)
        assert len(fed) - len(out) < 16
    framed += cutter.flush()

    assert b"".join(event.payload for event in decoded(framed)) == fed


def test_json_payloads_keep_their_characters():
    (event,) = decoded(encode_json_event("contentBlockDelta", {"delta": {"text": "déjà — vu"}}))

    assert json.loads(event.payload) == {"delta": {"text": "déjà — vu"}}
