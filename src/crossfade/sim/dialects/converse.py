"""Bedrock's converse body and the frames of its stream."""

from __future__ import annotations

import json
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, read_list, read_object
from crossfade.sim.draws import draw
from crossfade.sim.endpoints.answer import Ask, Choice, Part, PartKind, Stop, Tool, sign_thought
from crossfade.sim.endpoints.generation import Generation, Piece
from crossfade.sim.wire.eventstream import encode_json_event

STOP_REASONS = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.TOOLS: "tool_use",
    Stop.SEQUENCE: "stop_sequence",
    Stop.FILTERED: "content_filtered",
}
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def decode_converse(body: bytes, request_id: str, model: str, *, streamed: bool) -> Call:
    """Read a converse body; raises `BodyError`."""
    document = read_object(body)
    messages = read_list(document, "messages")
    roles = [message.get("role") for message in messages]
    contents = [_content(message.get("content")) for message in messages]
    if not messages or roles[0] != "user" or roles[-1] != "user":
        raise BodyError("A conversation must start and end with a user message.")
    if any(part.get("text", "x").strip() == "" for content in contents for part in content):
        raise BodyError("The text field in the ContentBlock object is blank.")
    _check_uses(contents, document)
    config = document.get("inferenceConfig") or {}
    most = config.get("maxTokens")
    if most is not None and (not isinstance(most, int) or most < 1):
        raise BodyError("inferenceConfig.maxTokens must be at least 1.")
    system = read_list(document, "system")
    heads = [part["text"] for part in system if "text" in part]
    texts = ["\n".join(map(_text_of, content)) for content in contents]
    asked = [
        text
        for text, role, content in zip(texts, roles, contents, strict=True)
        if role == "user" and any("text" in part for part in content)
    ]
    tools = document.get("toolConfig") or {}
    marked = [
        place for place, content in enumerate(contents) if any("cachePoint" in part for part in content)
    ]
    cached = len(heads) + marked[-1] + 1 if marked else 0
    if not marked and any("cachePoint" in part for part in system):
        cached = len(heads)
    fields = document.get("additionalModelRequestFields") or {}
    ask = Ask(
        request_id=request_id,
        kind="stream" if streamed else "unary",
        texts=(*heads, *texts),
        source=asked[-1] if asked else texts[-1],
        max_tokens=most,
        schema=_schema_of(document),
        tools=tuple(_tool(tool["toolSpec"]) for tool in tools.get("tools") or [] if "toolSpec" in tool),
        choice=_choice(tools.get("toolChoice") or {}),
        after_result=any("toolResult" in part for part in contents[-1]),
        thinks=(fields.get("thinking") or {}).get("type", "disabled") != "disabled",
        stop_sequences=tuple(config.get("stopSequences") or ()),
        cached_texts=cached,
        images=sum(1 for content in contents for part in content if "image" in part),
    )
    return Call(model, streamed, ask, frozenset(config) | frozenset(fields))


def encode_converse(generation: Generation) -> dict[str, Any]:
    """The whole answer."""
    parts = () if generation.stop is Stop.FILTERED else generation.answer.parts
    return {
        "output": {"message": {"role": "assistant", "content": [_block(part) for part in parts]}},
        "stopReason": STOP_REASONS[generation.stop],
        **accounting(generation),
    }


class ConverseEncoder:
    """The frames of one streamed answer; text blocks have no start event."""

    def __init__(self) -> None:
        self._begun = False
        self._text = ""

    def begin(self) -> bytes:
        """Nothing comes before the first content."""
        return b""

    def piece(self, piece: Piece) -> bytes:
        """One piece: a call's block opens with its first, each block closes with its last."""
        data = b"" if self._begun else self.frame("messageStart", {"role": "assistant"})
        self._begun = True
        if piece.first:
            self._text = ""
            if piece.part.kind is PartKind.CALL:
                use = {"toolUseId": f"tooluse_{piece.part.id}", "name": piece.part.name}
                start = {"contentBlockIndex": piece.place, "start": {"toolUse": use}}
                data += self.frame("contentBlockStart", start)
        self._text += piece.text
        data += self.frame("contentBlockDelta", delta_of(piece.place, _delta(piece.part.kind, piece.text)))
        if piece.last:
            if piece.part.kind is PartKind.THOUGHT:
                signature = {"reasoningContent": {"signature": sign_thought(self._text)}}
                data += self.frame("contentBlockDelta", delta_of(piece.place, signature))
            data += self.frame("contentBlockStop", {"contentBlockIndex": piece.place})
        return data

    def end(self, generation: Generation) -> bytes:
        """The stop, then the usage."""
        return self.stop_frame(generation) + self.frame("metadata", accounting(generation))

    def stop_frame(self, generation: Generation) -> bytes:
        """Why the answer ends."""
        opened = b"" if self._begun else self.frame("messageStart", {"role": "assistant"})
        return opened + self.frame("messageStop", {"stopReason": STOP_REASONS[generation.stop]})

    def frame(self, name: str, payload: dict[str, Any]) -> bytes:
        """One event on the wire."""
        return encode_json_event(name, payload)


