"""Bedrock runtime: converse, and invoke with Claude's own body, each whole and streamed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from crossfade.sim.dialects.call import BodyError, Call, Encoder
from crossfade.sim.dialects.converse import ConverseEncoder, decode_converse, encode_converse, encode_delta
from crossfade.sim.dialects.messages import MessageEncoder, decode_messages, encode_message
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint, Generation
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.aws import AwsError, answer_signed, error_headers
from crossfade.sim.services.face import Face, Refusal, Serving, Trouble, TroubleError, TroubleKind, serve
from crossfade.sim.wire.eventstream import corrupt_frame, encode_exception, encode_json_event
from crossfade.sim.wire.http import Reply, Request

MESSAGES = {
    "tokens": "Too many tokens, please wait before trying again.",
    "requests": "Too many requests, please wait before trying again.",
}
FAILED = "The system encountered an unexpected error during processing. Try your request again."
PROFILE_REGIONS = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "eu": ("eu-central-1", "eu-west-1", "eu-north-1"),
}
CONVERSE, INVOKE = ("converse", "converse-stream"), ("invoke", "invoke-with-response-stream")


@dataclass(frozen=True, slots=True)
class ConverseFace:
    """How converse is said."""

    stream_type = "application/vnd.amazon.eventstream"

    def document(self, generation: Generation) -> Any:
        """The whole answer."""
        return encode_converse(generation)

    def encoder(self, generation: Generation) -> Encoder:  # noqa: ARG002 - the stream tells as it goes
        """Frames."""
        return ConverseEncoder()

    def refuse(self, trouble: Trouble) -> Refusal:
        """A REST-JSON error."""
        error = refuse_bedrock(trouble)
        document = {"message": error.message, **error.extra}
        return Refusal(error.status, error.code, document, error_headers(error, "bedrock"))

    def stream_error(self, trouble: Trouble) -> bytes:  # noqa: ARG002 - a stream breaks in one way
        """A modelled exception."""
        detail = {"message": FAILED, "originalStatusCode": 500, "originalMessage": "model failure"}
        return encode_exception("modelStreamErrorException", detail)

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:  # noqa: ARG002
        """Bedrock tells no limits."""
        return {}

    def junk(self, *, stream: bool) -> bytes:
        """A frame with a wrong checksum, or a proxy's page."""
        return corrupt_frame(encode_delta(0, {"text": "lost"})) if stream else b"<html>502 Bad Gateway</html>"

    def empty(self, *, stream: bool) -> bytes:  # noqa: ARG002 - there is no end marker
        """Nothing."""
        return b""


@dataclass(frozen=True, slots=True)
class InvokeFace(ConverseFace):
    """How invoke is said for Claude: its own body, in chunks when streamed."""

    message_id: str
    served: str

    def document(self, generation: Generation) -> Any:
        """Claude's message."""
        return encode_message(generation, self.message_id, self.served)

    def encoder(self, generation: Generation) -> Encoder:
        """Claude's events, each in a chunk."""
        return ChunkedMessageEncoder(generation, self.message_id, self.served)

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
            event = {**event, "amazon-bedrock-invocationMetrics": {
                "inputTokenCount": generation.ask.input_tokens,
                "outputTokenCount": generation.produced_tokens,
                "invocationLatency": generation.elapsed_ms(),
                "firstByteLatency": round(generation.timing.first_s * 1000),
                "cacheReadInputTokenCount": generation.cache_read,
                "cacheWriteInputTokenCount": generation.cache_write,
            }}  # fmt: skip
        inner = base64.b64encode(json.dumps(event, separators=(",", ":")).encode()).decode()
        return encode_json_event("chunk", {"bytes": inner, "p": "abc"})


class BedrockService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""

        async def signed(region: str, headers: dict[str, str]) -> None:
            try:
                await self._route(request, reply, region, headers)
            except BodyError as error:
                raise AwsError(400, "ValidationException", error.message) from None
            except TroubleError as error:
                raise refuse_bedrock(error.trouble) from None

        await answer_signed(request, reply, self._identities, "bedrock", signed)

    async def _route(self, request: Request, reply: Reply, region: str, headers: dict[str, str]) -> None:
        parts = request.path.split("/")
        if request.method == "GET" and parts[1] == "inference-profiles" and len(parts) == 3:
            await reply.send_json(200, self._profile(unquote(parts[2])), headers)
            return
        known = (*CONVERSE, *INVOKE)
        if request.method != "POST" or len(parts) != 4 or parts[1] != "model" or parts[3] not in known:
            raise AwsError(404, "UnknownOperationException", "The operation is not served here.")
        model, operation = unquote(parts[2]), parts[3]
        endpoint = self._endpoints.get(model)
        if endpoint is None or endpoint.model.region not in {None, region}:
            raise TroubleError(Trouble(TroubleKind.MODEL, model))
        call, face = self._decode(request.body, headers["x-amzn-RequestId"], model, operation)
        serving = Serving(call, endpoint, face, reply, headers)
        await serve(serving, self._faults, self._identities.wall())

    def _profile(self, name: str) -> dict[str, Any]:
        """The control plane's answer about a cross-region profile."""
        prefix, _, model = name.partition(".")
        if name not in self._endpoints or prefix not in PROFILE_REGIONS:
            raise AwsError(404, "ResourceNotFoundException", "The inference profile was not found.")
        account = self._identities.config.account
        return {
            "inferenceProfileName": name,
            "inferenceProfileId": name,
            "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:{account}:inference-profile/{name}",
            "models": [
                {"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model}"}
                for region in PROFILE_REGIONS[prefix]
            ],
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        }

    def _decode(self, body: bytes, request_id: str, model: str, operation: str) -> tuple[Call, Face]:
        if operation in CONVERSE:
            streamed = operation == CONVERSE[1]
            return decode_converse(body, request_id, model, streamed=streamed), ConverseFace()
        call = decode_messages(body, request_id, model, stream=operation == INVOKE[1])
        if "anthropic_version" not in call.params:
            raise BodyError("anthropic_version: Field required")
        name = model.rpartition("/")[2].rpartition("anthropic.")[2]
        return call, InvokeFace(f"msg_bdrk_{request_id.replace('-', '')}", name)


def refuse_bedrock(trouble: Trouble) -> AwsError:
    """Bedrock's errors."""
    invalid = "ValidationException"
    match trouble.kind:
        case TroubleKind.MODEL:
            return AwsError(400, invalid, "The provided model identifier is invalid.")
        case TroubleKind.LONG:
            return AwsError(400, invalid, "Input is too long for requested model.")
        case TroubleKind.UNSUPPORTED:
            return AwsError(400, invalid, f"This model doesn't support the {trouble.detail} field.")
        case TroubleKind.FULL:
            return AwsError(429, "ThrottlingException", MESSAGES[trouble.detail])
        case TroubleKind.BROKEN if trouble.status is None:
            extra: dict[str, object] = {"originalStatusCode": 500, "resourceName": "model"}
            return AwsError(424, "ModelErrorException", "The model returned an error.", extra)
        case TroubleKind.BROKEN:
            return _early_error(trouble.status or 500)
        case _:
            return AwsError(400, invalid, trouble.detail)


def _early_error(status: int) -> AwsError:
    named = {
        503: ("ServiceUnavailableException", "The service is temporarily unavailable. Try again."),
        529: ("overloaded_error", "Overloaded"),
        408: ("ModelTimeoutException", "The model took too long to answer."),
        403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    }
    code, message = named.get(status, ("InternalServerException", FAILED))
    return AwsError(status, code, message)
