"""Anthropic: messages, token counts, models and federated tokens, with keys, limits and errors."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossfade.sim.dialects.call import BodyError, Encoder, encode_sse, read_object
from crossfade.sim.dialects.messages import MessageEncoder, decode_messages, encode_message, read_ask
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
from crossfade.sim.services.openai import HTML, full_in_s
from crossfade.sim.tokens.exchange import exchange_anthropic
from crossfade.sim.wire.http import Reply, Request

VERSIONS = ("2023-06-01", "2026-10-21")


@dataclass(frozen=True, slots=True)
class MessagesFace:
    """How messages are said; `served` is the model's own name."""

    request_id: str
    served: str

    stream_type = "text/event-stream; charset=utf-8"

    def document(self, generation: Generation) -> Any:
        """The whole message."""
        return encode_message(generation, f"msg_{self.request_id}", self.served)

    def encoder(self, generation: Generation) -> Encoder:
        """Named events."""
        return MessageEncoder(generation, f"msg_{self.request_id}", self.served)

    def refuse(self, trouble: Trouble) -> Refusal:
        """Anthropic's error document."""
        return refuse_anthropic(trouble, self.request_id)

    def stream_error(self, trouble: Trouble) -> bytes:
        """An `error` event."""
        return encode_sse(refuse_anthropic(trouble, self.request_id).document, "error")

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:  # noqa: ARG002
        """Rate limits."""
        return limit_headers(endpoint)

    def junk(self, *, stream: bool) -> bytes:  # noqa: ARG002 - a proxy does not know
        """A proxy's page."""
        return HTML

    def empty(self, *, stream: bool) -> bytes:  # noqa: ARG002 - there is no end marker without a message
        """Nothing."""
        return b""


class AnthropicService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        request_id = uuid.uuid4().hex
        headers = {"request-id": f"req_{request_id}", "anthropic-organization-id": "org-sim"}
        try:
            await self._route(request, reply, headers, request_id)
        except TroubleError as error:
            await send_refusal(reply, refuse_anthropic(error.trouble, request_id), headers)

    async def _route(self, request: Request, reply: Reply, headers: dict[str, str], request_id: str) -> None:
        route = f"{request.method} {request.path}"
        if route == "POST /v1/oauth/token":
            await exchange_anthropic(request, reply, self._identities)
            return
        self._authenticate(request)
        if request.header("anthropic-version") not in VERSIONS:
            raise TroubleError(Trouble(TroubleKind.BODY, "anthropic-version: header is required"))
        try:
            match route:
                case "GET /v1/models":
                    await reply.send_json(200, _models(self._endpoints), headers)
                case "POST /v1/messages/count_tokens":
                    document = read_object(request.body)
                    ask = read_ask(document, request_id, stream=False, counting=True)
                    await reply.send_json(200, {"input_tokens": ask.input_tokens}, headers)
                case "POST /v1/messages":
                    call = decode_messages(request.body, headers["request-id"])
                    endpoint = find_endpoint(self._endpoints, call)
                    face = MessagesFace(request_id, endpoint.model.serves or endpoint.model.id)
                    serving = Serving(call, endpoint, face, reply, headers)
                    await serve(serving, self._faults, self._identities.wall())
                case _:
                    raise TroubleError(Trouble(TroubleKind.ROUTE, "Not Found"))
        except BodyError as error:
            raise TroubleError(Trouble(TroubleKind.BODY, error.message)) from None

    def _authenticate(self, request: Request) -> None:
        key, token = request.header("x-api-key"), request.bearer()
        if self._identities.is_api_key(key or token):  # the SDK of late sends its key as a bearer
            return
        if key is not None:
            raise TroubleError(Trouble(TroubleKind.KEY, "invalid x-api-key"))
        if not self._identities.bearers.is_valid("anthropic", token):
            detail = "x-api-key header is required" if token is None else "invalid bearer token"
            raise TroubleError(Trouble(TroubleKind.KEY, detail))
        if "oauth-2025-04-20" not in (request.header("anthropic-beta") or ""):
            raise TroubleError(Trouble(TroubleKind.KEY, "OAuth authentication is currently not supported."))


def refuse_anthropic(trouble: Trouble, request_id: str) -> Refusal:
    """Anthropic's error documents."""
    headers: dict[str, str] = {}
    match trouble.kind:
        case TroubleKind.KEY | TroubleKind.EXPIRED:
            status, kind, message = 401, "authentication_error", trouble.detail
        case TroubleKind.FORBIDDEN:
            status, kind, message = 403, "permission_error", trouble.detail
        case TroubleKind.BODY:
            status, kind, message = 400, "invalid_request_error", trouble.detail
        case TroubleKind.UNSUPPORTED:
            status, kind = 400, "invalid_request_error"
            message = f"{trouble.detail}: this model does not accept the parameter"
        case TroubleKind.MODEL:
            status, kind, message = 404, "not_found_error", f"model: {trouble.detail}"
        case TroubleKind.ROUTE:
            status, kind, message = 404, "not_found_error", trouble.detail
        case TroubleKind.LONG:
            status, kind, message = 400, "invalid_request_error", "prompt is too long for this model"
        case TroubleKind.FULL:
            status, kind = 429, "rate_limit_error"
            message = (
                f"This request would exceed your organization's rate limit of {trouble.detail} per minute."
            )
            headers = {"retry-after": str(max(1, -(-round(trouble.retry_after_s * 1000) // 1000)))}
        case TroubleKind.BROKEN:
            status = trouble.status or 500
            kind, message = {
                504: ("timeout_error", "The request timed out."),
                529: ("overloaded_error", "Overloaded"),
                503: ("overloaded_error", "Overloaded"),
            }.get(status, ("api_error", "Internal server error"))
    document = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": f"req_{request_id}",
    }
    return Refusal(status, kind, document, headers)


def limit_headers(endpoint: Endpoint) -> dict[str, str]:
    """`anthropic-ratelimit-*`, with the time of reset as RFC 3339 writes it."""
    found = endpoint.remaining()
    if found is None:
        return {}
    quota, tokens, requests = found
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + full_in_s(quota)))
    shown = {"input-tokens": (quota.tpm, tokens), "tokens": (quota.tpm, tokens)}
    if quota.rpm is not None:
        shown["requests"] = (quota.rpm, requests)
    headers: dict[str, str] = {}
    for name, (limit, left) in shown.items():
        headers[f"anthropic-ratelimit-{name}-limit"] = str(int(limit))
        headers[f"anthropic-ratelimit-{name}-remaining"] = str(int(left))
        headers[f"anthropic-ratelimit-{name}-reset"] = reset
    return headers


def _models(endpoints: Mapping[str, Endpoint]) -> dict[str, Any]:
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        for name in endpoints
    ]
    ends = (
        {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
        if data
        else {"first_id": None, "last_id": None}
    )
    return {"data": data, "has_more": False, **ends}
