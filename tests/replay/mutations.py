"""Ways to write a recorded answer that must not change what is read in it.

A mutator takes the answer's bytes and gives others, or the same where it has nothing to change.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

Mutator = Callable[[bytes], bytes]

# What a model or a tool wrote is its own: nothing is added inside.
FREE = frozenset(
    {
        "input",
        "args",
        "arguments",
        "parameters",
        "function_call",
        "partial_json",
        "logprobs",
        "json",
        "content_filter_results",
    }
)
# Fields that some servers send empty where others leave them out.
NAMES = """
error refusal tool_calls audio function_call reasoning_content reasoning annotations service_tier
system_fingerprint logprobs stop_sequence container citations promptFeedback thoughtSignature thought
signature prompt_tokens_details completion_tokens_details input_tokens_details output_tokens_details
finish_reason stop_reason usage x_groq metadata trace additionalModelResponseFields performanceConfig
serviceTier cache_creation details incomplete_details encrypted_content finishReason groundingMetadata
executableCode codeExecutionResult functionCall toolUse reasoningContent caller stop_details tool_plan
event message delta obfuscation text content object index id model choices candidates generated_text
token outputText response"""
OPTIONAL = tuple(NAMES.split())
COUNT = re.compile(r"(tokens?|Tokens?|TokenCount|_count|Count)$")
INDEX = frozenset({"index", "output_index", "contentBlockIndex", "content_index"})
Change = Callable[[dict[str, Any]], dict[str, Any]]


def _documents(change: Change) -> Callable[[str], str]:
    """`change` at every object of a JSON text that the server itself wrote."""

    def walk(value: Any, key: str = "", free: bool = False) -> Any:
        free = free or key in FREE
        if isinstance(value, dict):
            value = {name: walk(inner, name, free) for name, inner in value.items()}
            return value if free else change(value)
        if isinstance(value, list):
            return [walk(inner, key, free) for inner in value]
        return value

    return lambda text: json.dumps(walk(json.loads(text)), ensure_ascii=False)


def _counts(convert: Callable[[int], Any], is_one: Callable[[str], object]) -> Change:
    def change(object_: dict[str, Any]) -> dict[str, Any]:
        return {n: convert(v) if type(v) is int and is_one(n) else v for n, v in object_.items()}

    return change


def _empty(name: str) -> Change:
    return lambda object_: {name: None, **object_}


TEXTS: dict[str, Callable[[str], str]] = {
    "keys reversed": _documents(lambda o: dict(reversed(o.items()))),
    "unknown fields": _documents(lambda o: o | {"x_new": {"a": [1, {"b": None}]}, "zz_new_text": "words"}),
    "counts as strings": _documents(_counts(str, COUNT.search)),
    "counts as fractions": _documents(_counts(float, COUNT.search)),
    "indices as strings": _documents(_counts(str, INDEX.__contains__)),
    "indented": lambda text: json.dumps(json.loads(text), indent=2, ensure_ascii=False),
    "escaped": lambda text: json.dumps(json.loads(text)),
    **{f"empty {name}": _documents(_empty(name)) for name in OPTIONAL},
}


def _safe(change: Callable[[str], str]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        try:
            return change(text)
        except json.JSONDecodeError:
            return text

    return apply


Event = list[str]  # its lines


def _events(body: bytes) -> list[Event]:
    parts = re.split(r"\r?\n\r?\n", body.decode(errors="replace"))
    return [part.replace("\r\n", "\n").split("\n") for part in parts if part.strip()]


def _written(events: list[Event], end: str = "\n") -> bytes:
    return "".join(end.join(event) + end + end for event in events).encode()


def _lines(change: Callable[[str], str]) -> Mutator:
    return lambda body: _written([[change(line) for line in event] for event in _events(body)])


def _between(*noise: str) -> Mutator:
    def mutate(body: bytes) -> bytes:
        return _written([list(noise)] + [one for event in _events(body) for one in (event, list(noise))])

    return mutate


def _data(change: Callable[[str], str]) -> Mutator:
    def rewrite(line: str) -> Iterator[str]:
        value = line.removeprefix("data:").strip()
        if line.startswith("data:") and value.startswith(("{", "[")):
            yield from (f"data: {part}" for part in _safe(change)(value).split("\n"))
        else:
            yield line

    return lambda body: _written(
        [[new for line in event for new in rewrite(line)] for event in _events(body)]
    )


SSE: dict[str, Mutator] = {
    "CRLF": lambda body: _written(_events(body), "\r\n"),
    "no space after the colon": _lines(lambda line: re.sub(r"^(\w+): ", r"\1:", line)),
    "three spaces": _lines(lambda line: re.sub(r"^data: ", "data:   ", line)),
    "comments": _between(": keep-alive"),
    "empty data": _between("data:"),
    "empty object": _between("data: {}"),
    "null": _between("data: null"),
    "a string": _between('data: "heartbeat"'),
    "pings": _between("event: ping", 'data: {"type": "ping"}'),
    "a name alone": _between("event: ping"),
    "ids and retries": lambda body: _written([["id: 1", "retry: 3000", *event] for event in _events(body)]),
    "blank lines": lambda body: b"\n\n" + _written(_events(body)).replace(b"\n\n", b"\n\n\n\n"),
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "no names": lambda body: _written(
        [[line for line in event if not line.startswith("event:")] for event in _events(body)]
    ),
    "name after data": lambda body: _written(
        [event[::-1] if len(event) == 2 else event for event in _events(body)]
    ),
    "no last blank line": bytes.rstrip,
    "text after the end": lambda body: body.rstrip() + b"\n\n: bye\n\n",
    **{f"{name} in data": _data(change) for name, change in TEXTS.items()},
}
WHOLE: dict[str, Mutator] = {
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "blank lines around": lambda body: b"\r\n\n" + body + b"\n \n",
    **{
        name: (lambda body, change=change: _safe(change)(body.decode(errors="replace")).encode())
        for name, change in TEXTS.items()
    },
}
Frame = tuple[dict[str, str], bytes]


def _frames(body: bytes) -> tuple[list[Frame], bytes]:
    """The frames, and what is left of a cut one."""
    found: list[Frame] = []
    at = 0
    while at + 16 <= len(body):
        total, length = struct.unpack(">II", body[at : at + 8])
        if at + total > len(body):
            break
        found.append((_headers(body[at + 12 : at + 12 + length]), body[at + 12 + length : at + total - 4]))
        at += total
    return found, body[at:]


def _headers(block: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        (size,) = struct.unpack(">H", block[name_end + 1 : name_end + 3])
        found[block[at + 1 : name_end].decode()] = block[name_end + 3 : name_end + 3 + size].decode()
        at = name_end + 3 + size
    return found


def _frame(headers: dict[str, str], payload: bytes) -> bytes:
    block = b"".join(
        bytes([len(n)]) + n.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode()
        for n, v in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def _reframed(change: Callable[[Frame], list[Frame]]) -> Mutator:
    def mutate(body: bytes) -> bytes:
        frames, rest = _frames(body)
        return b"".join(_frame(*new) for frame in frames for new in change(frame)) + rest

    return mutate


def _payload(change: Callable[[str], str]) -> Mutator:
    """`change` in the documents of the frames, or in those inside them."""

    def apply(frame: Frame) -> list[Frame]:
        headers, payload = frame
        if headers.get(":message-type") != "event" or not payload.startswith(b"{"):
            return [frame]
        outer = json.loads(payload)
        if "bytes" in outer:
            inner = _safe(change)(base64.b64decode(outer["bytes"]).decode())
            return [
                (headers, json.dumps(outer | {"bytes": base64.b64encode(inner.encode()).decode()}).encode())
            ]
        return [(headers, _safe(change)(payload.decode()).encode())]

    return _reframed(apply)


NEWS = {":message-type": "event", ":event-type": "somethingNew"}
FRAMES: dict[str, Mutator] = {
    "empty frames": _reframed(lambda frame: [({}, b""), frame]),
    "unknown events": _reframed(lambda frame: [(NEWS, b'{"p": "ab"}'), frame]),
    "unknown empty events": _reframed(lambda frame: [(NEWS, b""), frame]),
    "headers reversed": _reframed(lambda frame: [(dict(reversed(frame[0].items())), frame[1])]),
    "unknown headers": _reframed(lambda frame: [(frame[0] | {"x-new": "1"}, frame[1])]),
    **{f"{name} in payload": _payload(change) for name, change in TEXTS.items()},
}


def mutators(body: bytes, stream: bool) -> dict[str, Mutator]:
    """Those that fit an answer of this form."""
    if body.startswith(b"\0"):
        return FRAMES
    return SSE if stream and not body.lstrip().startswith((b"{", b"[")) else WHOLE
