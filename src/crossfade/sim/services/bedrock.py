"""Bedrock runtime: `converse` and `converse-stream`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from crossfade.sim.draws import draw
from crossfade.sim.endpoints.faults import Fault, FaultKind, Faults
from crossfade.sim.endpoints.generation import (
    Ask,
    Endpoint,
    Generation,
    RefusedError,
    StreamBrokenError,
    StreamCutError,
)
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.aws import AwsError, answer_signed
from crossfade.sim.wire.eventstream import corrupt_frame, encode_exception, encode_json_event
from crossfade.sim.wire.http import Reply, Request

EVENT_STREAM = "application/vnd.amazon.eventstream"
MESSAGES = {
    "tokens": "Too many tokens, please wait before trying again.",
    "requests": "Too many requests, please wait before trying again.",
}
FAILED = "The system encountered an unexpected error during processing. Try your request again."
OPERATIONS = ("converse", "converse-stream")


class BedrockService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""

        async def signed(region: str, headers: dict[str, str]) -> None:
            await self._converse(request, reply, region, headers)

        await answer_signed(request, reply, self._identities, "bedrock", signed)

    async def _converse(self, request: Request, reply: Reply, region: str, headers: dict[str, str]) -> None:
        parts = request.path.split("/")
        if request.method != "POST" or len(parts) != 4 or parts[1] != "model" or parts[3] not in OPERATIONS:
            raise AwsError(404, "UnknownOperationException", "The operation is not served here.")
        endpoint = self._endpoints.get(unquote(parts[2]))
        if endpoint is None or endpoint.model.region not in {None, region}:
            raise AwsError(400, "ValidationException", "The provided model identifier is invalid.")
        streamed = parts[3] == "converse-stream"
        ask = decode_converse(request.body, headers["x-amzn-RequestId"], streamed=streamed)
        if ask.input_tokens > endpoint.model.context_tokens:
            raise AwsError(400, "ValidationException", "Input is too long for requested model.")
        fault = self._faults.strike(endpoint.model)
        if fault is not None and await _strike_early(fault, endpoint, streamed, reply, headers):
            return
        try:
            async with endpoint.generate(ask, fault, self._identities.wall()) as generation:
                await (_stream if streamed else _send_whole)(generation, reply, headers)
        except RefusedError as error:
            endpoint.bill.refuse("ThrottlingException")
            raise AwsError(429, "ThrottlingException", MESSAGES[error.why]) from None


def decode_converse(body: bytes, request_id: str, *, streamed: bool) -> Ask:
    """Read a Converse body; raises `AwsError` with a `ValidationException`."""
    try:
        document = json.loads(body)
        messages = document["messages"]
        texts = [_text_of(message["content"]) for message in messages]
        roles = [message["role"] for message in messages]
    except (ValueError, KeyError, TypeError):
        raise AwsError(400, "ValidationException", "The request body is malformed: messages.") from None
    if not messages or roles[0] != "user" or roles[-1] != "user":
        raise AwsError(400, "ValidationException", "A conversation must start and end with a user message.")
    if any(part.get("text", "x").strip() == "" for message in messages for part in message["content"]):
        raise AwsError(400, "ValidationException", "The text field in the ContentBlock object is blank.")
    system = [part.get("text", "") for part in document.get("system", [])]
    most = document.get("inferenceConfig", {}).get("maxTokens")
    if most is not None and (not isinstance(most, int) or most < 1):
        raise AwsError(400, "ValidationException", "inferenceConfig.maxTokens must be at least 1.")
    asked = [text for text, role in zip(texts, roles, strict=True) if role == "user"]
    kind = "stream" if streamed else "unary"
    return Ask(request_id, kind, (*system, *texts), asked[-1], most, _schema_of(document))


async def _send_whole(generation: Generation, reply: Reply, headers: dict[str, str]) -> None:
    text = await generation.whole()
    document = {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": _stop_reason(generation),
        **_accounting(generation),
    }
    fault = generation.fault
    if fault is not None and fault.kind is FaultKind.EXCEPTION:
        extra: dict[str, object] = {"originalStatusCode": 500, "resourceName": "model"}
        raise AwsError(424, "ModelErrorException", "The model returned an error.", extra)
    if fault is not None and fault.kind is FaultKind.CUT:
        body = json.dumps(document).encode()
        await reply.start_cut(200, {**headers, "content-type": "application/json"}, len(body))
        await reply.write(body[: len(body) // 2])
        await reply.drop()
    await reply.send_json(200, document, headers)


async def _stream(generation: Generation, reply: Reply, headers: dict[str, str]) -> None:
    await reply.start(200, {**headers, "content-type": EVENT_STREAM})
    begun = False
    try:
        async for piece in generation.pieces():
            if not begun:
                await reply.write(encode_json_event("messageStart", {"role": "assistant"}))
                begun = True
            await reply.write(_delta(piece))
    except StreamBrokenError:
        detail = {"message": FAILED, "originalStatusCode": 500, "originalMessage": "model failure"}
        await reply.write(encode_exception("modelStreamErrorException", detail))
        await reply.end()
        return
    except StreamCutError as cut:
        frame = _delta(cut.piece)
        await reply.write(frame[: len(frame) // 2])
        await reply.drop()
    await reply.write(
        encode_json_event("contentBlockStop", {"contentBlockIndex": 0})
        + encode_json_event("messageStop", {"stopReason": _stop_reason(generation)})
        + encode_json_event("metadata", _accounting(generation))
    )
    await reply.end()


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
        junk = corrupt_frame(_delta("lost")) if streamed else b"<html>502 Bad Gateway</html>"
        await reply.send(200, {**headers, **content_type}, junk)
    elif fault.kind is FaultKind.EMPTY:
        await reply.send(200, {**headers, **content_type}, b"")
    elif fault.kind is FaultKind.ERROR_IN_200:
        document = {"message": FAILED}
        frame = encode_exception("internalServerException", document)
        body = frame if streamed else json.dumps({"__type": "InternalServerException", **document}).encode()
        await reply.send(200, {**headers, **content_type}, body)
    else:
        return False
    endpoint.bill.refuse(fault.kind.value)
    return True


def _early_error(fault: Fault) -> AwsError:
    if fault.kind is FaultKind.THROTTLE:
        return AwsError(429, "ThrottlingException", MESSAGES["requests"])
    named = {
        503: ("ServiceUnavailableException", "The service is temporarily unavailable. Try again."),
        529: ("overloaded_error", "Overloaded"),
        408: ("ModelTimeoutException", "The model took too long to answer."),
        403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    }
    status = fault.status or 500
    code, message = named.get(status, ("InternalServerException", FAILED))
    return AwsError(status, code, message)


def _delta(piece: str) -> bytes:
    padding = "abcdefghijklmnopqrstuvwxyz"[
        : int(draw("padding", piece) * 26) + 1
    ]  # hides lengths on the wire
    return encode_json_event(
        "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}, "p": padding}
    )


def _accounting(generation: Generation) -> dict[str, Any]:
    used_input, used_output = generation.ask.input_tokens, generation.produced_tokens
    return {
        "usage": {
            "inputTokens": used_input,
            "outputTokens": used_output,
            "totalTokens": used_input + used_output,
            "cacheReadInputTokens": 0,
            "cacheWriteInputTokens": 0,
        },
        "metrics": {"latencyMs": generation.elapsed_ms()},
        "serviceTier": {"type": "default"},
    }


def _stop_reason(generation: Generation) -> str:
    return "max_tokens" if generation.stop == "length" else "end_turn"


def _text_of(content: list[dict[str, Any]]) -> str:
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))


def _schema_of(document: dict[str, Any]) -> dict[str, Any] | None:
    form = document.get("outputConfig", {}).get("textFormat", {})
    if form.get("type") != "json_schema":
        return None
    try:
        schema = json.loads(form["structure"]["jsonSchema"]["schema"])
    except (KeyError, ValueError, TypeError):
        raise AwsError(400, "ValidationException", "outputConfig.textFormat holds no JSON schema.") from None
    return schema if isinstance(schema, dict) else {"type": "object"}
