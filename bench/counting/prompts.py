"""Recorded prompts with what their providers counted, each as a caller would send it to us."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfade import _engine

# Where an input count leaves cached tokens out.
CACHE_APART = frozenset({"anthropic", "bedrock"})
# Tools that run at the provider and read what no request shows; text no request shows either.
OWN_TOOLS = ("googleSearch", "codeExecution", "urlContext", "fileSearch", "systemTool")
STORED = ("previous_response_id", "conversation")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request. `unseen`: why its text alone cannot tell its tokens, or nothing."""

    id: str
    provider: str
    model: str
    tokens: int
    size: dict[str, Any]
    unseen: str | None


def read_prompts(path: Path) -> Iterator[Prompt]:
    """Every recorded request with a JSON body whose provider counted its input."""
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        expect, body = record.get("expect") or {}, record.get("request_body")
        if isinstance(body, str):
            body = _document(body)
        if not isinstance(body, dict) or not expect.get("input_tokens"):
            continue
        tokens = expect["input_tokens"]
        if record["provider"] in CACHE_APART:
            tokens += (expect.get("cache_read") or 0) + (expect.get("cache_write") or 0)
        size = json.loads(_engine.prompt_size(json.dumps(_as_caller(body))))
        yield Prompt(
            record["id"], record["provider"], _model(record, body), tokens, size, _unseen(body, size)
        )


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def _model(record: dict[str, Any], body: dict[str, Any]) -> str:
    named = body.get("model")
    if isinstance(named, str) and named:
        return named
    found = re.search(r"/(?:models?|deployments)/([^/:?]+)", record["url_template"] or "")
    return found.group(1).replace("%3A", ":") if found else ""


def _as_caller(body: dict[str, Any]) -> dict[str, Any]:
    """The same prompt in the fields of a caller's dialect."""
    caller = {name: _with_pictures(value) for name, value in body.items()}
    for theirs, ours in (
        ("contents", "messages"),
        ("systemInstruction", "system"),
        ("message", "input"),
        ("inputText", "input"),
        ("inputs", "input"),
        ("chat_history", "messages"),
        ("preamble", "system"),
    ):
        if theirs in caller and ours not in caller:
            caller[ours] = caller.pop(theirs)
    declared = caller.get("tools") or (body.get("toolConfig") or {}).get("tools") or []
    tools = []
    for tool in declared if isinstance(declared, list) else []:
        own = tool.get("functionDeclarations") if isinstance(tool, dict) else None
        tools += own or [tool]
    caller["tools"] = tools
    extra = body.get("additionalModelRequestFields") or {}
    caller.setdefault("thinking", extra.get("thinking") or {})
    schema = (body.get("generationConfig") or {}).get("responseJsonSchema")
    schema = schema or (body.get("generationConfig") or {}).get("responseSchema")
    if schema:
        caller["response_format"] = {"json_schema": {"schema": schema}}
    return caller


def _with_pictures(value: Any) -> Any:
    """Google's and Amazon's pictures as a caller of ours would send them."""
    if isinstance(value, list):
        return [_with_pictures(item) for item in value]
    if not isinstance(value, dict):
        return value
    inline, image = value.get("inlineData") or value.get("inline_data"), value.get("image")
    if isinstance(inline, dict) and str(inline.get("mimeType") or inline.get("mime_type")).startswith(
        "image/"
    ):
        return {"type": "image", "source": {"data": inline.get("data")}}
    if isinstance(image, dict) and isinstance(image.get("source"), dict):
        return {"type": "image", "source": {"data": image["source"].get("bytes")}}
    return {name: _with_pictures(item) for name, item in value.items()}


def _unseen(body: dict[str, Any], size: dict[str, Any]) -> str | None:
    tools = body.get("tools") or []
    kinds = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    if any(tool.get("type") not in {None, "function", "custom"} for tool in kinds) or any(
        name in tool for tool in kinds for name in OWN_TOOLS
    ):
        return "a tool of the provider's own"
    if any(body.get(name) for name in STORED):
        return "a conversation stored at the provider"
    return "images or files" if size["media"] or size["images"]["count"] else None
