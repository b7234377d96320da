"""SageMaker runtime: a container that speaks the chat body, behind the platform's own answers.

The platform cuts the container's bytes where it likes: `PayloadPart` boundaries fall anywhere, also inside
a UTF-8 character.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from crossfade.sim.dialects.call import BodyError, Call, encode_sse
from crossfade.sim.dialects.chat import ChunkEncoder, decode_chat, encode_completion
from crossfade.sim.draws import draw
from crossfade.sim.endpoints.faults import Fault, FaultKind, Faults
from crossfade.sim.endpoints.generation import (
    Endpoint,
    Generation,
    RefusedError,
    StreamBrokenError,
    StreamCutError,
)
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.aws import AwsError, answer_signed
from crossfade.sim.wire.eventstream import corrupt_frame, encode_event, encode_exception
from crossfade.sim.wire.http import Reply, Request

EVENT_STREAM = "application/vnd.amazon.eventstream"
OPERATIONS = ("invocations", "invocations-response-stream")
BODY_LIMIT = 6_291_456  # bytes of a request the platform takes
CONTAINER_FAILURE = {
    "object": "error",
    "message": "EngineDeadError",
    "type": "InternalServerError",
    "code": 500,
}


class SagemakerService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""

        async def signed(region: str, headers: dict[str, str]) -> None:
            await self._invoke(request, reply, region, headers)

        await answer_signed(request, reply, self._identities, "sagemaker", signed)

    async def _invoke(self, request: Request, reply: Reply, region: str, headers: dict[str, str]) -> None:
        parts = request.path.split("/")
        if (
            request.method != "POST"
            or len(parts) != 4
            or parts[1] != "endpoints"
            or parts[3] not in OPERATIONS
        ):
            raise AwsError(404, "UnknownOperationException", "The operation is not served here.")
        name = unquote(parts[2])
        endpoint = self._endpoints.get(name)
        if endpoint is None or endpoint.model.region not in {None, region}:
            account = self._identities.config.account
            raise AwsError(400, "ValidationError", f"Endpoint {name} of account {account} not found.")
        if len(request.body) > BODY_LIMIT:
            raise AwsError(413, "ValidationError", "The request body is larger than 6291456 bytes.")
        streamed = parts[3] == "invocations-response-stream"
        chat = _decode(request.body, headers["x-amzn-RequestId"])
        headers["x-Amzn-Invoked-Production-Variant"] = "AllTraffic"
        if attributes := request.header("x-amzn-sagemaker-custom-attributes"):
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        fault = self._faults.strike(endpoint.model)
        if fault is not None and await _strike_early(fault, endpoint, streamed, reply, headers):
            return
        try:
            async with endpoint.generate(chat.ask, fault, self._identities.wall()) as generation:
                send = (_stream if chat.stream else _send_parts) if streamed else _send_whole
                await send(chat, generation, reply, headers)
        except RefusedError as error:
            endpoint.bill.refuse(error.why)
            raise _refusal(error.why) from None


def _decode(body: bytes, request_id: str) -> Call:
    try:
        return decode_chat(body, request_id)
    except BodyError as error:
        detail = {"object": "error", "message": error.message, "type": "BadRequestError", "code": 400}
        raise _model_error(400, json.dumps(detail)) from None


async def _send_whole(chat: Call, generation: Generation, reply: Reply, headers: dict[str, str]) -> None:
    await generation.whole()
    fault = generation.fault
    if fault is not None and fault.kind is FaultKind.EXCEPTION:
        raise _model_error(500, json.dumps(CONTAINER_FAILURE))
    document = encode_completion(generation, _chat_id(headers), chat.model or "model")
    if fault is not None and fault.kind is FaultKind.CUT:
        body = json.dumps(document).encode()
        await reply.start_cut(200, {**headers, "content-type": "application/json"}, len(body))
        await reply.write(body[: len(body) // 2])
        await reply.drop()
    await reply.send_json(200, document, headers)


async def _stream(chat: Call, generation: Generation, reply: Reply, headers: dict[str, str]) -> None:
    media = {"content-type": EVENT_STREAM, "x-amzn-sagemaker-content-type": "text/event-stream"}
    await reply.start(200, {**headers, **media})
    include = chat.options["include_usage"]
    encoder = ChunkEncoder(_chat_id(headers), chat.model or "model", include_usage=include)
    cutter = PayloadCutter(headers["x-amzn-RequestId"])
    try:
        first = encoder.begin()
        async for piece in generation.pieces():
            await reply.write(cutter.feed(first + encoder.piece(piece)))
            first = b""
    except StreamBrokenError:
        await reply.write(cutter.flush())
        detail = {"Message": "The container closed its stream.", "ErrorCode": "StreamBroken"}
        await reply.write(encode_exception("ModelStreamError", detail))
        await reply.end()
        return
    except StreamCutError as cut:
        frame = encode_part(encoder.piece(cut.piece))
        await reply.write(cutter.flush() + frame[: len(frame) // 2])
        await reply.drop()
    await reply.write(cutter.feed(encoder.end(generation)) + cutter.flush())
    await reply.end()


async def _send_parts(chat: Call, generation: Generation, reply: Reply, headers: dict[str, str]) -> None:
    """The streaming operation without `stream` in the body: the container's one document, in parts."""
    await reply.start(
        200, {**headers, "content-type": EVENT_STREAM, "x-amzn-sagemaker-content-type": "application/json"}
    )
    await generation.whole()
    document = encode_completion(generation, _chat_id(headers), chat.model or "model")
    cutter = PayloadCutter(headers["x-amzn-RequestId"])
    await reply.write(cutter.feed(json.dumps(document, ensure_ascii=False).encode()) + cutter.flush())
    await reply.end()


