"""How Bedrock says things: converse's answers, and the errors of every operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossfade.sim.dialects.call import Encoder
from crossfade.sim.dialects.converse import ConverseEncoder, delta_of, encode_converse
from crossfade.sim.endpoints.generation import Endpoint, Generation
from crossfade.sim.services.amazon.aws import AwsError, error_headers
from crossfade.sim.services.face import Refusal, Trouble, TroubleKind
from crossfade.sim.wire.eventstream import corrupt_frame, encode_exception, encode_json_event

MESSAGES = {
    "tokens": "Too many tokens, please wait before trying again.",
    "requests": "Too many requests, please wait before trying again.",
}
FAILED = "The system encountered an unexpected error during processing. Try your request again."


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
        return (
            corrupt_frame(encode_json_event("contentBlockDelta", delta_of(0, {"text": "lost"})))
            if stream
            else b"<html>502 Bad Gateway</html>"
        )

    def empty(self, *, stream: bool) -> bytes:  # noqa: ARG002 - there is no end marker
        """Nothing."""
        return b""


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
