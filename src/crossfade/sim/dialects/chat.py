"""The OpenAI chat body, spoken by OpenAI, Azure and SageMaker containers."""

from __future__ import annotations

import time
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, encode_sse, read_limit, read_list, read_object
from crossfade.sim.endpoints.answer import Ask, Choice, PartKind, Stop, Tool
from crossfade.sim.endpoints.generation import Generation, Piece

FINISH = {
    Stop.END: "stop",
    Stop.SEQUENCE: "stop",
    Stop.LENGTH: "length",
    Stop.TOOLS: "tool_calls",
    Stop.FILTERED: "content_filter",
}


def decode_chat(body: bytes, request_id: str) -> Call:
    """Read a chat body; raises `BodyError`."""
    document = read_object(body)
    messages = read_list(document, "messages")
    if not messages:
        raise BodyError("Missing required parameter: 'messages'.", "messages")
    limit_key = "max_completion_tokens" if "max_completion_tokens" in document else "max_tokens"
    most = read_limit(document, limit_key)
    stream = document.get("stream") is True
    options = document.get("stream_options") or {}
    if options and not stream:
        raise BodyError("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    _check_results(messages)
    texts = [_text_of(message.get("content")) for message in messages]
    asked = [text for text, message in zip(texts, messages, strict=True) if message.get("role") == "user"]
    stop = document.get("stop") or []
    ask = Ask(
        request_id=request_id,
        kind="stream" if stream else "unary",
        texts=tuple(texts),
        source=asked[-1] if asked else texts[-1],
        max_tokens=most,
        schema=_schema_of(document.get("response_format")),
        tools=tuple(_tool(tool.get("function") or {}) for tool in read_list(document, "tools")),
        choice=read_choice(document),
        after_result=messages[-1].get("role") == "tool",
        thinks=document.get("reasoning_effort") not in {None, "none"},
        stop_sequences=(stop,) if isinstance(stop, str) else tuple(stop),
        cached_texts=len(texts) - 1,
        images=sum(_images_of(message.get("content")) for message in messages),
    )
    include = {"include_usage": bool(options.get("include_usage"))}
    return Call(document.get("model"), stream, ask, frozenset(document), include)


def read_choice(document: dict[str, Any]) -> Choice:
    """`tool_choice` of chat and responses bodies; raises `BodyError`."""
    wanted = document.get("tool_choice", "auto")
    parallel = document.get("parallel_tool_calls") is not False
    if wanted in ("none", "auto", "required"):
        return Choice("any" if wanted == "required" else wanted, None, parallel)
    if isinstance(wanted, dict) and wanted.get("type") == "function":
        return Choice("any", (wanted.get("function") or wanted).get("name"), parallel)
    raise BodyError("Invalid value for 'tool_choice'.", "tool_choice")


def encode_completion(generation: Generation, chat_id: str, model: str) -> dict[str, Any]:
    """The whole answer."""
    calls = [
        _call(f"call_{part.id}", part.name, part.text)
        for part in generation.answer.parts
        if part.kind is PartKind.CALL
    ]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls else ("" if generation.stop is Stop.FILTERED else generation.text),
        "refusal": None,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = calls
    finish = FINISH[generation.stop]
    return {
        "id": chat_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": usage_of(generation),
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    }


class ChunkEncoder:
    """The server-sent events of one streamed answer."""

    def __init__(self, chat_id: str, model: str, *, include_usage: bool) -> None:
        created = int(time.time())
        self._head = {"id": chat_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._include_usage = include_usage
        self._calls: dict[int, int] = {}

    def begin(self) -> bytes:
        """The first chunk, before any content."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, None)

    def piece(self, piece: Piece) -> bytes:
        """One piece of the answer; thoughts stay inside."""
        if piece.part.kind is PartKind.THOUGHT:
            return b""
        if piece.part.kind is PartKind.TEXT:
            return self._chunk({"content": piece.text}, None)
        index = self._calls.setdefault(piece.place, len(self._calls))
        call: dict[str, Any] = {"index": index, "function": {"arguments": piece.text}}
        if piece.first:
            opened = {"tool_calls": [{"index": index, **_call(f"call_{piece.part.id}", piece.part.name, "")}]}
            return self._chunk(opened, None) + self._chunk({"tool_calls": [call]}, None)
        return self._chunk({"tool_calls": [call]}, None)

    def end(self, generation: Generation) -> bytes:
        """The finish reason, the usage if asked for, and the end marker."""
        data = self._chunk({}, FINISH[generation.stop])
        if self._include_usage:
            data += encode_sse({**self._head, "choices": [], "usage": usage_of(generation)})
        return data + b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._include_usage else {}
        return encode_sse({**self._head, "choices": [choice], **usage})


def usage_of(generation: Generation) -> dict[str, Any]:
    """Tokens of the answer as it is now; cached and reasoning tokens lie within the sums."""
    used_input, used_output = generation.ask.input_tokens, generation.produced_tokens
    return {
        "prompt_tokens": used_input,
        "completion_tokens": used_output,
        "total_tokens": used_input + used_output,
        "prompt_tokens_details": {"cached_tokens": generation.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": generation.thought_tokens, "audio_tokens": 0},
    }


def _call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _tool(function: dict[str, Any]) -> Tool:
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise BodyError("Missing required parameter: 'tools[0].function.name'.", "tools")
    return Tool(name, function.get("description") or "", function.get("parameters") or {})


def _check_results(messages: list[dict[str, Any]]) -> None:
    """Every tool message answers a call that an assistant message before it made."""
    known: set[str] = set()
    for message in messages:
        known |= {call.get("id") for call in message.get("tool_calls") or []}
        if message.get("role") == "tool" and message.get("tool_call_id") not in known:
            raise BodyError(
                "Invalid parameter: messages with role 'tool' must be a response to a preceding message "
                "with 'tool_calls'.",
                "messages",
            )


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return ""


def _images_of(content: Any) -> int:
    parts = content if isinstance(content, list) else []
    return sum(1 for part in parts if isinstance(part, dict) and part.get("type") == "image_url")


def _schema_of(response_format: Any) -> dict[str, Any] | None:
    if not isinstance(response_format, dict) or response_format.get("type") in {None, "text"}:
        return None
    schema = (response_format.get("json_schema") or {}).get("schema")
    return schema if isinstance(schema, dict) else {"type": "object"}
