"""The OpenAI responses body. Stateless: the caller sends the whole conversation."""

from __future__ import annotations

import time
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, encode_sse, read_limit, read_list, read_object
from crossfade.sim.dialects.chat import read_choice
from crossfade.sim.endpoints.answer import Ask, Part, PartKind, Stop, Tool
from crossfade.sim.endpoints.generation import Generation, Piece

REASONS = {Stop.LENGTH: "max_output_tokens", Stop.FILTERED: "content_filter"}


def decode_response(body: bytes, request_id: str) -> Call:
    """Read a responses body; raises `BodyError`."""
    document = read_object(body)
    given = document.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else read_list(document, "input")
    if not items:
        raise BodyError("Missing required parameter: 'input'.", "input")
    if document.get("previous_response_id"):
        raise BodyError("Previous response not found: nothing is stored here.", "previous_response_id")
    _check_outputs(items)
    texts = [_text_of(item) for item in items]
    asked = [text for text, item in zip(texts, items, strict=True) if item.get("role") == "user"]
    system = [document["instructions"]] if isinstance(document.get("instructions"), str) else []
    stream = document.get("stream") is True
    tools = [tool for tool in read_list(document, "tools") if tool.get("type") == "function"]
    ask = Ask(
        request_id=request_id,
        kind="stream" if stream else "unary",
        texts=(*system, *texts),
        source=asked[-1] if asked else texts[-1],
        max_tokens=read_limit(document, "max_output_tokens"),
        schema=_schema_of(document.get("text") or {}),
        tools=tuple(
            Tool(str(tool.get("name")), tool.get("description") or "", tool.get("parameters") or {})
            for tool in tools
        ),
        choice=read_choice(document),
        after_result=items[-1].get("type") == "function_call_output",
        thinks=(document.get("reasoning") or {}).get("effort") not in {None, "none"},
        cached_texts=len(system) + len(texts) - 1,
        images=sum(_images_of(item.get("content")) for item in items),
    )
    return Call(document.get("model"), stream, ask, frozenset(document))


def encode_response(generation: Generation, request_id: str, model: str) -> dict[str, Any]:
    """The whole response."""
    items = [_item(part, request_id, place) for place, part in enumerate(generation.answer.parts)]
    if generation.stop is Stop.FILTERED:
        items = []
    return _response(generation, request_id, model, items)


