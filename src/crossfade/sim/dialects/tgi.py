"""Text Generation Inference, and the containers (LMI, JumpStart's) that copy its body: text in, text out."""

from __future__ import annotations

import json
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, encode_sse, read_limit, read_object
from crossfade.sim.dialects.prompts import last_words
from crossfade.sim.endpoints.answer import Ask, PartKind, Stop
from crossfade.sim.endpoints.generation import Generation, Piece

FINISH = {
    Stop.END: "eos_token",
    Stop.SEQUENCE: "stop_sequence",
    Stop.LENGTH: "length",
    Stop.FILTERED: "eos_token",
    Stop.TOOLS: "eos_token",
}


def decode_tgi(body: bytes, request_id: str) -> Call:
    """Read a body; raises `BodyError` for what the container's own validation refuses."""
    document = read_object(body)
    prompt = document.get("inputs")
    if not isinstance(prompt, str) or not prompt:
        raise BodyError("Input validation error: `inputs` cannot be empty")
    parameters = document.get("parameters") or {}
    temperature, top_p = parameters.get("temperature"), parameters.get("top_p")
    if temperature is not None and temperature <= 0:
        raise BodyError("Input validation error: `temperature` must be strictly positive")
    if top_p is not None and not 0 < top_p < 1:
        raise BodyError("Input validation error: `top_p` must be > 0.0 and < 1.0")
    stream = document.get("stream") is True
    ask = Ask(
        request_id=request_id,
        kind="stream" if stream else "unary",
        texts=(prompt,),
        source=last_words(prompt),
        max_tokens=read_limit(parameters, "max_new_tokens"),
        schema=_schema_of(parameters.get("grammar")),
        stop_sequences=tuple(parameters.get("stop") or ()),
    )
    return Call(None, stream, ask, frozenset(parameters), {"details": parameters.get("details") is True})


def encode_tgi(generation: Generation, *, details: bool) -> list[dict[str, Any]]:
    """The whole answer, in a list as the older route has it."""
    return [{"generated_text": _text(generation), **({"details": _details(generation)} if details else {})}]


def encode_lmi(generation: Generation, *, details: bool) -> dict[str, Any]:
    """The whole answer of an LMI container."""
    return encode_tgi(generation, details=details)[0]


class TokenEncoder:
    """The events of one streamed answer: server-sent, or a JSON line each."""

    def __init__(self, *, lines: bool = False) -> None:
        self._lines = lines
        self._count = 0

    def begin(self) -> bytes:
        """Nothing comes before the first token."""
        return b""

    def piece(self, piece: Piece) -> bytes:
        """One token of text; nothing else has a form here."""
        return b"" if piece.part.kind is not PartKind.TEXT else self._token(piece.text, special=False)

    def end(self, generation: Generation) -> bytes:
        """The last token, with the whole text and its counts."""
        details = {**_details(generation), "input_length": generation.ask.input_tokens}
        special = generation.stop is Stop.END
        word = "</s>" if special else ""
        return self._token(word, special=special, generated_text=_text(generation), details=details)

    def _token(self, text: str, *, special: bool, **last: Any) -> bytes:
        self._count += 1
        token = {"id": self._count, "text": text, "logprob": -0.1, "special": special}
        ending = last or {"generated_text": None, "details": None}
        event = {"index": self._count, "token": token, **ending}
        if self._lines:
            return json.dumps(event, ensure_ascii=False).encode() + b"\n"
        return encode_sse(event)


def _text(generation: Generation) -> str:
    return "" if generation.stop is Stop.FILTERED else generation.text


def _details(generation: Generation) -> dict[str, Any]:
    counted = {"generated_tokens": generation.produced_tokens, "seed": None}
    return {"finish_reason": FINISH[generation.stop], **counted, "prefill": [], "tokens": []}


def _schema_of(grammar: Any) -> dict[str, Any] | None:
    if grammar is None:
        return None
    if not isinstance(grammar, dict) or grammar.get("type") not in {"json", "json_object"}:
        raise BodyError("Input validation error: grammar is not valid: only json is served here")
    schema = grammar.get("value")
    if not isinstance(schema, dict):
        raise BodyError("Input validation error: grammar is not valid: value must be a schema")
    return schema
