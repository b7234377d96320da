"""What may stand behind a SageMaker endpoint: vLLM, TGI, or LMI; each reads and writes a body of its own."""

from __future__ import annotations

import json
from typing import Any, Protocol

from crossfade.sim.dialects.call import BodyError, Call, Encoder, encode_sse
from crossfade.sim.dialects.chat import decode_chat
from crossfade.sim.dialects.tgi import TokenEncoder, decode_tgi, encode_lmi, encode_tgi
from crossfade.sim.dialects.vllm import VllmEncoder, encode_vllm
from crossfade.sim.endpoints.generation import Generation


class Container(Protocol):
    """One kind of container; stateless."""

    @property
    def stream_type(self) -> str:
        """The content type of what it streams."""

    def decode(self, body: bytes, request_id: str) -> Call:
        """Read a body; raises `BodyError`."""

    def document(self, generation: Generation, call: Call, answer_id: str) -> Any:
        """The whole answer."""

    def encoder(self, call: Call, answer_id: str) -> Encoder:
        """The bytes of a streamed answer."""

    def refuse(self, error: BodyError) -> tuple[int, Any]:
        """Status and document for a body it does not take."""

    def failure(self) -> Any:
        """The document of a model that died."""

    def failure_in_stream(self) -> bytes:
        """The same within a stream."""


class Vllm:
    """The chat body; a model it was not started with is refused, no model is its own."""

    stream_type = "text/event-stream"

    def decode(self, body: bytes, request_id: str) -> Call:
        """A chat body."""
        call = decode_chat(body, request_id)
        if call.model:
            raise BodyError(f"The model `{call.model}` does not exist.", "model")
        return call

    def document(self, generation: Generation, call: Call, answer_id: str) -> Any:
        """A completion."""
        return encode_vllm(generation, f"chatcmpl-{answer_id}", call.model or "model")

    def encoder(self, call: Call, answer_id: str) -> Encoder:
        """Chunks."""
        include = call.options["include_usage"]
        return VllmEncoder(f"chatcmpl-{answer_id}", call.model or "model", include_usage=include)

    def refuse(self, error: BodyError) -> tuple[int, Any]:
        """404 for a model, 400 for the rest."""
        status, kind = (404, "NotFoundError") if error.param == "model" else (400, "BadRequestError")
        return status, {"object": "error", "message": error.message, "type": kind, "code": status}

    def failure(self) -> Any:
        """The engine is dead."""
        return {
            "object": "error",
            "message": "EngineDeadError",
            "type": "InternalServerError",
            "code": 500,
        }

    def failure_in_stream(self) -> bytes:
        """An error for a chunk."""
        return encode_sse(self.failure())


class Tgi:
    """One text in, one text out."""

    stream_type = "text/event-stream"

    def decode(self, body: bytes, request_id: str) -> Call:
        """Inputs and parameters."""
        return decode_tgi(body, request_id)

    def document(self, generation: Generation, call: Call, answer_id: str) -> Any:  # noqa: ARG002 - has no id
        """The text in a list."""
        return encode_tgi(generation, details=call.options["details"])

    def encoder(self, call: Call, answer_id: str) -> Encoder:  # noqa: ARG002 - has no id
        """Token events."""
        return TokenEncoder()

    def refuse(self, error: BodyError) -> tuple[int, Any]:
        """422, as its validation says."""
        return 422, {"error": error.message, "error_type": "validation"}

    def failure(self) -> Any:
        """The generation failed."""
        return {"error": "Request failed during generation: Server error", "error_type": "generation"}

    def failure_in_stream(self) -> bytes:
        """An error for a token."""
        return encode_sse(self.failure())


class Lmi(Tgi):
    """The same body in another frame: an object, and a JSON line a token."""

    stream_type = "application/jsonlines"

    def document(self, generation: Generation, call: Call, answer_id: str) -> Any:  # noqa: ARG002 - has no id
        """The text."""
        return encode_lmi(generation, details=call.options["details"])

    def encoder(self, call: Call, answer_id: str) -> Encoder:  # noqa: ARG002 - has no id
        """Token lines."""
        return TokenEncoder(lines=True)

    def refuse(self, error: BodyError) -> tuple[int, Any]:
        """400, in the words of its server."""
        return 400, {"code": 400, "error": error.message}

    def failure_in_stream(self) -> bytes:
        """The last line says so."""
        details = {"finish_reason": "error", "generated_tokens": 0}
        token = {"id": -1, "text": "", "log_prob": -1, "error_msg": "Server error"}
        return json.dumps({"token": token, "generated_text": "", "details": details}).encode() + b"\n"


def container_of(name: str) -> Container:
    """The container a clouds file names: `vllm`, `tgi` or `lmi`."""
    kinds: dict[str, Container] = {"vllm": Vllm(), "tgi": Tgi(), "lmi": Lmi()}
    return kinds[name]
