"""OpenAI: chat completions, responses, embeddings and models, with keys, limits and errors."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, Encoder, encode_sse
from crossfade.sim.dialects.chat import ChunkEncoder, decode_chat, encode_completion
from crossfade.sim.dialects.embeddings import embed_openai
from crossfade.sim.dialects.responses import ResponseEncoder, decode_response, encode_response
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint, Generation
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.load.metered import Quota
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
from crossfade.sim.wire.http import Reply, Request

EVENT_STREAM = "text/event-stream; charset=utf-8"
BROKEN = "The server had an error while processing your request. Sorry about that!"
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>\n\n\x00\xff\xfe"


@dataclass(frozen=True, slots=True)
class ChatFace:
    """How chat completions are said; `served` is the model's own name."""

    call: Call
    request_id: str
    served: str

    stream_type = EVENT_STREAM

    def document(self, generation: Generation) -> Any:
        """The whole answer."""
        return encode_completion(generation, f"chatcmpl-{self.request_id}", self.served)

    def encoder(self, generation: Generation) -> Encoder:  # noqa: ARG002 - the stream tells as it goes
        """Chunks."""
        include = self.call.options["include_usage"]
        return ChunkEncoder(f"chatcmpl-{self.request_id}", self.served, include_usage=include)

    def refuse(self, trouble: Trouble) -> Refusal:
        """OpenAI's error document."""
        return refuse_openai(trouble)

    def stream_error(self, trouble: Trouble) -> bytes:
        """An error chunk."""
        return encode_sse(refuse_openai(trouble).document)

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:
        """Rate limits and timing."""
        return openai_headers(endpoint, generation)

    def junk(self, *, stream: bool) -> bytes:  # noqa: ARG002 - a proxy does not know
        """A proxy's page."""
        return HTML

    def empty(self, *, stream: bool) -> bytes:
        """The end marker alone, or nothing."""
        return b"data: [DONE]\n\n" if stream else b""


@dataclass(frozen=True, slots=True)
class ResponseFace(ChatFace):
    """How responses are said."""

    def document(self, generation: Generation) -> Any:
        """The whole response."""
        return encode_response(generation, self.request_id, self.served)

    def encoder(self, generation: Generation) -> Encoder:
        """Named events."""
        return ResponseEncoder(generation, self.request_id, self.served)

    def stream_error(self, trouble: Trouble) -> bytes:
        """An `error` event."""
        error = refuse_openai(trouble).document["error"]
        event = {"type": "error", "sequence_number": 0, **{k: error[k] for k in ("code", "message", "param")}}
        return encode_sse(event, "error")

    def empty(self, *, stream: bool) -> bytes:  # noqa: ARG002 - there is no end marker
        """Nothing."""
        return b""


