"""One and the same answer in every dialect, plain and streamed, and how to spoil it."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crossfade import _engine

TEXT = "Grüße, 世界 🙂"
ARGUMENTS = {"city": "Zürich", "n": 2}
Events = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Form:
    """A dialect in one framing. `events`: (name, document); `write` frames them."""

    dialect: str
    framing: str
    events: Events
    write: Callable[[Events], bytes]

    @property
    def bytes(self) -> bytes:
        """The answer as its provider sends it."""
        return self.write(self.events)

    def __str__(self) -> str:
        return f"{self.dialect}/{self.framing}"


def read(form: Form, body: bytes | None = None, cut: int = 0, framing: str | None = None) -> dict[str, Any]:
    """What the engine reads in a body of this form; its own where none is given."""
    body = form.bytes if body is None else body
    seen: dict[str, Any] = json.loads(_engine.decode_answer(form.dialect, framing or form.framing, body, cut))
    return seen


def meaning(seen: dict[str, Any]) -> dict[str, Any]:
    """What an application acts on."""
    calls = [(call["name"], json.loads(call["arguments"])) for call in seen["tool_calls"]]
    stop = seen["stop"] and seen["stop"]["reason"]
    return {
        "text": seen["text"],
        "calls": calls,
        "stop": stop,
        "usage": seen["usage"],
        "error": seen["error"],
    }


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame of Amazon's event stream."""
    block = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _whole(events: Events) -> bytes:
    return _json(events[0][1])


def _sse(mark: bytes = b"") -> Callable[[Events], bytes]:
    def write(events: Events) -> bytes:
        lines = [
            (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + _json(document) + b"\n\n"
            for name, document in events
        ]
        return b"".join(lines) + mark

    return write


def _frames(events: Events) -> bytes:
    return b"".join(
        frame({":message-type": "event", ":event-type": name}, _json(document)) for name, document in events
    )


def _chunks(events: Events) -> bytes:
    def wrapped(document: Any) -> bytes:
        return _json({"bytes": base64.b64encode(_json(document)).decode(), "p": "ab"})

    return b"".join(
        frame({":message-type": "event", ":event-type": "chunk"}, wrapped(document)) for _, document in events
    )


def _parts(events: Events) -> bytes:
    body = _sse(b"data: [DONE]\n\n")(events)
    pieces = [body[at : at + 11] for at in range(0, len(body), 11)]
    return b"".join(
        frame({":message-type": "event", ":event-type": "PayloadPart"}, piece) for piece in pieces
    )


def _typed(*documents: dict[str, Any]) -> Events:
    return [(document["type"], document) for document in documents]


def _unnamed(*documents: dict[str, Any]) -> Events:
    return [("", document) for document in documents]


USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
CALL = {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": json.dumps(ARGUMENTS)}}
CHAT = _unnamed(
    {
        "id": "c1",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT, "tool_calls": [CALL]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": USAGE,
    }
)


def _delta(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


CHAT_STREAM = _unnamed(
    _delta({"role": "assistant", "content": TEXT[:4]}),
    _delta({"content": TEXT[4:]}),
    _delta({"tool_calls": [{"index": 0, **CALL}]}),
    _delta({}, "tool_calls"),
    {"id": "c1", "model": "m", "choices": [], "usage": USAGE},
)
RESPONSE = {
    "id": "r1",
    "object": "response",
    "model": "m",
    "status": "completed",
    "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": TEXT}]},
        {
            "type": "function_call",
            "id": "fc1",
            "call_id": "call_a",
            "name": "look",
            "arguments": json.dumps(ARGUMENTS),
        },
    ],
    "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14},
}
RESPONSE_STREAM = _typed(
    {"type": "response.created", "response": {"id": "r1", "model": "m", "status": "in_progress"}},
    {"type": "response.output_text.delta", "output_index": 0, "delta": TEXT[:4]},
    {"type": "response.output_text.delta", "output_index": 0, "delta": TEXT[4:]},
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {**RESPONSE["output"][1], "arguments": ""},  # type: ignore[index]
    },
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": json.dumps(ARGUMENTS)},
    {"type": "response.completed", "response": RESPONSE},
)
MESSAGE = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "text", "text": TEXT},
        {"type": "tool_use", "id": "call_a", "name": "look", "input": ARGUMENTS},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 9, "output_tokens": 5},
}
MESSAGE_STREAM = _typed(
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 9}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT[:4]}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT[4:]}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "call_a", "name": "look", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": json.dumps(ARGUMENTS)},
    },
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)
COUNTS = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}
GEMINI = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [{"text": TEXT}, {"functionCall": {"name": "look", "args": ARGUMENTS}}],
            },
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": COUNTS,
    "modelVersion": "m",
    "responseId": "g1",
}


