"""Bedrock's invoke: Claude's, Nova's, chat and plain-prompt bodies, each told by the model's id."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, Encoder, read_object
from crossfade.sim.dialects.converse import ConverseEncoder, accounting, decode_converse, encode_converse
from crossfade.sim.dialects.messages import MessageEncoder, decode_messages, encode_message
from crossfade.sim.dialects.prompts import Family, decode_prompt, family_of
from crossfade.sim.endpoints.answer import PartKind, Stop
from crossfade.sim.endpoints.generation import Endpoint, Generation, Piece
from crossfade.sim.services.amazon.bedrock_faces import ConverseFace
from crossfade.sim.services.face import Face
from crossfade.sim.wire.eventstream import encode_json_event

NOVA_FIELDS = frozenset({"schemaVersion", "system", "messages", "inferenceConfig", "toolConfig"})


def begin_invoke(body: bytes, request_id: str, model: str, *, stream: bool) -> tuple[Call, Face]:
    """Read the body of the model's family; raises `BodyError`."""
    name = model.rpartition("/")[2]
    if "nova-" in name:
        _check_nova(body)
        call = decode_converse(body, request_id, model, streamed=stream)
        return call, InvokeFace(encode_nova, lambda _: ChunkedNovaEncoder())
    family = family_of(name)
    if family is not None:
        call = decode_prompt(body, request_id, model, family, stream=stream)
        return call, _prompt_face(family)
    call = decode_messages(body, request_id, model, stream=stream)
    if "anthropic_version" not in call.params:
        raise BodyError("anthropic_version: Field required")
    message_id, served = f"msg_bdrk_{request_id.replace('-', '')}", name.rpartition("anthropic.")[2]
    return call, InvokeFace(
        lambda generation: encode_message(generation, message_id, served),
        lambda generation: ChunkedMessageEncoder(generation, message_id, served),
    )


@dataclass(frozen=True, slots=True)
class InvokeFace(ConverseFace):
    """How invoke is said: the family's own `whole` document, or its events in chunks."""

    whole: Callable[[Generation], Any]
    chunks: Callable[[Generation], Encoder]

    def document(self, generation: Generation) -> Any:
        """The family's document."""
        return self.whole(generation)

    def encoder(self, generation: Generation) -> Encoder:
        """The family's events, each in a chunk."""
        return self.chunks(generation)

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:  # noqa: ARG002
        """Token counts of a whole answer."""
        if generation is None:
            return {}
        return {
            "x-amzn-bedrock-input-token-count": str(generation.ask.input_tokens),
            "x-amzn-bedrock-output-token-count": str(generation.produced_tokens),
            "x-amzn-bedrock-invocation-latency": str(generation.elapsed_ms()),
        }


class ChunkedMessageEncoder(MessageEncoder):
    """Claude's events wrapped into `chunk` frames; the last carries Bedrock's own measures."""

    def frame(self, event: dict[str, Any]) -> bytes:
        """One chunk."""
        if event["type"] == "ping":
            return b""
        if event["type"] == "message_stop":
            generation = self._generation
            cache = {
                "cacheReadInputTokenCount": generation.cache_read,
                "cacheWriteInputTokenCount": generation.cache_write,
            }
            event = event | measures(generation, **cache)
        return encode_chunk(event)


class ChunkedNovaEncoder(ConverseEncoder):
    """Converse's events wrapped into `chunk` frames, each under its name."""

    def frame(self, name: str, payload: dict[str, Any]) -> bytes:
        """One chunk."""
        return encode_chunk({name: payload})

    def end(self, generation: Generation) -> bytes:
        """The stop, then the usage beside Bedrock's own measures."""
        stop = self.stop_frame(generation)
        metadata = {"usage": _nova_usage(generation), "metrics": {}, "trace": {}}
        return stop + encode_chunk({"metadata": metadata} | measures(generation))


class ChunkedPromptEncoder:
    """A plain-prompt family's words in `chunk` frames; the last has the stop reason and the measures."""

    def __init__(self, family: Family, generation: Generation) -> None:
        self._family = family
        self._generation = generation

    def begin(self) -> bytes:
        """Nothing comes before the first words."""
        return b""

    def piece(self, piece: Piece) -> bytes:
        """One piece of text; nothing else has a form here."""
        if piece.part.kind is not PartKind.TEXT:
            return b""
        return encode_chunk(self._family.chunk(self._generation, piece.text, None))

    def end(self, generation: Generation) -> bytes:
        """The stop reason."""
        last = self._family.chunk(generation, "", self._family.words[generation.stop])
        return encode_chunk(last | measures(generation))


def encode_nova(generation: Generation) -> dict[str, Any]:
    """Converse's document, with the usage as invoke names it."""
    document = encode_converse(generation)
    return {key: document[key] for key in ("output", "stopReason")} | {"usage": _nova_usage(generation)}


def encode_chunk(event: dict[str, Any]) -> bytes:
    """One frame around a model's own event."""
    inner = base64.b64encode(json.dumps(event, separators=(",", ":")).encode()).decode()
    return encode_json_event("chunk", {"bytes": inner, "p": "abc"})


def measures(generation: Generation, **cache: int) -> dict[str, Any]:
    """Bedrock's own measures beside a model's last event."""
    return {
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": generation.ask.input_tokens,
            "outputTokenCount": generation.produced_tokens,
            "invocationLatency": generation.elapsed_ms(),
            "firstByteLatency": round(generation.timing.first_s * 1000),
            **cache,
        }
    }


def _prompt_face(family: Family) -> InvokeFace:
    def whole(generation: Generation) -> dict[str, Any]:
        text = "" if generation.stop is Stop.FILTERED else generation.text
        return family.whole(generation, text, family.words[generation.stop])

    return InvokeFace(whole, lambda generation: ChunkedPromptEncoder(family, generation))


def _nova_usage(generation: Generation) -> dict[str, int]:
    usage = accounting(generation)["usage"]
    names = {
        "cacheReadInputTokens": "cacheReadInputTokenCount",
        "cacheWriteInputTokens": "cacheWriteInputTokenCount",
    }
    return {names.get(name, name): count for name, count in usage.items()}


def _check_nova(body: bytes) -> None:
    for key in sorted(set(read_object(body)) - NOVA_FIELDS):
        raise BodyError(
            f"Malformed input request: #: extraneous key [{key}] is not permitted, "
            "please reformat your input and try again."
        )
