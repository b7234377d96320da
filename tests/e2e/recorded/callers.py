"""The official SDKs as callers: what each of them makes of an answer, in one form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

ASK = "Say something."
LIMIT = 1024
TOOLS: tuple[str, ...] = ()


@dataclass
class Seen:
    """What a caller saw. `calls`: (name, arguments) pairs; `status` 0: no HTTP error."""

    text: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    stop: str | None = None
    reasoning: bool = False
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None
    status: int = 0


class Callers:
    """One client of each SDK for one gateway."""

    def __init__(self, port: int) -> None:
        local = f"http://127.0.0.1:{port}"
        self.openai = openai.OpenAI(base_url=f"{local}/v1", api_key="unused", max_retries=0, timeout=30)
        self.anthropic = anthropic.Anthropic(base_url=local, api_key="unused", max_retries=0, timeout=30)

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()

    def ask(self, form: str, feature: str) -> Seen:
        """One call in one of `FORMS`; an error is part of what was seen."""
        seen = Seen()
        try:
            FORMS[form](self, feature, seen)
        except (openai.APIError, anthropic.APIError) as error:
            seen.error = _kind(error)
            seen.status = getattr(error, "status_code", None) or 0
        except (AttributeError, TypeError, IndexError) as error:
            seen.error = f"an application would have failed: {error!r}"
        return seen

    def _chat(self, feature: str, seen: Seen) -> None:
        answer = self.openai.chat.completions.create(model=feature, messages=MESSAGES)
        choice = answer.choices[0]
        seen.text, seen.refusal = choice.message.content or "", choice.message.refusal or ""
        seen.reasoning = bool(_extra(choice.message, "reasoning_content", "reasoning"))
        for call in choice.message.tool_calls or []:
            _add(seen, call)
        seen.stop = choice.finish_reason
        _chat_usage(answer.usage, seen)

    def _chat_stream(self, feature: str, seen: Seen) -> None:
        options = {"include_usage": True}
        calls: dict[int, list[str]] = {}
        with self.openai.chat.completions.create(
            model=feature, messages=MESSAGES, stream=True, stream_options=options
        ) as stream:
            for chunk in stream:
                _chat_usage(chunk.usage, seen)
                for choice in [one for one in chunk.choices or [] if one.index == 0]:
                    delta = choice.delta
                    seen.stop = choice.finish_reason or seen.stop
                    if delta is None:
                        continue
                    seen.text += delta.content or ""
                    seen.refusal += delta.refusal or ""
                    seen.reasoning |= bool(_extra(delta, "reasoning_content", "reasoning"))
                    for call in delta.tool_calls or []:
                        held = calls.setdefault(call.index, ["", ""])
                        if call.function:
                            held[0] = held[0] or call.function.name or ""
                            held[1] += call.function.arguments or ""
        seen.calls = [(name, _parsed(arguments)) for _, (name, arguments) in sorted(calls.items())]

    def _responses(self, feature: str, seen: Seen) -> None:
        answer = self.openai.responses.create(model=feature, input=ASK)
        _response(answer, seen)

    def _responses_stream(self, feature: str, seen: Seen) -> None:
        said, final = "", None
        with self.openai.responses.create(model=feature, input=ASK, stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    said += event.delta
                elif event.type in {"response.completed", "response.incomplete", "response.failed"}:
                    final = event.response
                elif event.type == "error":
                    seen.error = event.code or "error"
        if final is not None:
            _response(final, seen)
            if said != seen.text:
                seen.text = f"the deltas say {said!r}, the response {seen.text!r}"
        elif seen.error is None:
            seen.error = "the stream ended without its last event"

    def _messages(self, feature: str, seen: Seen) -> None:
        _message(self.anthropic.messages.create(model=feature, messages=MESSAGES, max_tokens=LIMIT), seen)

    def _messages_stream(self, feature: str, seen: Seen) -> None:
        with self.anthropic.messages.stream(model=feature, messages=MESSAGES, max_tokens=LIMIT) as stream:
            for _ in stream:
                pass
            _message(stream.get_final_message(), seen)
            if seen.stop is None:
                seen.error = "the stream ended without its last event"


MESSAGES: Any = [{"role": "user", "content": ASK}]
FORMS: dict[str, Callable[[Callers, str, Seen], None]] = {
    "chat": Callers._chat,
    "chat-stream": Callers._chat_stream,
    "responses": Callers._responses,
    "responses-stream": Callers._responses_stream,
    "messages": Callers._messages,
    "messages-stream": Callers._messages_stream,
}


def _add(seen: Seen, call: Any) -> None:
    if call.type == "custom":
        seen.calls.append((call.custom.name, _parsed(call.custom.input)))
    else:
        seen.calls.append((call.function.name, _parsed(call.function.arguments)))


def _extra(holder: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(holder, name, None))), None)


def _parsed(arguments: str | None) -> Any:
    try:
        return json.loads(arguments or "")
    except json.JSONDecodeError:
        return arguments


def _chat_usage(usage: Any, seen: Seen) -> None:
    if usage is not None:
        seen.input_tokens, seen.output_tokens = usage.prompt_tokens, usage.completion_tokens
        details = usage.prompt_tokens_details
        seen.cached_tokens = (details.cached_tokens if details else None) or 0


def _response(answer: Any, seen: Seen) -> None:
    if answer.error is not None:
        seen.error = answer.error.code
    for item in answer.output or []:
        if item.type == "message":
            seen.text += "".join(part.text for part in item.content if part.type == "output_text")
            seen.refusal += "".join(part.refusal for part in item.content if part.type == "refusal")
        elif item.type == "function_call":
            seen.calls.append((item.name, _parsed(item.arguments)))
        elif item.type == "custom_tool_call":
            seen.calls.append((item.name, _parsed(item.input)))
        elif item.type == "reasoning":
            seen.reasoning = True
    why = answer.incomplete_details if answer.status == "incomplete" else None
    seen.stop = answer.status if why is None else f"incomplete: {why.reason}"
    _response_usage(answer, seen)


def _response_usage(answer: Any, seen: Seen) -> None:
    if answer.usage is not None:
        seen.input_tokens, seen.output_tokens = answer.usage.input_tokens, answer.usage.output_tokens
        details = answer.usage.input_tokens_details
        seen.cached_tokens = (details.cached_tokens if details else None) or 0


def _message(answer: Any, seen: Seen) -> None:
    for block in answer.content:
        if block.type == "text":
            seen.text += block.text
        elif block.type == "tool_use":
            seen.calls.append((block.name, block.input))
        elif block.type in {"thinking", "redacted_thinking"}:
            seen.reasoning = True
    seen.stop = answer.stop_reason
    usage = answer.usage
    if usage is not None:
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        seen.input_tokens = (usage.input_tokens or 0) + read + written
        seen.cached_tokens, seen.output_tokens = read, usage.output_tokens


def _kind(error: Any) -> str:
    """The error's kind as the gateway names it."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error") if isinstance(body.get("error"), dict) else body
    code = inner.get("code") or getattr(error, "code", None)
    return str(code or f"no kind in {error!r}")
