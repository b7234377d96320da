"""The OpenAI-compatible service: `/v1/chat/completions` and `/v1/models`, with keys, limits and errors."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from crossfade.sim.endpoints.faults import Fault, FaultKind, Faults
from crossfade.sim.endpoints.generation import (
    Endpoint,
    Generation,
    RefusedError,
    StreamBrokenError,
    StreamCutError,
)
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.load.metered import Quota
from crossfade.sim.services.chat import (
    Chat,
    ChatBodyError,
    ChunkEncoder,
    decode_chat,
    encode_completion,
    encode_sse,
)
from crossfade.sim.wire.http import Reply, Request

EVENT_STREAM = "text/event-stream; charset=utf-8"
BROKEN = ("The server had an error while processing your request. Sorry about that!", "server_error")


class OpenaiService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        request_id = f"req_{uuid.uuid4().hex}"
        headers = {
            "x-request-id": request_id,
            "openai-organization": "org-sim",
            "openai-version": "2020-10-01",
        }
        if not self._identities.is_api_key(request.header("authorization")):
            message = "Incorrect API key provided. You can find your API key in the clouds file."
            await _refuse(reply, 401, headers, (message, "invalid_request_error", "invalid_api_key", None))
        elif request.method == "GET" and request.path == "/v1/models":
            models = [
                {"id": name, "object": "model", "created": 0, "owned_by": "sim"} for name in self._endpoints
            ]
            await reply.send_json(200, {"object": "list", "data": models}, headers)
        elif request.method == "POST" and request.path == "/v1/chat/completions":
            await self._complete(request, reply, headers)
        else:
            message = f"Invalid URL ({request.method} {request.path})"
            await _refuse(reply, 404, headers, (message, "invalid_request_error", None, None))

    async def _complete(self, request: Request, reply: Reply, headers: dict[str, str]) -> None:
        try:
            chat = decode_chat(request.body, headers["x-request-id"])
        except ChatBodyError as error:
            await _refuse(reply, 400, headers, (error.message, "invalid_request_error", None, error.param))
            return
        endpoint = self._endpoints.get(chat.model or "")
        if endpoint is None:
            message = f"The model `{chat.model}` does not exist or you do not have access to it."
            await _refuse(reply, 404, headers, (message, "invalid_request_error", "model_not_found", "model"))
            return
        if chat.ask.input_tokens > endpoint.model.context_tokens:
            message = (
                f"This model's maximum context length is {endpoint.model.context_tokens} tokens. "
                f"However, your messages resulted in {chat.ask.input_tokens} tokens."
            )
            error_form = (message, "invalid_request_error", "context_length_exceeded", "messages")
            await _refuse(reply, 400, headers, error_form)
            return
        fault = self._faults.strike(endpoint.model)
        if fault is not None and await _strike_early(fault, chat, endpoint, reply, headers):
            return
        try:
            async with endpoint.generate(chat.ask, fault, self._identities.wall()) as generation:
                headers |= _limit_headers(endpoint)
                send = _stream if chat.stream else _send_whole
                await send(chat, generation, reply, headers)
        except RefusedError as error:
            endpoint.bill.refuse("rate_limit_exceeded")
            await _throttle(reply, headers | _limit_headers(endpoint), error.why, error.retry_after_s)


async def _stream(chat: Chat, generation: Generation, reply: Reply, headers: dict[str, str]) -> None:
    await reply.start(200, {**headers, "content-type": EVENT_STREAM})
    encoder = ChunkEncoder(
        _chat_id(headers), chat.model or "", int(time.time()), include_usage=chat.include_usage
    )
    await reply.write(encoder.role())
    try:
        async for piece in generation.pieces():
            await reply.write(encoder.content(piece))
    except StreamBrokenError:
        await reply.write(encode_sse(_error_document(BROKEN[0], BROKEN[1], "server_error", None)))
        await reply.end()
        return
    except StreamCutError as cut:
        data = encoder.content(cut.piece)
        await reply.write(data[: len(data) // 2])
        await reply.drop()
    await reply.write(encoder.ending(generation))
    await reply.end()


async def _send_whole(chat: Chat, generation: Generation, reply: Reply, headers: dict[str, str]) -> None:
    await generation.whole()
    headers["openai-processing-ms"] = str(generation.elapsed_ms())
    document = encode_completion(generation, _chat_id(headers), chat.model or "", int(time.time()))
    if generation.fault is not None and generation.fault.kind is FaultKind.EXCEPTION:
        await _refuse(reply, 500, headers, (*BROKEN, "server_error", None))
    elif generation.fault is not None and generation.fault.kind is FaultKind.CUT:
        body = json.dumps(document).encode()
        await reply.start_cut(200, {**headers, "content-type": "application/json"}, len(body))
        await reply.write(body[: len(body) // 2])
        await reply.drop()
    else:
        await reply.send_json(200, document, headers)


async def _strike_early(
    fault: Fault, chat: Chat, endpoint: Endpoint, reply: Reply, headers: dict[str, str]
) -> bool:
    """Act out the faults that leave no answer; true when one did."""
    content_type = {"content-type": EVENT_STREAM if chat.stream else "application/json"}
    if fault.kind is FaultKind.DEAD:
        endpoint.bill.refuse(fault.kind.value)
        await reply.drop()
    elif fault.kind is FaultKind.ERRORS:
        status = fault.status or 500
        overloaded = ("The server is overloaded.", "service_unavailable_error", "server_is_overloaded", None)
        await _refuse(
            reply, status, headers, overloaded if status == 503 else (*BROKEN, "server_error", None)
        )
    elif fault.kind is FaultKind.THROTTLE:
        await _throttle(reply, headers, "requests", (fault.delay_ms or 1000) / 1000)
    elif fault.kind is FaultKind.GARBAGE:
        body = b"<html><body><h1>502 Bad Gateway</h1></body></html>\n\n\x00\xff\xfe"
        await reply.send(200, {**headers, **content_type}, body)
    elif fault.kind is FaultKind.EMPTY:
        await reply.send(200, {**headers, **content_type}, b"data: [DONE]\n\n" if chat.stream else b"")
    elif fault.kind is FaultKind.ERROR_IN_200:
        document = _error_document(BROKEN[0], BROKEN[1], "server_error", None)
        body = encode_sse(document) if chat.stream else json.dumps(document).encode()
        await reply.send(200, {**headers, **content_type}, body)
    else:
        return False
    endpoint.bill.refuse(fault.kind.value)
    return True


async def _throttle(reply: Reply, headers: dict[str, str], why: str, retry_after_s: float) -> None:
    wait_ms = max(1, round(retry_after_s * 1000))
    waits = {"retry-after-ms": str(wait_ms), "retry-after": str(-(-wait_ms // 1000))}
    message = f"Rate limit reached on {why} per min. Please try again in {wait_ms}ms."
    await _refuse(reply, 429, headers | waits, (message, why, "rate_limit_exceeded", None))


async def _refuse(
    reply: Reply, status: int, headers: dict[str, str], error: tuple[str, str, str | None, str | None]
) -> None:
    await reply.send_json(status, _error_document(*error), headers)


def _error_document(message: str, kind: str, code: str | None, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _limit_headers(endpoint: Endpoint) -> dict[str, str]:
    found = endpoint.remaining()
    if found is None:
        return {}
    quota, tokens, requests = found
    headers = {
        "x-ratelimit-limit-tokens": str(int(quota.tpm)),
        "x-ratelimit-remaining-tokens": str(int(tokens)),
        "x-ratelimit-reset-tokens": _go_duration(_full_in(quota)),
    }
    if quota.rpm is not None and quota.requests is not None:
        reset = (quota.requests.size - quota.requests.level) / quota.requests.rate_per_s
        headers |= {
            "x-ratelimit-limit-requests": str(int(quota.rpm)),
            "x-ratelimit-remaining-requests": str(int(requests)),
            "x-ratelimit-reset-requests": _go_duration(reset),
        }
    return headers


def _full_in(quota: Quota) -> float:
    return (quota.tokens.size - quota.tokens.level) / quota.tokens.rate_per_s


def _go_duration(seconds: float) -> str:
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _chat_id(headers: dict[str, str]) -> str:
    return "chatcmpl-" + headers["x-request-id"].removeprefix("req_")
