"""AWS event-stream frames, byte for byte.

Frame: total length, headers length, CRC-32 of those eight bytes, headers, payload, CRC-32 of all before.
Only string headers (type 7) are written: the modelled events need no other.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any


def encode_frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame with string headers, in the order given."""
    block = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(raw)) + raw
        for name, value in headers.items()
        for raw in [value.encode()]
    )
    prelude = struct.pack("!II", len(block) + len(payload) + 16, len(block))
    head = prelude + struct.pack("!I", zlib.crc32(prelude)) + block + payload
    return head + struct.pack("!I", zlib.crc32(head))


def encode_event(event_type: str, payload: bytes, content_type: str = "application/json") -> bytes:
    """A modelled event."""
    return encode_frame(
        {":event-type": event_type, ":content-type": content_type, ":message-type": "event"}, payload
    )


def encode_json_event(event_type: str, document: Any) -> bytes:
    """A modelled event with a compact JSON payload."""
    return encode_event(event_type, json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


def encode_exception(exception_type: str, document: Any) -> bytes:
    """An error delivered inside a stream that began with status 200."""
    return encode_frame(
        {
            ":exception-type": exception_type,
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(),
    )


def corrupt_frame(frame: bytes) -> bytes:
    """The same frame with a message checksum that does not match."""
    return frame[:-1] + bytes([frame[-1] ^ 0xFF])
