"""Cohere's chat body, version 2."""

from __future__ import annotations

import json
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, encode_sse, read_limit, read_list, read_object
from crossfade.sim.endpoints.answer import Ask, Choice, Part, PartKind, Stop, Tool
from crossfade.sim.endpoints.generation import Generation, Piece

FINISH = {
    Stop.END: "COMPLETE",
    Stop.SEQUENCE: "STOP_SEQUENCE",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.TOOLS: "TOOL_CALL",
    Stop.FILTERED: "ERROR_TOXIC",
}
FIELDS = frozenset({
    "citation_options", "documents", "frequency_penalty", "k", "logprobs", "max_tokens", "messages", "model",
    "p", "presence_penalty", "priority", "raw_prompting", "response_format", "safety_mode", "seed",
    "stop_sequences", "stream", "strict_tools", "temperature", "thinking", "tool_choice", "tools",
})  # fmt: skip
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


def decode_cohere(body: bytes, request_id: str) -> Call:
    """Read a chat body; raises `BodyError`."""
    document = read_object(body)
    for unknown in sorted(set(document) - FIELDS):
        raise BodyError(f"invalid request: unknown field '{unknown}'", unknown)
    messages = read_list(document, "messages")
    if not messages:
        raise BodyError("invalid request: list of messages must not be empty", "messages")
    _check(messages)
    texts = [_text_of(message.get("content")) for message in messages]
    asked = [text for text, message in zip(texts, messages, strict=True) if message["role"] == "user"]
    stream = document.get("stream") is True
    ask = Ask(
        request_id=request_id,
        kind="stream" if stream else "unary",
        texts=tuple(texts),
        source=asked[-1] if asked else texts[-1],
        max_tokens=read_limit(document, "max_tokens"),
        schema=_schema_of(document),
        tools=tuple(_tool(tool.get("function") or {}) for tool in read_list(document, "tools")),
        choice=_choice(document),
        after_result=messages[-1]["role"] == "tool",
        thinks=(document.get("thinking") or {}).get("type") == "enabled",
        stop_sequences=tuple(document.get("stop_sequences") or ()),
        images=sum(_images_of(message.get("content")) for message in messages),
    )
    return Call(document.get("model"), stream, ask, frozenset(document))


def encode_cohere(generation: Generation, answer_id: str) -> dict[str, Any]:
    """The whole answer."""
    parts = () if generation.stop is Stop.FILTERED else generation.answer.parts
    calls = [_call(part, part.text) for part in parts if part.kind is PartKind.CALL]
    thoughts = "".join(part.text for part in parts if part.kind is PartKind.THOUGHT)
    message: dict[str, Any] = {"role": "assistant"}
    if calls:  # what a model thinks before its calls is its plan
        message |= {"tool_plan": thoughts, "tool_calls": calls}
    else:
        message["content"] = [_block(part) for part in parts]
    return {
        "id": answer_id,
        "finish_reason": FINISH[generation.stop],
        "message": message,
        **_usage(generation),
    }


