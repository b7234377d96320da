"""What the AWS services share: who asks, request ids and the form of errors."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.wire.http import Reply, Request
from crossfade.sim.wire.sigv4 import SignatureError

CORAL = ":http://internal.amazon.com/coral/com.amazon.{service}/"


class AwsError(Exception):
    """An answer in AWS's error form; `extra` goes into the body beside the message."""

    def __init__(self, status: int, code: str, message: str, extra: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extra = extra or {}


def begin_headers() -> dict[str, str]:
    """A fresh request id."""
    return {"x-amzn-RequestId": str(uuid.uuid4())}


async def answer_signed(
    request: Request,
    reply: Reply,
    identities: Identities,
    service: str,
    answer: Callable[[str, dict[str, str]], Awaitable[None]],
) -> None:
    """Verify the signature, then run `answer(region, headers)`; errors leave in AWS's form."""
    headers = begin_headers()
    try:
        try:
            claims = identities.verify_signed(request.message, service)
        except SignatureError as error:
            raise AwsError(403, error.code, error.message) from None
        await answer(claims.region, headers)
    except AwsError as error:
        await send_error(reply, headers, error, service)


async def send_error(reply: Reply, headers: dict[str, str], error: AwsError, service: str) -> None:
    """The error form of the REST-JSON services, with the URL suffix real services put on the type."""
    headers = {**headers, **error_headers(error, service)}
    key = "Message" if service == "sagemaker" else "message"
    await reply.send_json(error.status, {key: error.message, **error.extra}, headers)


def error_headers(error: AwsError, service: str) -> dict[str, str]:
    """Where the REST-JSON services put the error's code."""
    return {"x-amzn-ErrorType": error.code + CORAL.format(service=service)}