def delta_of(place: int, delta: dict[str, Any]) -> dict[str, Any]:
    """The payload of a delta; its padding hides lengths on the wire."""
    padding = ALPHABET[: int(draw("padding", json.dumps(delta)) * 26) + 1]
    return {"contentBlockIndex": place, "delta": delta, "p": padding}


def accounting(generation: Generation) -> dict[str, Any]:
    """Usage and timing; what the cache read or wrote lies outside `inputTokens`."""
    read, written = generation.cache_read, generation.cache_write
    used_input, used_output = generation.ask.input_tokens - read - written, generation.produced_tokens
    return {
        "usage": {
            "inputTokens": used_input,
            "outputTokens": used_output,
            "totalTokens": used_input + used_output + read + written,
            "cacheReadInputTokens": read,
            "cacheWriteInputTokens": written,
        },
        "metrics": {"latencyMs": generation.elapsed_ms()},
        "serviceTier": {"type": "default"},
    }


def _content(content: Any) -> list[dict[str, Any]]:
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BodyError("The request body is malformed: messages.")
    return content


def _check_uses(contents: list[list[dict[str, Any]]], document: dict[str, Any]) -> None:
    called: set[Any] = set()
    uses = any("toolUse" in part or "toolResult" in part for content in contents for part in content)
    if uses and not (document.get("toolConfig") or {}).get("tools"):
        raise BodyError(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
    for content in contents:
        for part in content:
            if "toolResult" in part and part["toolResult"].get("toolUseId") not in called:
                raise BodyError(
                    "The number of toolResult blocks exceeds the number of toolUse blocks of previous turn."
                )
        called = {part["toolUse"].get("toolUseId") for part in content if "toolUse" in part}


def _block(part: Part) -> dict[str, Any]:
    if part.kind is PartKind.TEXT:
        return {"text": part.text}
    if part.kind is PartKind.CALL:
        use = {"toolUseId": f"tooluse_{part.id}", "name": part.name, "input": json.loads(part.text)}
        return {"toolUse": use}
    return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": sign_thought(part.text)}}}


def _delta(kind: PartKind, text: str) -> dict[str, Any]:
    if kind is PartKind.TEXT:
        return {"text": text}
    return {"toolUse": {"input": text}} if kind is PartKind.CALL else {"reasoningContent": {"text": text}}


def _text_of(part: dict[str, Any]) -> str:
    if isinstance(part.get("text"), str):
        return str(part["text"])
    for key in ("toolUse", "toolResult", "reasoningContent"):
        if key in part:
            return json.dumps(part[key])
    return ""


def _tool(spec: dict[str, Any]) -> Tool:
    return Tool(
        str(spec.get("name")),
        spec.get("description") or "",
        (spec.get("inputSchema") or {}).get("json") or {},
    )


def _choice(wanted: dict[str, Any]) -> Choice:
    if "tool" in wanted:
        return Choice("any", wanted["tool"].get("name"))
    return Choice("any" if "any" in wanted else "auto")


def _schema_of(document: dict[str, Any]) -> dict[str, Any] | None:
    form = (document.get("outputConfig") or {}).get("textFormat") or {}
    if form.get("type") != "json_schema":
        return None
    try:
        schema = json.loads(form["structure"]["jsonSchema"]["schema"])
    except (KeyError, ValueError, TypeError):
        raise BodyError("outputConfig.textFormat holds no JSON schema.") from None
    return schema if isinstance(schema, dict) else {"type": "object"}
