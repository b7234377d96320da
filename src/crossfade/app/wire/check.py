"""Compares what the engine reads in a recorded exchange with what a correct reader must find."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from crossfade import _engine
from crossfade.app.wire.exchange import Exchange

# Pieces in which every answer is fed once more: an odd size, so that borders fall everywhere.
CUT_BYTES = 7

# The recorded vocabulary has fewer words than ours: what each of them may be called here.
ERROR_CLASSES: dict[str, frozenset[str]] = {
    "authentication": frozenset({"auth"}),
    "permission": frozenset({"auth"}),
    "permission_denied": frozenset({"auth"}),
    "model_not_found": frozenset({"not_found", "config"}),
    "not_found": frozenset({"not_found", "config"}),
    "invalid_request": frozenset({"invalid_request"}),
    "context_length_exceeded": frozenset({"context_length"}),
    "content_filter": frozenset({"content_filtered"}),
    "rate_limited": frozenset({"rate_limited", "provisioned_full", "capacity"}),
    "rate_limit": frozenset({"rate_limited", "provisioned_full", "capacity"}),
    "quota_exceeded": frozenset({"quota_exhausted"}),
    "insufficient_quota": frozenset({"quota_exhausted"}),
    "billing": frozenset({"quota_exhausted"}),
    "overloaded": frozenset({"capacity", "capacity_warming"}),
    "unavailable": frozenset({"capacity", "capacity_warming"}),
    "service_unavailable": frozenset({"capacity", "capacity_warming"}),
    "server_error": frozenset({"server_error", "capacity"}),
    "timeout": frozenset({"timeout"}),
    "conflict": frozenset({"conflict"}),
    "request_too_large": frozenset({"invalid_request", "context_length"}),
}
# Dialects whose own input count leaves cached tokens out.
EXCLUDES_CACHED = frozenset({"anthropic_messages", "bedrock_converse", "bedrock_invoke"})
# Dialects whose own output count leaves thinking out.
EXCLUDES_THINKING = frozenset({"gemini"})
# Dialects whose streams end with a marker; elsewhere one may follow the end, and is not read.
ENDS_WITH_MARK = frozenset({"openai_chat"})
# Where an answer says what the provider's own tools read.
TOOL_PROMPT = "toolUsePromptTokenCount"
# An answer without words ends with one of these here: for the caller it is no answer.
SILENT = frozenset({"empty_response", "malformed_output"})


def problems(exchange: Exchange) -> list[str]:
    """What was read wrongly, one line each; empty if all is right."""
    if exchange.kind == "error":
        return list(_refusal(exchange, exchange.expect or {}))
    if exchange.codec is None:
        return []  # no codec has anything to say about embeddings or token counts
    dialect, framing = exchange.codec
    whole = _engine.decode_answer(dialect, framing, exchange.body)
    found = [] if exchange.expect is None else list(_answer(exchange, dialect, json.loads(whole)))
    if _engine.decode_answer(dialect, framing, exchange.body, CUT_BYTES) != whole:
        found.append(f"pieces of {CUT_BYTES} bytes read differently from the whole")
    return found


def _refusal(exchange: Exchange, expect: dict[str, Any]) -> Iterator[str]:
    headers = json.dumps(list(exchange.headers.items()))
    seen = json.loads(
        _engine.classify(exchange.provider_kind, "on-demand", exchange.status, headers, exchange.body)
    )
    wanted = expect.get("error_class")
    if wanted is not None and seen["kind"] not in ERROR_CLASSES.get(wanted, frozenset({wanted})):
        yield _differs("error_class", wanted, seen["kind"])
    retryable = expect.get("retryable_same_endpoint")
    if retryable is not None and seen["retry_here"] != retryable:
        yield _differs("retryable_same_endpoint", retryable, seen["retry_here"])


def _answer(exchange: Exchange, dialect: str, seen: dict[str, Any]) -> Iterator[str]:
    expect = exchange.expect or {}
    values = _seen_values(dialect, seen, exchange)
    if values["events"] is not None:
        values["events"] += _marker(dialect, exchange.body, seen)
    for name, value in values.items():
        wanted = expect.get(name)
        if wanted is not None and not _equal(name, wanted, value):
            yield _differs(name, wanted, value)
    yield from _ending(expect, seen)


def _seen_values(dialect: str, seen: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    """What was read, in the words of `expect`."""
    usage = seen["usage"] or {}
    kinds = {extra.get("type") for extra in seen["extras"]}
    counts = [
        extra["toolUsePromptTokenCount"] for extra in seen["extras"] if "toolUsePromptTokenCount" in extra
    ]
    values: dict[str, Any] = {
        "text": seen["text"],
        "tool_calls": [[call["name"], _arguments(call["arguments"])] for call in seen["tool_calls"]],
        "stop": (seen["stop"] or {}).get("raw"),
        "reasoning": bool(seen["reasoning"]) or seen["hidden_reasoning"] or "reasoning" in kinds,
        "cache_read": usage.get("cache_read"),
        "cache_write": usage.get("cache_write"),
        "input_tokens": None,
        "output_tokens": None,
        "events": seen["frames"] or None,
        "thought_tokens": usage.get("reasoning"),
    }
    if usage:
        cached = 0 if dialect in EXCLUDES_CACHED else usage["cache_read"] + usage["cache_write"]
        thinking = usage["reasoning"] if dialect in EXCLUDES_THINKING else 0
        # The recorder counts the prompt alone, without what the provider's own tools read.
        values["input_tokens"] = usage["input_uncached"] + cached - (counts[-1] if counts else 0)
        values["output_tokens"] = usage["output"] - thinking
        if dialect == "openai_chat":
            values["output_tokens"] -= thought_outside(exchange.body)
    return values


def thought_outside(body: bytes) -> int:
    """Tokens that a chat answer counts only in its total: thinking, as Google's own server has it."""
    found = [re.findall(rb'"%s": ?(\d+)' % name, body) for name in (b"prompt_tokens", b"completion_tokens")]
    total = re.findall(rb'"total_tokens": ?(\d+)', body)
    if not (total and all(found)):
        return 0
    return max(0, int(total[-1]) - sum(int(counts[-1]) for counts in found))


def _marker(dialect: str, body: bytes, seen: dict[str, Any]) -> int:
    """The recorder counts an end marker only where the dialect has none of its own."""
    if not body.rstrip().endswith(b"[DONE]") or seen["error"] is not None:
        return 0
    return -1 if dialect in ENDS_WITH_MARK else 1


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _equal(name: str, wanted: Any, value: Any) -> bool:
    if name == "stop" and isinstance(wanted, str):
        return bool(value == wanted.removeprefix("BLOCKED:"))  # the recorder's mark on a refused prompt
    if name == "reasoning":
        return bool(value) or not wanted
    return bool(wanted == value)


def _ending(expect: dict[str, Any], seen: dict[str, Any]) -> Iterator[str]:
    error = seen["error"]
    if expect.get("midstream_error"):
        if error is None:
            yield "the error inside the stream was not seen"
        return
    said_so = seen["stop"] is not None and seen["stop"]["reason"] == "Malformed"
    silent = expect.get("empty") and error is not None and error["kind"] in {*SILENT, "stream_interrupted"}
    if error is not None and not silent and not (said_so and error["kind"] == "malformed_output"):
        yield f"read as an error: {error['kind']}: {error['detail']}"


def _differs(name: str, wanted: Any, seen: Any) -> str:
    return f"{name}: expected {_short(wanted)}, read {_short(seen)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:100]} … {text[-50:]}"