class ResponseEncoder:
    """The named events of one streamed response."""

    def __init__(self, generation: Generation, request_id: str, model: str) -> None:
        self._generation = generation
        self._request_id = request_id
        self._model = model
        self._number = 0
        self._items: list[dict[str, Any]] = []
        self._text = ""

    def begin(self) -> bytes:
        """Created and in progress."""
        opened = {**_response(self._generation, self._request_id, self._model, []), "usage": None}
        opened |= {"status": "in_progress", "incomplete_details": None}
        return self._event("response.created", response=opened) + self._event(
            "response.in_progress", response=opened
        )

    def piece(self, piece: Piece) -> bytes:
        """One piece: its item opens with the first and closes with the last."""
        data = self._open(piece) if piece.first else b""
        self._text = piece.text if piece.first else self._text + piece.text
        data += self._delta(piece)
        return data + (self._close(piece) if piece.last else b"")

    def end(self, generation: Generation) -> bytes:
        """Completed or incomplete, with the whole response."""
        final = _response(generation, self._request_id, self._model, self._items)
        return self._event(f"response.{final['status']}", response=final)

    def _open(self, piece: Piece) -> bytes:
        item = _item(_replaced(piece.part, ""), self._request_id, piece.place)
        item |= {"status": "in_progress"} if "status" in item else {}
        item |= {"content": []} if item["type"] == "message" else {}
        item |= {"summary": []} if item["type"] == "reasoning" else {}
        data = self._event("response.output_item.added", output_index=piece.place, item=item)
        at = self._at(piece)
        if piece.part.kind is PartKind.TEXT:
            data += self._event("response.content_part.added", **at, content_index=0, part=_words(""))
        if piece.part.kind is PartKind.THOUGHT:
            summary = {"type": "summary_text", "text": ""}
            data += self._event("response.reasoning_summary_part.added", **at, summary_index=0, part=summary)
        return data

    def _delta(self, piece: Piece) -> bytes:
        at = self._at(piece)
        if piece.part.kind is PartKind.TEXT:
            return self._event(
                "response.output_text.delta", **at, content_index=0, delta=piece.text, logprobs=[]
            )
        if piece.part.kind is PartKind.CALL:
            return self._event("response.function_call_arguments.delta", **at, delta=piece.text)
        return self._event("response.reasoning_summary_text.delta", **at, summary_index=0, delta=piece.text)

    def _close(self, piece: Piece) -> bytes:
        at = self._at(piece)
        item = _item(_replaced(piece.part, self._text), self._request_id, piece.place)
        self._items.append(item)
        if piece.part.kind is PartKind.TEXT:
            data = self._event(
                "response.output_text.done", **at, content_index=0, text=self._text, logprobs=[]
            ) + self._event("response.content_part.done", **at, content_index=0, part=_words(self._text))
        elif piece.part.kind is PartKind.CALL:
            named = {"name": piece.part.name, "arguments": self._text}
            data = self._event("response.function_call_arguments.done", **at, **named)
        else:
            summary = {"type": "summary_text", "text": self._text}
            data = self._event(
                "response.reasoning_summary_text.done", **at, summary_index=0, text=self._text
            ) + self._event("response.reasoning_summary_part.done", **at, summary_index=0, part=summary)
        return data + self._event("response.output_item.done", output_index=piece.place, item=item)

    def _at(self, piece: Piece) -> dict[str, Any]:
        return {"item_id": _item_id(piece.part, self._request_id, piece.place), "output_index": piece.place}

    def _event(self, name: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return encode_sse({"type": name, "sequence_number": number, **fields}, name)


def usage_of(generation: Generation) -> dict[str, Any]:
    """Tokens; cached and reasoning tokens lie within the sums."""
    used_input, used_output = generation.ask.input_tokens, generation.produced_tokens
    return {
        "input_tokens": used_input,
        "input_tokens_details": {"cached_tokens": generation.cache_read, "cache_write_tokens": 0},
        "output_tokens": used_output,
        "output_tokens_details": {"reasoning_tokens": generation.thought_tokens},
        "total_tokens": used_input + used_output,
    }


def _response(
    generation: Generation, request_id: str, model: str, items: list[dict[str, Any]]
) -> dict[str, Any]:
    reason = REASONS.get(generation.stop)
    return {
        "id": f"resp_{request_id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": items,
        "parallel_tool_calls": generation.ask.choice.parallel,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage_of(generation),
        "service_tier": "default",
    }


def _item_id(part: Part, request_id: str, place: int) -> str:
    prefix = {PartKind.TEXT: "msg", PartKind.CALL: "fc", PartKind.THOUGHT: "rs"}[part.kind]
    return f"{prefix}_{request_id}{place}"


def _item(part: Part, request_id: str, place: int) -> dict[str, Any]:
    item_id = _item_id(part, request_id, place)
    if part.kind is PartKind.TEXT:
        content = [_words(part.text)]
        return {
            "id": item_id,
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": content,
        }
    if part.kind is PartKind.CALL:
        return {
            "id": item_id,
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{part.id}",
            "name": part.name,
            "arguments": part.text,
        }
    return {"id": item_id, "type": "reasoning", "summary": [{"type": "summary_text", "text": part.text}]}


def _words(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _replaced(part: Part, text: str) -> Part:
    return Part(part.kind, text, part.name, part.id)


def _check_outputs(items: list[dict[str, Any]]) -> None:
    """Every output answers a call that stands before it."""
    known: set[Any] = set()
    for item in items:
        if item.get("type") == "function_call":
            known.add(item.get("call_id"))
        if item.get("type") == "function_call_output" and item.get("call_id") not in known:
            raise BodyError(
                f"No tool call found for function call output with call_id {item.get('call_id')}."
            )


def _text_of(item: dict[str, Any]) -> str:
    if item.get("type") == "function_call":
        return f"{item.get('name')} {item.get('arguments')}"
    content = item.get("output") if item.get("type") == "function_call_output" else item.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(
        part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def _images_of(content: Any) -> int:
    parts = content if isinstance(content, list) else []
    return sum(1 for part in parts if isinstance(part, dict) and part.get("type") == "input_image")


def _schema_of(text: dict[str, Any]) -> dict[str, Any] | None:
    form = text.get("format") or {}
    if form.get("type") in {None, "text"}:
        return None
    schema = form.get("schema")
    return schema if isinstance(schema, dict) else {"type": "object"}