def _candidate(part: dict[str, Any], **fields: str) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [part]}, **fields}], "responseId": "g1", "modelVersion": "m"}


GEMINI_STREAM = _unnamed(
    _candidate({"text": TEXT[:4]}),
    _candidate({"text": TEXT[4:]}),
    _candidate({"functionCall": {"name": "look", "args": ARGUMENTS}}, finishReason="STOP")
    | {"usageMetadata": COUNTS},
)
TOOL = {"toolUseId": "call_a", "name": "look"}
CONVERSE = {
    "output": {"message": {"content": [{"text": TEXT}, {"toolUse": {**TOOL, "input": ARGUMENTS}}]}},
    "stopReason": "tool_use",
    "usage": {"inputTokens": 9, "outputTokens": 5},
}
CONVERSE_STREAM: Events = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": TEXT[:4]}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": TEXT[4:]}}),
    ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": TOOL}}),
    (
        "contentBlockDelta",
        {"contentBlockIndex": 1, "delta": {"toolUse": {"input": json.dumps(ARGUMENTS)}}},
    ),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": {"inputTokens": 9, "outputTokens": 5}}),
]
COHERE_USAGE = {"tokens": {"input_tokens": 9, "output_tokens": 5}}
COHERE = {
    "id": "h1",
    "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}], "tool_calls": [CALL]},
    "finish_reason": "TOOL_CALL",
    "usage": COHERE_USAGE,
}


def _cohere(kind: str, message: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": message}}


COHERE_STREAM = _typed(
    {"type": "message-start", "id": "h1", "delta": {"message": {"role": "assistant"}}},
    _cohere("content-delta", {"content": {"text": TEXT[:4]}}),
    _cohere("content-delta", {"content": {"text": TEXT[4:]}}),
    _cohere("tool-call-start", {"tool_calls": CALL | {"function": {"name": "look", "arguments": ""}}}),
    _cohere("tool-call-delta", {"tool_calls": {"function": {"arguments": json.dumps(ARGUMENTS)}}}),
    {"type": "tool-call-end", "index": 0},
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": COHERE_USAGE}},
)

FORMS = [
    Form("openai_chat", "whole", CHAT, _whole),
    Form("openai_chat", "sse", CHAT_STREAM, _sse(b"data: [DONE]\n\n")),
    Form("openai_chat", "aws-bytes", CHAT_STREAM, _parts),
    Form("openai_responses", "whole", _unnamed(RESPONSE), _whole),
    Form("openai_responses", "sse", RESPONSE_STREAM, _sse()),
    Form("anthropic_messages", "whole", _unnamed(MESSAGE), _whole),
    Form("anthropic_messages", "sse", MESSAGE_STREAM, _sse()),
    Form("anthropic_messages", "aws-chunks", MESSAGE_STREAM, _chunks),
    Form("bedrock_invoke", "whole", _unnamed(MESSAGE), _whole),
    Form("bedrock_invoke", "aws-chunks", MESSAGE_STREAM, _chunks),
    Form("gemini", "whole", _unnamed(GEMINI), _whole),
    Form("gemini", "sse", GEMINI_STREAM, _sse()),
    Form("bedrock_converse", "whole", _unnamed(CONVERSE), _whole),
    Form("bedrock_converse", "aws-events", CONVERSE_STREAM, _frames),
    Form("cohere_chat", "whole", _unnamed(COHERE), _whole),
    Form("cohere_chat", "sse", COHERE_STREAM, _sse()),
    Form("tgi", "aws-bytes", CHAT_STREAM, _parts),
]
STREAMS = [form for form in FORMS if form.framing != "whole"]
PLAIN = [form for form in FORMS if form.framing == "whole"]
