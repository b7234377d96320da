"""Cohere: chat (version 2), embeddings and models, with keys, limits and errors."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossfade.sim.dialects.call import BodyError, Encoder, encode_sse
from crossfade.sim.dialects.cohere_chat import CohereEncoder, decode_cohere, encode_cohere
from crossfade.sim.dialects.embeddings import embed_cohere
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint, Generation
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.face import (
    Refusal,
    Serving,
    Trouble,
    TroubleError,
    TroubleKind,
    find_endpoint,
    send_refusal,
    serve,
)
from crossfade.sim.services.openai import HTML
from crossfade.sim.wire.http import Reply, Request


@dataclass(frozen=True, slots=True)
class CohereFace:
    """How chat is said."""

    answer_id: str

    stream_type = "text/event-stream"

    def document(self, generation: Generation) -> Any:
        """The whole answer."""
        return encode_cohere(generation, self.answer_id)

    def encoder(self, generation: Generation) -> Encoder:
        """Named events."""
        return CohereEncoder(generation, self.answer_id)

    def refuse(self, trouble: Trouble) -> Refusal:
        """Cohere's error document."""
        return refuse_cohere(trouble, self.answer_id)

    def stream_error(self, trouble: Trouble) -> bytes:  # noqa: ARG002 - a stream breaks in one way
        """An end that says it is an error."""
        delta = {"finish_reason": "ERROR", "error": "internal server error"}
        return encode_sse({"type": "message-end", "delta": delta}, "message-end")

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:
        """Requests a minute, and what a whole answer was counted as."""
        headers: dict[str, str] = {}
        found = endpoint.remaining()
        if found is not None and found[0].rpm is not None:
            quota, _, requests = found
            headers |= {
                "x-endpoint-monthly-call-limit": "100000000",
                "x-trial-endpoint-call-limit": str(int(quota.rpm or 0)),
                "x-trial-endpoint-call-remaining": str(int(requests)),
            }
        if generation is not None:
            headers["num_tokens"] = str(generation.ask.input_tokens + generation.produced_tokens)
        return headers

    def junk(self, *, stream: bool) -> bytes:  # noqa: ARG002 - a proxy does not know
        """A proxy's page."""
        return HTML

    def empty(self, *, stream: bool) -> bytes:
        """The end marker alone, or nothing."""
        return b"data: [DONE]\n\n" if stream else b""


class CohereService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        answer_id = str(uuid.uuid4())
        headers = {"x-debug-trace-id": answer_id.replace("-", "")}
        try:
            await self._route(request, reply, headers, answer_id)
        except TroubleError as error:
            await send_refusal(reply, refuse_cohere(error.trouble, answer_id), headers)

    async def _route(self, request: Request, reply: Reply, headers: dict[str, str], answer_id: str) -> None:
        if request.bearer() is None:
            raise TroubleError(Trouble(TroubleKind.KEY, "no api key supplied"))
        if not self._identities.is_api_key(request.bearer()):
            raise TroubleError(Trouble(TroubleKind.KEY, "invalid api token"))
        try:
            match f"{request.method} {request.path}":
                case "GET /v1/models":
                    models = [{"name": name, "endpoints": ["chat"]} for name in self._endpoints]
                    await reply.send_json(200, {"models": models}, headers)
                case "POST /v2/embed":
                    document = embed_cohere(request.body, self._endpoints, answer_id)
                    if document is None:
                        raise TroubleError(Trouble(TroubleKind.MODEL, "of the embed request"))
                    await reply.send_json(200, document, headers)
                case "POST /v2/chat":
                    call = decode_cohere(request.body, answer_id)
                    endpoint = find_endpoint(self._endpoints, call)
                    serving = Serving(call, endpoint, CohereFace(answer_id), reply, headers)
                    await serve(serving, self._faults, self._identities.wall())
                case route:
                    raise TroubleError(Trouble(TroubleKind.ROUTE, f"404 page not found: {route}"))
        except BodyError as error:
            raise TroubleError(Trouble(TroubleKind.BODY, error.message)) from None


def refuse_cohere(trouble: Trouble, answer_id: str) -> Refusal:
    """Cohere's error documents: an id and a message."""
    match trouble.kind:
        case TroubleKind.KEY | TroubleKind.EXPIRED | TroubleKind.FORBIDDEN:
            status, message = 401, trouble.detail
        case TroubleKind.BODY:
            status, message = 400, trouble.detail
        case TroubleKind.UNSUPPORTED:
            status, message = 400, f"invalid request: {trouble.detail} is not supported by this model"
        case TroubleKind.MODEL:
            status = 404
            message = f"model '{trouble.detail}' not found, make sure the correct model ID was used"
        case TroubleKind.ROUTE:
            status, message = 404, trouble.detail
        case TroubleKind.LONG:
            status, message = 400, "too many tokens: size limit exceeded. Try using shorter or fewer inputs"
        case TroubleKind.FULL:
            status = 429
            message = "You are past the per minute request limit, please wait and try again later."
        case TroubleKind.BROKEN:
            status = trouble.status or 500
            message = "internal server error" if status == 500 else "the service is unavailable"
    return Refusal(status, str(status), {"id": answer_id, "message": message})
