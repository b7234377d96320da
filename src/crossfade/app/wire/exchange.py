"""A recorded exchange: how to read a line of the file, and which codec its answer needs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# operation -> (dialect, framing of its stream); None: an operation that answers no chat
OPERATIONS: dict[str, tuple[str, str]] = {
    "chat/completions": ("openai_chat", "sse"),
    "models/chat/completions": ("openai_chat", "sse"),
    "responses": ("openai_responses", "sse"),
    "messages": ("anthropic_messages", "sse"),
    "rawpredict": ("anthropic_messages", "sse"),
    "streamrawpredict": ("anthropic_messages", "sse"),
    "generatecontent": ("gemini", "sse"),
    "streamgeneratecontent": ("gemini", "sse"),
    "converse": ("bedrock_converse", "aws-events"),
    "converse-stream": ("bedrock_converse", "aws-events"),
    "invoke": ("bedrock_invoke", "aws-chunks"),
    "invoke-with-response-stream": ("bedrock_invoke", "aws-chunks"),
    "chat": ("cohere_chat", "sse"),
    "invocations": ("tgi", "aws-bytes"),
    "invocations-response-stream": ("tgi", "aws-bytes"),
}
KINDS: dict[str, str] = {
    "anthropic": "anthropic",
    "azure": "azure-openai",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "gemini": "gemini",
    "openai": "openai",
    "sagemaker": "sagemaker",
    "vertex": "vertex",
}


class ExchangeError(ValueError):
    """A line that is not a recorded exchange; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its answer. `body` are the answer's bytes; `expect` what a reader must find."""

    id: str
    kind: str
    provider: str
    operation: str
    url: str
    status: int
    headers: dict[str, str]
    body: bytes
    stream: bool
    expect: dict[str, Any] | None

    @property
    def provider_kind(self) -> str:
        """The provider kind that reads this provider's errors."""
        return KINDS.get(self.provider, "openai-compatible")

    @property
    def codec(self) -> tuple[str, str] | None:
        """(dialect, framing), or None for an operation that answers no chat."""
        if "/openai/chat/completions" in self.url or self.url.endswith("/chat/completions"):
            return "openai_chat", "sse" if self.stream else "whole"
        found = OPERATIONS.get(self.operation.lower())
        if found is None:
            return None
        dialect, framing = found
        return dialect, framing if self.stream else "whole"


def read_exchanges(path: Path) -> Iterator[Exchange]:
    """Every exchange of a JSON-lines file.

    Raises:
        ExchangeError: a line is not JSON or lacks a field.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _exchange(line, f"{path}:{number}")


def _exchange(line: str, place: str) -> Exchange:
    try:
        record = json.loads(line)
        encoded = record.get("response_body_b64")
        plain = record.get("response_body")
        body = base64.b64decode(encoded) if encoded is not None else _text(plain)
        return Exchange(
            id=record["id"],
            kind=record["kind"],
            provider=record["provider"],
            operation=record["operation"],
            url=re.sub(r"\?.*", "", record.get("url_template") or ""),
            status=int(record["status"]),
            headers={str(k).lower(): str(v) for k, v in dict(record.get("response_headers") or {}).items()},
            body=body,
            stream=bool(record.get("stream")),
            expect=record.get("expect"),
        )
    except json.JSONDecodeError as error:
        raise ExchangeError(f"{place}:{error.colno}: not JSON: {error.msg}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExchangeError(
            f"{place}: not a recorded exchange: {error!r} (hint: see the file's README)"
        ) from error


def _text(plain: Any) -> bytes:
    if plain is None:
        return b""
    return (plain if isinstance(plain, str) else json.dumps(plain)).encode()
