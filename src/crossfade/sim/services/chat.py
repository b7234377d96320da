"""The OpenAI chat body, spoken by the OpenAI-compatible service and by SageMaker containers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from crossfade.sim.endpoints.generation import Ask, Generation


class ChatBodyError(Exception):
    """The body is not a chat request; `param` names the field."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Chat:
    """A decoded chat request."""

    model: str | None
    stream: bool
    include_usage: bool
    ask: Ask


def decode_chat(body: bytes, request_id: str) -> Chat:
    """Read a chat body; raises `ChatBodyError`."""
    try:
        document = json.loads(body)
    except ValueError:
        raise ChatBodyError("We could not parse the JSON body of your request.", None) from None
    if not isinstance(document, dict):
        raise ChatBodyError("The body of your request must be a JSON object.", None)
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise ChatBodyError("Missing required parameter: 'messages'.", "messages")
    most = document.get("max_completion_tokens", document.get("max_tokens"))
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise ChatBodyError("Invalid value for 'max_tokens': must be a positive integer.", "max_tokens")
    stream = document.get("stream") is True
    options = document.get("stream_options") or {}
    if options and not stream:
        raise ChatBodyError("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    texts = [_text_of(message.get("content")) for message in messages]
    asked = [text for text, message in zip(texts, messages, strict=True) if message.get("role") == "user"]
    return Chat(
        model=document.get("model"),
        stream=stream,
        include_usage=bool(options.get("include_usage")),
        ask=Ask(
            request_id=request_id,
            kind="stream" if stream else "unary",
            texts=tuple(texts),
            source=asked[-1] if asked else texts[-1],
            max_tokens=most,
            schema=_schema_of(document.get("response_format")),
        ),
    )


def encode_completion(generation: Generation, chat_id: str, model: str, created: int) -> dict[str, Any]:
    """The whole answer."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": generation.text,
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(generation)}
    return {
        "id": chat_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage_of(generation),
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    }


class ChunkEncoder:
    """The server-sent events of one streamed answer."""

    def __init__(self, chat_id: str, model: str, created: int, *, include_usage: bool) -> None:
        self._head = {"id": chat_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._include_usage = include_usage

    def role(self) -> bytes:
        """The first chunk, before any content."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, None)

    def content(self, piece: str) -> bytes:
        """One piece of the answer."""
        return self._chunk({"content": piece}, None)

    def ending(self, generation: Generation) -> bytes:
        """The finish reason, the usage if asked for, and the end marker."""
        data = self._chunk({}, _finish(generation))
        if self._include_usage:
            data += encode_sse({**self._head, "choices": [], "usage": usage_of(generation)})
        return data + b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._include_usage else {}
        return encode_sse({**self._head, "choices": [choice], **usage})


def encode_sse(document: Any) -> bytes:
    """One data-only server-sent event."""
    return b"data: " + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def usage_of(generation: Generation) -> dict[str, Any]:
    """Tokens of the answer as it is now."""
    used_input, used_output = generation.ask.input_tokens, generation.produced_tokens
    return {
        "prompt_tokens": used_input,
        "completion_tokens": used_output,
        "total_tokens": used_input + used_output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _finish(generation: Generation) -> str:
    return "length" if generation.stop == "length" else "stop"


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return ""


def _schema_of(response_format: Any) -> dict[str, Any] | None:
    if not isinstance(response_format, dict) or response_format.get("type") in {None, "text"}:
        return None
    schema = (response_format.get("json_schema") or {}).get("schema")
    return schema if isinstance(schema, dict) else {"type": "object"}
