"""The Anthropic messages body, spoken by Anthropic itself, Bedrock's invoke and Vertex's raw predict."""

from __future__ import annotations

import json
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, encode_sse, read_limit, read_list, read_object
from crossfade.sim.endpoints.answer import Ask, Choice, Part, PartKind, Stop, Tool, sign_thought
from crossfade.sim.endpoints.generation import Generation, Piece

STOP_REASONS = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.TOOLS: "tool_use",
    Stop.SEQUENCE: "stop_sequence",
    Stop.FILTERED: "refusal",
}


def decode_messages(body: bytes, request_id: str, model: str | None = None, *, stream: bool = False) -> Call:
    """Read a messages body; `model` and `stream` where the address says them. Raises `BodyError`."""
    document = read_object(body)
    stream = stream or document.get("stream") is True
    return Call(
        model or document.get("model"),
        stream,
        read_ask(document, request_id, stream=stream),
        frozenset(document),
    )


def read_ask(document: dict[str, Any], request_id: str, *, stream: bool, counting: bool = False) -> Ask:
    """The ask of a messages body; `counting` needs no `max_tokens`. Raises `BodyError`."""
    most = read_limit(document, "max_tokens")
    if most is None and not counting:
        raise BodyError("max_tokens: Field required")
    messages = read_list(document, "messages")
    if not messages:
        raise BodyError("messages: at least one message is required")
    blocks = [(message.get("role"), _blocks(message.get("content"))) for message in messages]
    _check_blocks(blocks)
    system = _blocks(document.get("system") or [])
    texts = ["\n".join(map(_text_of, parts)) for _, parts in blocks]
    asked = [
        "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
        for role, parts in blocks
        if role == "user" and any(part.get("type") == "text" for part in parts)
    ]
    head = ["\n".join(map(_text_of, system))] if system else []
    thinking = (document.get("thinking") or {}).get("type", "disabled")
    return Ask(
        request_id=request_id,
        kind="stream" if stream else "unary",
        texts=(*head, *texts),
        source=asked[-1] if asked else texts[-1],
        max_tokens=most,
        schema=((document.get("output_config") or {}).get("format") or {}).get("schema"),
        tools=tuple(_tool(tool) for tool in read_list(document, "tools") if "input_schema" in tool),
        choice=_choice(document.get("tool_choice") or {"type": "auto"}),
        after_result=any(part.get("type") == "tool_result" for part in blocks[-1][1]),
        thinks=thinking != "disabled",
        stop_sequences=tuple(document.get("stop_sequences") or ()),
        cached_texts=_marked(document, system, blocks),
        images=sum(1 for _, parts in blocks for part in parts if part.get("type") == "image"),
    )


def encode_message(generation: Generation, message_id: str, model: str) -> dict[str, Any]:
    """The whole message."""
    parts = () if generation.stop is Stop.FILTERED else generation.answer.parts
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [_block(part) for part in parts],
        **_ending(generation),
        "usage": usage_of(generation),
    }


class MessageEncoder:
    """The events of one streamed message, framed by `frame`."""

    def __init__(self, generation: Generation, message_id: str, model: str) -> None:
        self._generation = generation
        self._message_id = message_id
        self._model = model
        self._text = ""

    def begin(self) -> bytes:
        """The message without content, with its input already counted."""
        message = {**encode_message(self._generation, self._message_id, self._model), "content": []}
        message |= {"stop_reason": None, "stop_sequence": None}
        message["usage"] = {**message["usage"], "output_tokens": 1}
        return self.frame({"type": "message_start", "message": message}) + self.frame({"type": "ping"})

    def piece(self, piece: Piece) -> bytes:
        """One piece: its block opens with the first and closes with the last."""
        data = b""
        if piece.first:
            self._text = ""
            data = self.frame(
                {"type": "content_block_start", "index": piece.place, "content_block": _open(piece.part)}
            )
        self._text += piece.text
        data += self._delta(piece, _delta(piece))
        if piece.last:
            if piece.part.kind is PartKind.THOUGHT:
                data += self._delta(piece, {"type": "signature_delta", "signature": sign_thought(self._text)})
            data += self.frame({"type": "content_block_stop", "index": piece.place})
        return data

    def end(self, generation: Generation) -> bytes:
        """The stop reason, the final usage, the end."""
        usage = usage_of(generation)
        ending = {"type": "message_delta", "delta": _ending(generation), "usage": usage}
        return self.frame(ending) + self.frame({"type": "message_stop"})

    def frame(self, event: dict[str, Any]) -> bytes:
        """One event on the wire."""
        return encode_sse(event, event["type"])

    def _delta(self, piece: Piece, delta: dict[str, Any]) -> bytes:
        return self.frame({"type": "content_block_delta", "index": piece.place, "delta": delta})


