"""A decoded request, and what reading bodies has in common."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from crossfade.sim.endpoints.answer import Ask
from crossfade.sim.endpoints.generation import Generation, Piece


class BodyError(Exception):
    """The body is not a request of this dialect; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Call:
    """A decoded request: `params` are the keys it set, `options` what only its own dialect knows."""

    model: str | None
    stream: bool
    ask: Ask
    params: frozenset[str] = frozenset()
    options: dict[str, Any] = field(default_factory=dict)


class Encoder(Protocol):
    """The events of one streamed answer."""

    def begin(self) -> bytes:
        """What comes before the first piece."""

    def piece(self, piece: Piece) -> bytes:
        """One piece."""

    def end(self, generation: Generation) -> bytes:
        """What comes after the last piece."""


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object; raises `BodyError`."""
    try:
        document = json.loads(body)
    except ValueError:
        raise BodyError("We could not parse the JSON body of your request.") from None
    if not isinstance(document, dict):
        raise BodyError("The body of your request must be a JSON object.")
    return document


def read_list(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects below a key, empty when absent; raises `BodyError`."""
    found = document.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BodyError(f"Invalid type for '{key}': expected an array of objects.", key)
    return found


def read_limit(document: dict[str, Any], key: str) -> int | None:
    """A positive number of tokens, or none; raises `BodyError`."""
    limit = document.get(key)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BodyError(f"Invalid value for '{key}': must be a positive integer.", key)
    return limit


def encode_sse(document: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    head = b"" if event is None else f"event: {event}\n".encode()
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return head + b"data: " + data + b"\n\n"
