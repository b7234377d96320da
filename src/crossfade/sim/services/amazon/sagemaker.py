"""SageMaker runtime: a container with a body of its own, behind the platform's own answers.

The platform cuts the container's bytes where it likes: `PayloadPart` boundaries fall anywhere, also inside
a UTF-8 character.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from crossfade.sim.dialects.call import BodyError, Call
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
from crossfade.sim.services.amazon.aws import AwsError, answer_signed
from crossfade.sim.services.amazon.containers import Container, container_of
from crossfade.sim.wire.eventstream import corrupt_frame, encode_event, encode_exception
from crossfade.sim.wire.http import Reply, Request

EVENT_STREAM = "application/vnd.amazon.eventstream"
OPERATIONS = ("invocations", "invocations-response-stream")
BODY_LIMIT = 6_291_456  # bytes of a request the platform takes


@dataclass(frozen=True, slots=True)
class _Told:
    """One call on its way to a container; `headers` of the answer."""

    call: Call
    container: Container
    reply: Reply
    headers: dict[str, str]

    @property
    def answer_id(self) -> str:
        return self.headers["x-amzn-RequestId"].replace("-", "")

    def document(self, generation: Generation) -> Any:
        return self.container.document(generation, self.call, self.answer_id)


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
        container = container_of(endpoint.model.container)
        call = _decode(container, request.body, headers["x-amzn-RequestId"])
        told = _Told(call, container, reply, headers)
        headers["x-Amzn-Invoked-Production-Variant"] = "AllTraffic"
        if attributes := request.header("x-amzn-sagemaker-custom-attributes"):
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        fault = self._faults.strike(endpoint.model)
        if fault is not None and await _strike_early(fault, endpoint, streamed, told):
            return
        try:
            async with endpoint.generate(call.ask, fault, self._identities.wall()) as generation:
                send = (_stream if call.stream else _send_parts) if streamed else _send_whole
                await send(told, generation)
        except RefusedError as error:
            endpoint.bill.refuse(error.why)
            raise _refusal(error.why) from None


def _decode(container: Container, body: bytes, request_id: str) -> Call:
    try:
        return container.decode(body, request_id)
    except BodyError as error:
        status, detail = container.refuse(error)
        raise _model_error(status, json.dumps(detail)) from None


async def _send_whole(told: _Told, generation: Generation) -> None:
    reply, headers = told.reply, told.headers
    await generation.whole()
    fault = generation.fault
    if fault is not None and fault.kind is FaultKind.EXCEPTION:
        raise _model_error(500, json.dumps(told.container.failure()))
    document = told.document(generation)
    if fault is not None and fault.kind is FaultKind.CUT:
        await reply.send_json_cut(document, headers)
    await reply.send_json(200, document, headers)


async def _stream(told: _Told, generation: Generation) -> None:
    reply = told.reply
    media = {"content-type": EVENT_STREAM, "x-amzn-sagemaker-content-type": told.container.stream_type}
    await reply.start(200, {**told.headers, **media})
    encoder = told.container.encoder(told.call, told.answer_id)
    cutter = PayloadCutter(told.headers["x-amzn-RequestId"])
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


async def _send_parts(told: _Told, generation: Generation) -> None:
    """The streaming operation without `stream` in the body: the container's one document, in parts."""
    media = {"content-type": EVENT_STREAM, "x-amzn-sagemaker-content-type": "application/json"}
    await told.reply.start(200, {**told.headers, **media})
    await generation.whole()
    cutter = PayloadCutter(told.headers["x-amzn-RequestId"])
    document = json.dumps(told.document(generation), ensure_ascii=False).encode()
    await told.reply.write(cutter.feed(document) + cutter.flush())
    await told.reply.end()


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


async def _strike_early(fault: Fault, endpoint: Endpoint, streamed: bool, told: _Told) -> bool:
    """Act out the faults that leave no answer; true when one did."""
    reply, headers, container = told.reply, told.headers, told.container
    content_type = {"content-type": EVENT_STREAM if streamed else "application/json"}
    if fault.kind is FaultKind.DEAD:
        endpoint.bill.refuse(fault.kind.value)
        await reply.drop()
    elif fault.kind in {FaultKind.ERRORS, FaultKind.THROTTLE}:
        endpoint.bill.refuse(fault.kind.value)
        raise _early_error(fault, container)
    elif fault.kind is FaultKind.GARBAGE:
        junk = corrupt_frame(encode_part(b"lost")) if streamed else b"<html>502 Bad Gateway</html>"
        await reply.send(200, {**headers, **content_type}, junk)
    elif fault.kind is FaultKind.EMPTY:
        await reply.send(200, {**headers, **content_type}, b"")
    elif fault.kind is FaultKind.ERROR_IN_200:
        whole = json.dumps(container.failure()).encode()
        body = encode_part(container.failure_in_stream()) if streamed else whole
        await reply.send(200, {**headers, **content_type}, body)
    else:
        return False
    endpoint.bill.refuse(fault.kind.value)
    return True


def _early_error(fault: Fault, container: Container) -> AwsError:
    if fault.kind is FaultKind.THROTTLE:
        return _model_error(429, json.dumps({"error": "Model is overloaded", "error_type": "overloaded"}))
    status = fault.status or 500
    if status == 424:
        return _model_error(500, json.dumps(container.failure()))
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
    whose = "client" if 400 <= original_status < 500 else "server"
    message = f"Received {whose} error ({original_status}) from primary"
    extra: dict[str, Any] = {
        "OriginalMessage": original_message,
        "OriginalStatusCode": original_status,
        "LogStreamArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/sim",
    }
    text = original_message if original_status == 0 else f'{message} with message "{original_message}".'
    return AwsError(424, "ModelError", text, extra)