def usage_of(generation: Generation) -> dict[str, Any]:
    """Tokens; what the cache read or wrote lies outside `input_tokens`."""
    read, written = generation.cache_read, generation.cache_write
    return {
        "input_tokens": generation.ask.input_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": generation.produced_tokens,
        "service_tier": "standard",
    }


def _ending(generation: Generation) -> dict[str, Any]:
    sequence = generation.ask.stop_sequences[0] if generation.stop is Stop.SEQUENCE else None
    return {"stop_reason": STOP_REASONS[generation.stop], "stop_sequence": sequence}


def _block(part: Part) -> dict[str, Any]:
    if part.kind is PartKind.TEXT:
        return {"type": "text", "text": part.text}
    if part.kind is PartKind.CALL:
        return {
            "type": "tool_use",
            "id": f"toolu_{part.id}",
            "name": part.name,
            "input": json.loads(part.text),
        }
    return {"type": "thinking", "thinking": part.text, "signature": sign_thought(part.text)}


def _open(part: Part) -> dict[str, Any]:
    if part.kind is PartKind.TEXT:
        return {"type": "text", "text": ""}
    if part.kind is PartKind.CALL:
        return {"type": "tool_use", "id": f"toolu_{part.id}", "name": part.name, "input": {}}
    return {"type": "thinking", "thinking": "", "signature": ""}


def _delta(piece: Piece) -> dict[str, Any]:
    if piece.part.kind is PartKind.TEXT:
        return {"type": "text_delta", "text": piece.text}
    if piece.part.kind is PartKind.CALL:
        return {"type": "input_json_delta", "partial_json": piece.text}
    return {"type": "thinking_delta", "thinking": piece.text}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list) and all(isinstance(block, dict) for block in content):
        return content
    raise BodyError("messages: content must be a string or an array of blocks")


def _check_blocks(blocks: list[tuple[Any, list[dict[str, Any]]]]) -> None:
    if blocks[0][0] != "user":
        raise BodyError('messages: first message must use the "user" role')
    called: set[Any] = set()
    for role, parts in blocks:
        if role not in {"user", "assistant"}:
            raise BodyError('messages: role must be "user" or "assistant"')
        for part in parts:
            if part.get("type") == "text" and not str(part.get("text", "")).strip():
                raise BodyError("messages: text content blocks must be non-empty")
            if part.get("type") == "thinking" and part.get("signature") != sign_thought(
                part.get("thinking", "")
            ):
                raise BodyError("messages: Invalid `signature` in `thinking` block")
            if part.get("type") == "tool_result" and part.get("tool_use_id") not in called:
                raise BodyError("messages: unexpected `tool_use_id` found in `tool_result` blocks")
        called = {part.get("id") for part in parts if part.get("type") == "tool_use"}


def _text_of(block: dict[str, Any]) -> str:
    if block.get("type") == "tool_use":
        return f"{block.get('name')} {json.dumps(block.get('input'))}"
    content = block.get("content", block.get("text", block.get("thinking", "")))
    if isinstance(content, list):
        return "\n".join(_text_of(part) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _tool(tool: dict[str, Any]) -> Tool:
    return Tool(str(tool.get("name")), tool.get("description") or "", tool["input_schema"])


def _choice(wanted: dict[str, Any]) -> Choice:
    mode, parallel = wanted.get("type", "auto"), wanted.get("disable_parallel_tool_use") is not True
    if mode == "tool":
        return Choice("any", wanted.get("name"), parallel)
    if mode not in {"auto", "any", "none"}:
        raise BodyError("tool_choice.type: must be auto, any, tool or none")
    return Choice(mode, None, parallel)


def _marked(
    document: dict[str, Any], system: list[dict[str, Any]], blocks: list[tuple[Any, list[dict[str, Any]]]]
) -> int:
    """How many texts stand before the last cache marker."""
    heads = 1 if system else 0
    marked = [
        heads + place + 1
        for place, (_, parts) in enumerate(blocks)
        if any("cache_control" in p for p in parts)
    ]
    if marked:
        return marked[-1]
    if "cache_control" in document:
        return heads + len(blocks) - 1
    return 1 if any("cache_control" in part for part in system) else 0