class PayloadCutter:
    """Cuts a byte stream into parts at places that have nothing to do with its content.

    After the first feed, up to 15 bytes of what was fed wait for the next part, so that parts straddle events
    and characters; the first content is never late.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._held = b""
        self._cuts = 0

    def feed(self, data: bytes) -> bytes:
        """Frames for most of the bytes so far."""
        self._held += data
        self._cuts += 1
        keep = int(draw("cut", self._identity, self._cuts) * 16) if self._cuts > 1 else 0
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        middle = int(draw("middle", self._identity, self._cuts) * len(ready))
        return b"".join(encode_part(part) for part in (ready[:middle], ready[middle:]) if part)

    def flush(self) -> bytes:
        """A frame for the rest."""
        rest, self._held = self._held, b""
        return encode_part(rest) if rest else b""


def encode_part(data: bytes) -> bytes:
    """One `PayloadPart` of raw bytes."""
    return encode_event("PayloadPart", data, "application/octet-stream")


async def _strike_early(
    fault: Fault, endpoint: Endpoint, streamed: bool, reply: Reply, headers: dict[str, str]
) -> bool:
    """Act out the faults that leave no answer; true when one did."""
    content_type = {"content-type": EVENT_STREAM if streamed else "application/json"}
    if fault.kind is FaultKind.DEAD:
        endpoint.bill.refuse(fault.kind.value)
        await reply.drop()
    elif fault.kind in {FaultKind.ERRORS, FaultKind.THROTTLE}:
        endpoint.bill.refuse(fault.kind.value)
        raise _early_error(fault)
    elif fault.kind is FaultKind.GARBAGE:
        junk = corrupt_frame(encode_part(b"lost")) if streamed else b"<html>502 Bad Gateway</html>"
        await reply.send(200, {**headers, **content_type}, junk)
    elif fault.kind is FaultKind.EMPTY:
        await reply.send(200, {**headers, **content_type}, b"")
    elif fault.kind is FaultKind.ERROR_IN_200:
        body = (
            encode_part(encode_sse(CONTAINER_FAILURE)) if streamed else json.dumps(CONTAINER_FAILURE).encode()
        )
        await reply.send(200, {**headers, **content_type}, body)
    else:
        return False
    endpoint.bill.refuse(fault.kind.value)
    return True


def _early_error(fault: Fault) -> AwsError:
    if fault.kind is FaultKind.THROTTLE:
        return _model_error(429, json.dumps({"error": "Model is overloaded", "error_type": "overloaded"}))
    status = fault.status or 500
    if status == 424:
        return _model_error(500, json.dumps(CONTAINER_FAILURE))
    if status == 503:
        return AwsError(503, "ServiceUnavailable", "The service is currently unavailable.")
    return AwsError(
        status, "InternalFailure", "The request processing has failed because of an unknown error."
    )


def _refusal(why: str) -> AwsError:
    if why == "queue_timeout":
        return _model_error(
            0, "Your invocation timed out while waiting for a response from container primary."
        )
    return AwsError(503, "ServiceUnavailable", "The endpoint cannot take more requests at this time.")


def _model_error(original_status: int, original_message: str) -> AwsError:
    message = (
        f"Received {'client' if original_status == 400 else 'server'} error ({original_status}) from primary"
    )
    extra: dict[str, Any] = {
        "OriginalMessage": original_message,
        "OriginalStatusCode": original_status,
        "LogStreamArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/sim",
    }
    text = original_message if original_status == 0 else f'{message} with message "{original_message}".'
    return AwsError(424, "ModelError", text, extra)


def _chat_id(headers: dict[str, str]) -> str:
    return f"chatcmpl-{headers['x-amzn-RequestId'].replace('-', '')}"