class OpenaiService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        headers = {
            "x-request-id": f"req_{uuid.uuid4().hex}",
            "openai-organization": "org-sim",
            "openai-version": "2020-10-01",
        }
        try:
            await self._route(request, reply, headers)
        except TroubleError as error:
            await send_refusal(reply, refuse_openai(error.trouble), headers)

    async def _route(self, request: Request, reply: Reply, headers: dict[str, str]) -> None:
        if not self._identities.is_api_key(request.bearer()) and not self._identities.bearers.is_valid(
            "openai", request.bearer()
        ):
            raise TroubleError(Trouble(TroubleKind.KEY))
        match request.method, request.path:
            case "GET", "/v1/models":
                models = [
                    {"id": name, "object": "model", "created": 0, "owned_by": "sim"}
                    for name in self._endpoints
                ]
                await reply.send_json(200, {"object": "list", "data": models}, headers)
            case "POST", "/v1/embeddings":
                await send_embeddings(request, self._endpoints, reply, headers)
            case "POST", "/v1/chat/completions" | "/v1/responses":
                serving = begin_openai(request, request.path.endswith("responses"), reply, headers)
                endpoint = find_endpoint(self._endpoints, serving.call)
                await serve(serving.at(endpoint), self._faults, self._identities.wall())
            case _:
                raise TroubleError(Trouble(TroubleKind.ROUTE, f"{request.method} {request.path}"))


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded call whose endpoint is not known yet."""

    call: Call
    face: type[ChatFace]
    reply: Reply
    headers: dict[str, str]

    def at(self, endpoint: Endpoint) -> Serving:
        """The call on its way to an endpoint."""
        request_id = self.headers["x-request-id"].removeprefix("req_")
        face = self.face(self.call, request_id, endpoint.model.serves or endpoint.model.id)
        return Serving(self.call, endpoint, face, self.reply, self.headers)


def begin_openai(request: Request, is_response: bool, reply: Reply, headers: dict[str, str]) -> Decoded:
    """Decode a chat or responses body; raises `TroubleError`."""
    try:
        decode = decode_response if is_response else decode_chat
        call = decode(request.body, headers["x-request-id"])
    except BodyError as error:
        raise TroubleError(Trouble(TroubleKind.BODY, error.message, error.param)) from None
    return Decoded(call, ResponseFace if is_response else ChatFace, reply, headers)


async def send_embeddings(
    request: Request, endpoints: Mapping[str, Endpoint], reply: Reply, headers: dict[str, str]
) -> None:
    """Answer an embeddings body; raises `TroubleError`."""
    try:
        document = embed_openai(request.body, endpoints, headers["x-request-id"])
    except BodyError as error:
        raise TroubleError(Trouble(TroubleKind.BODY, error.message, error.param)) from None
    if document is None:
        raise TroubleError(Trouble(TroubleKind.MODEL, "of the embeddings request"))
    await reply.send_json(200, document, headers)


def refuse_openai(trouble: Trouble) -> Refusal:
    """OpenAI's error documents."""
    invalid = "invalid_request_error"
    match trouble.kind:
        case TroubleKind.KEY | TroubleKind.EXPIRED | TroubleKind.FORBIDDEN:
            message = "Incorrect API key provided. You can find your API key in the clouds file."
            return _refusal(401, message, invalid, "invalid_api_key")
        case TroubleKind.BODY:
            return _refusal(400, trouble.detail, invalid, None, trouble.param)
        case TroubleKind.UNSUPPORTED:
            message = f"Unsupported parameter: '{trouble.detail}' is not supported with this model."
            return _refusal(400, message, invalid, "unsupported_parameter", trouble.param)
        case TroubleKind.MODEL:
            message = f"The model `{trouble.detail}` does not exist or you do not have access to it."
            return _refusal(404, message, invalid, "model_not_found", "model")
        case TroubleKind.ROUTE:
            return _refusal(404, f"Invalid URL ({trouble.detail})", invalid, None)
        case TroubleKind.LONG:
            message = "Your input exceeds the context window of this model: the maximum context length."
            return _refusal(400, message, invalid, "context_length_exceeded", "messages")
        case TroubleKind.FULL:
            return _throttled(trouble)
        case TroubleKind.BROKEN:
            status = trouble.status or 500
            if status == 503:
                overloaded = "The server is overloaded."
                return _refusal(503, overloaded, "service_unavailable_error", "server_is_overloaded")
            return _refusal(status, BROKEN, "server_error", "server_error")


def openai_headers(endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:
    """`x-ratelimit-*`, with durations as Go writes them, and the time a whole answer took."""
    headers = {} if generation is None else {"openai-processing-ms": str(generation.elapsed_ms())}
    found = endpoint.remaining()
    if found is None:
        return headers
    quota, tokens, requests = found
    headers |= {
        "x-ratelimit-limit-tokens": str(int(quota.tpm)),
        "x-ratelimit-remaining-tokens": str(int(tokens)),
        "x-ratelimit-reset-tokens": _go_duration(full_in_s(quota)),
    }
    if quota.rpm is not None and quota.requests is not None:
        reset = (quota.requests.size - quota.requests.level) / quota.requests.rate_per_s
        headers |= {
            "x-ratelimit-limit-requests": str(int(quota.rpm)),
            "x-ratelimit-remaining-requests": str(int(requests)),
            "x-ratelimit-reset-requests": _go_duration(reset),
        }
    return headers


def full_in_s(quota: Quota) -> float:
    """Seconds until a quota's tokens are whole again."""
    return max(0.0, quota.tokens.size - quota.tokens.level) / quota.tokens.rate_per_s


def waits(retry_after_s: float) -> tuple[int, dict[str, str]]:
    """Milliseconds to wait, and the two headers that say so."""
    wait_ms = max(1, round(retry_after_s * 1000))
    return wait_ms, {"retry-after-ms": str(wait_ms), "retry-after": str(-(-wait_ms // 1000))}


def _throttled(trouble: Trouble) -> Refusal:
    wait_ms, headers = waits(trouble.retry_after_s)
    message = f"Rate limit reached on {trouble.detail} per min. Please try again in {wait_ms}ms."
    refusal = _refusal(429, message, trouble.detail, "rate_limit_exceeded")
    return Refusal(refusal.status, refusal.code, refusal.document, headers)


def _refusal(status: int, message: str, kind: str, code: str | None, param: str | None = None) -> Refusal:
    document = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return Refusal(status, code or kind, document)


def _go_duration(seconds: float) -> str:
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
