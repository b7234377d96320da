"""What a caller must see of a recorded answer, by what its recorder found in it.

The tables are written from the providers' references, not from the engine's own, so that both can
be wrong only in the same way if two readings of a reference were.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from callers import Seen

from crossfade.app.wire.check import ERROR_CLASSES, EXCLUDES_CACHED, EXCLUDES_THINKING, thought_outside
from crossfade.app.wire.exchange import Exchange

# A provider's word -> what it means.
MEANINGS: dict[str, str] = {
    **dict.fromkeys(("stop", "end_turn", "STOP", "COMPLETE", "completed", "eos_token", "FINISH"), "end"),
    **dict.fromkeys(("stop_sequence", "STOP_SEQUENCE"), "sequence"),
    **dict.fromkeys(("tool_calls", "tool_use", "TOOL_CALL", "function_call"), "calls"),
    **dict.fromkeys(("length", "max_tokens", "MAX_TOKENS", "incomplete"), "length"),
    **dict.fromkeys(
        ("content_filter", "guardrail_intervened", "SAFETY", "MODEL_ARMOR", "BLOCKED:MODEL_ARMOR"), "filter"
    ),
    "UNEXPECTED_TOOL_CALL": "end",
    "queued": "waiting",
    "in_progress": "waiting",
}
# What it means -> the word in each caller's dialect.
WORDS: dict[str, dict[str, set[str]]] = {
    "chat": {
        "end": {"stop"},
        "sequence": {"stop"},
        "calls": {"tool_calls", "function_call"},
        "length": {"length"},
        "filter": {"content_filter"},
    },
    "responses": {
        "end": {"completed"},
        "sequence": {"completed"},
        "calls": {"completed"},
        "length": {"incomplete: max_output_tokens"},
        "filter": {"incomplete: content_filter"},
    },
    "messages": {
        "end": {"end_turn"},
        "sequence": {"stop_sequence"},
        "calls": {"tool_use"},
        "length": {"max_tokens"},
        "filter": {"refusal"},
    },
}
# Our kind -> the statuses a caller may see; 401 and 403 are about the caller's own key, never ours.
STATUSES: dict[str, set[int]] = {
    "rate_limited": {429},
    "provisioned_full": {429},
    "quota_exhausted": {429},
    "capacity": {503, 529},
    "capacity_warming": {503, 529},
    "timeout": {504},
    "invalid_request": {400},
    "context_length": {400},
    "content_filtered": {400},
    "conflict": {409},
}


# The recorder lists a tool that the provider runs itself among the caller's calls.
ARGUED = frozenset({"bedrock-converse-stream-42fab36e97d6"})


def misses(exchange: Exchange, form: str, seen: Seen) -> list[str]:
    """What the caller saw wrongly, one line each; empty if all is right."""
    if exchange.kind == "error":
        return list(_refusal(exchange, seen))
    return list(_answer(exchange, form, seen))


def _refusal(exchange: Exchange, seen: Seen) -> Iterator[str]:
    wanted = (exchange.expect or {}).get("error_class")
    if seen.error is None:
        yield f"no error was seen, but {seen!r}"
        return
    if wanted is not None and seen.error not in ERROR_CLASSES.get(wanted, frozenset({wanted})):
        yield f"error: expected {wanted}, seen {seen.error}"
    if seen.status not in STATUSES.get(seen.error, {502}):
        yield f"status: {seen.error} came as {seen.status}"


def _answer(exchange: Exchange, form: str, seen: Seen) -> Iterator[str]:
    expect = exchange.expect or {}
    if expect.get("midstream_error"):
        if seen.error is None:
            yield "the error inside the stream did not reach the caller"
        return
    if seen.error is not None:
        yield f"an error was seen: {seen.error} ({seen.status})"
        return
    if "text" in expect and seen.text != expect["text"]:
        yield f"text: expected {_short(expect['text'])}, seen {_short(seen.text)}"
    if "tool_calls" in expect:
        wanted = [_call(call, form) for call in expect["tool_calls"]]
        if wanted != seen.calls:
            yield f"calls: expected {_short(wanted)}, seen {_short(seen.calls)}"
    if expect.get("stop") is not None:
        yield from _stop(exchange, form, seen)
    yield from _usage(exchange, seen)


def _call(call: list[Any], form: str) -> tuple[str, Any]:
    name, arguments = call
    # Blocks of this dialect hold an object; what is none has no form.
    if form.startswith("messages") and not isinstance(arguments, dict):
        arguments = {}
    return name, arguments


def _stop(exchange: Exchange, form: str, seen: Seen) -> Iterator[str]:
    expect = exchange.expect or {}
    meaning = MEANINGS.get(expect["stop"], "end")
    if meaning == "end" and expect.get("tool_calls"):
        meaning = "calls"
    wanted = WORDS[form.removesuffix("-stream")].get(meaning)
    if wanted is not None and seen.stop not in wanted:
        yield f"stop: {expect['stop']} came as {seen.stop}"


def _usage(exchange: Exchange, seen: Seen) -> Iterator[str]:
    expect = exchange.expect or {}
    dialect = (exchange.codec or ("", ""))[0]
    if expect.get("input_tokens") is not None:
        wanted = expect["input_tokens"] + _tool_prompt(exchange.body)
        if dialect in EXCLUDES_CACHED:
            wanted += (expect.get("cache_read") or 0) + (expect.get("cache_write") or 0)
        if seen.input_tokens != wanted:
            yield f"input tokens: expected {wanted}, seen {seen.input_tokens}"
    if expect.get("cache_read") is not None and seen.cached_tokens != expect["cache_read"]:
        yield f"cached tokens: expected {expect['cache_read']}, seen {seen.cached_tokens}"
    if expect.get("output_tokens") is not None:
        thinking = expect.get("thought_tokens") or 0 if dialect in EXCLUDES_THINKING else 0
        wanted = expect["output_tokens"] + thinking
        outside = thought_outside(exchange.body) if dialect == "openai_chat" else 0
        right = {wanted, wanted + outside, expect["output_tokens"] if _inside(exchange.body) else wanted}
        if seen.output_tokens not in right:
            yield f"output tokens: expected {wanted}, seen {seen.output_tokens}"


def _metadata(body: bytes) -> dict[str, Any]:
    """The last `usageMetadata` of a Google answer; empty elsewhere."""
    at = body.rfind(b'"usageMetadata"')
    if at < 0:
        return {}
    text = body[at:].decode(errors="replace").split(":", 1)[1].lstrip()
    found, _ = json.JSONDecoder().raw_decode(text)
    return found if isinstance(found, dict) else {}


def _tool_prompt(body: bytes) -> int:
    """Tokens a provider's own tools read: part of the input that is billed."""
    return int(_metadata(body).get("toolUsePromptTokenCount", 0))


def _inside(body: bytes) -> bool:
    """Whether this answer counts thinking inside its candidates, as its own total tells."""
    found = _metadata(body)
    parts = ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount")
    return found.get("totalTokenCount") == sum(int(found.get(name, 0)) for name in parts)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:100]} … {text[-50:]}"