class CohereEncoder:
    """The events of one streamed answer."""

    def __init__(self, generation: Generation, answer_id: str) -> None:
        self._id = answer_id
        self._plans = any(part.kind is PartKind.CALL for part in generation.answer.parts)
        self._calls = -1

    def begin(self) -> bytes:
        """The message without content."""
        empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return _event({"id": self._id, "type": "message-start", "delta": {"message": empty}})

    def piece(self, piece: Piece) -> bytes:
        """One piece: its block opens with the first and closes with the last."""
        if piece.part.kind is PartKind.CALL:
            return self._call_piece(piece)
        thinks = piece.part.kind is PartKind.THOUGHT
        if thinks and self._plans:
            return _event(_delta("tool-plan-delta", None, {"tool_plan": piece.text}))
        kind = "thinking" if thinks else "text"
        data = b""
        if piece.first:
            opened = {"content": {"type": kind, kind: ""}}
            data = _event(_delta("content-start", piece.place, opened))
        data += _event(_delta("content-delta", piece.place, {"content": {kind: piece.text}}))
        if piece.last:
            data += _event({"type": "content-end", "index": piece.place})
        return data

    def end(self, generation: Generation) -> bytes:
        """The finish reason with the usage, and the end marker."""
        delta = {"finish_reason": FINISH[generation.stop], **_usage(generation)}
        return _event({"type": "message-end", "delta": delta}) + b"data: [DONE]\n\n"

    def _call_piece(self, piece: Piece) -> bytes:
        data = b""
        if piece.first:
            self._calls += 1
            opened = _delta("tool-call-start", self._calls, {"tool_calls": _call(piece.part, "")})
            data = _event(opened)
        arguments = {"tool_calls": {"function": {"arguments": piece.text}}}
        data += _event(_delta("tool-call-delta", self._calls, arguments))
        if piece.last:
            data += _event({"type": "tool-call-end", "index": self._calls})
        return data


def _usage(generation: Generation) -> dict[str, Any]:
    """What the model saw, and what is billed of it: here the same."""
    tokens = {"input_tokens": generation.ask.input_tokens, "output_tokens": generation.produced_tokens}
    return {"usage": {"billed_units": tokens, "tokens": tokens, "cached_tokens": generation.cache_read}}


def _event(document: dict[str, Any]) -> bytes:
    return encode_sse(document, document["type"])


def _delta(kind: str, index: int | None, message: dict[str, Any]) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, "delta": {"message": message}}


def _block(part: Part) -> dict[str, Any]:
    kind = "thinking" if part.kind is PartKind.THOUGHT else "text"
    return {"type": kind, kind: part.text}


def _call(part: Part, arguments: str) -> dict[str, Any]:
    function = {"name": part.name, "arguments": arguments}
    return {"id": f"{part.name}_{part.id[:12]}", "type": "function", "function": function}


def _check(messages: list[dict[str, Any]]) -> None:
    """Roles are known ones, and each tool message answers a call before it."""
    known: set[Any] = set()
    for place, message in enumerate(messages):
        if message.get("role") not in ROLES:
            raise BodyError(
                f"invalid request: messages[{place}].role is not one of the known roles", "messages"
            )
        known |= {call.get("id") for call in message.get("tool_calls") or []}
        if message["role"] == "tool" and message.get("tool_call_id") not in known:
            raise BodyError(
                f"invalid request: tool call id not found in previous tool calls: "
                f"{message.get('tool_call_id')}",
                "messages",
            )


def _tool(function: dict[str, Any]) -> Tool:
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise BodyError("invalid request: tool function name must not be empty", "tools")
    return Tool(name, function.get("description") or "", function.get("parameters") or {})


def _choice(document: dict[str, Any]) -> Choice:
    wanted = document.get("tool_choice")
    if wanted not in {None, "REQUIRED", "NONE"}:
        raise BodyError("invalid request: tool_choice must be one of REQUIRED, NONE", "tool_choice")
    return Choice({"REQUIRED": "any", "NONE": "none"}.get(wanted or "", "auto"))


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        words = (part.get("text") or part.get("document") for part in content if isinstance(part, dict))
        return "\n".join(text if isinstance(text, str) else json.dumps(text) for text in words if text)
    return content if isinstance(content, str) else ""


def _images_of(content: Any) -> int:
    parts = content if isinstance(content, list) else []
    return sum(1 for part in parts if isinstance(part, dict) and part.get("type") == "image_url")


def _schema_of(document: dict[str, Any]) -> dict[str, Any] | None:
    form = document.get("response_format")
    if not isinstance(form, dict) or form.get("type") in {None, "text"}:
        return None
    if form.get("type") != "json_object":
        raise BodyError(
            "invalid request: response_format.type must be text or json_object", "response_format"
        )
    schema = form.get("json_schema") or form.get("schema")
    return schema if isinstance(schema, dict) else {"type": "object"}
