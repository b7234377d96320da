"""One way to answer a model call: faults, admission, the stream or the document, refusals.

A `Face` is how one service says things; `serve` is what happens, the same for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from crossfade.sim.dialects.call import Call, Encoder
from crossfade.sim.endpoints.faults import Fault, FaultKind, Faults
from crossfade.sim.endpoints.generation import (
    Endpoint,
    Generation,
    RefusedError,
    StreamBrokenError,
    StreamCutError,
)
from crossfade.sim.wire.http import Reply


class TroubleKind(StrEnum):
    """Why a call is not answered."""

    KEY = "key"  # an unknown key
    EXPIRED = "expired"  # a token that was good once
    FORBIDDEN = "forbidden"  # a good token for something else
    BODY = "body"
    UNSUPPORTED = "unsupported"  # a parameter this model refuses
    MODEL = "model"
    ROUTE = "route"
    LONG = "long"  # more input than the context holds
    FULL = "full"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Trouble:
    """`detail` is the message, the parameter or what was exhausted; `status` what a fault asked for."""

    kind: TroubleKind
    detail: str = ""
    param: str | None = None
    status: int | None = None
    retry_after_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A trouble in the service's own words; `code` is how the bill counts it."""

    status: int
    code: str
    document: Any
    headers: dict[str, str] = field(default_factory=dict)


class TroubleError(Exception):
    """Ends a call with a refusal."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.kind.value)
        self.trouble = trouble


class Face(Protocol):
    """How one service says things."""

    @property
    def stream_type(self) -> str:
        """The content type of a stream."""

    def document(self, generation: Generation) -> Any:
        """The whole answer."""

    def encoder(self, generation: Generation) -> Encoder:
        """The events of a streamed answer."""

    def refuse(self, trouble: Trouble) -> Refusal:
        """An error document."""

    def stream_error(self, trouble: Trouble) -> bytes:
        """The same inside a stream that began with status 200."""

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:
        """Limits and timings."""

    def junk(self, *, stream: bool) -> bytes:
        """Bytes that are not the dialect."""

    def empty(self, *, stream: bool) -> bytes:
        """An answer without content."""


@dataclass(frozen=True, slots=True)
class Serving:
    """One call on its way to one endpoint."""

    call: Call
    endpoint: Endpoint
    face: Face
    reply: Reply
    headers: dict[str, str]


def find_endpoint(endpoints: Mapping[str, Endpoint], call: Call) -> Endpoint:
    """The endpoint of the call's model; raises `TroubleError`."""
    endpoint = endpoints.get(call.model or "")
    if endpoint is None:
        raise TroubleError(Trouble(TroubleKind.MODEL, call.model or ""))
    return endpoint


async def serve(serving: Serving, faults: Faults, unix_s: float) -> None:
    """Answer, or raise `TroubleError` (counted in the bill)."""
    call, endpoint = serving.call, serving.endpoint
    for rejected in sorted(call.params & set(endpoint.model.rejects)):
        raise TroubleError(Trouble(TroubleKind.UNSUPPORTED, rejected, rejected))
    if call.ask.input_tokens > endpoint.model.context_tokens:
        raise TroubleError(Trouble(TroubleKind.LONG))
    fault = faults.strike(endpoint.model)
    try:
        if fault is not None and await _strike_early(fault, serving):
            endpoint.bill.refuse(fault.kind.value)
            return
        async with endpoint.generate(call.ask, fault, unix_s) as generation:
            await (_stream if call.stream else _send_whole)(serving, generation)
    except RefusedError as error:
        full = Trouble(TroubleKind.FULL, error.why, retry_after_s=error.retry_after_s)
        endpoint.bill.refuse(serving.face.refuse(full).code)
        raise TroubleError(full) from None


async def send_refusal(reply: Reply, refusal: Refusal, headers: dict[str, str]) -> None:
    """Send an error document."""
    await reply.send_json(refusal.status, refusal.document, {**headers, **refusal.headers})


async def _stream(serving: Serving, generation: Generation) -> None:
    face, reply = serving.face, serving.reply
    live = face.headers(serving.endpoint, None)
    await reply.start(200, {**serving.headers, **live, "content-type": face.stream_type})
    encoder = face.encoder(generation)
    await reply.write(encoder.begin())
    try:
        async for piece in generation.pieces():
            await reply.write(encoder.piece(piece))
    except StreamBrokenError:
        await reply.write(face.stream_error(Trouble(TroubleKind.BROKEN)))
        await reply.end()
        return
    except StreamCutError as cut:
        data = encoder.piece(cut.piece)
        await reply.write(data[: len(data) // 2])
        await reply.drop()
    await reply.write(encoder.end(generation))
    await reply.end()


async def _send_whole(serving: Serving, generation: Generation) -> None:
    face, reply = serving.face, serving.reply
    await generation.whole()
    headers = serving.headers | face.headers(serving.endpoint, generation)
    fault = generation.fault
    if fault is not None and fault.kind is FaultKind.EXCEPTION:
        await send_refusal(reply, face.refuse(Trouble(TroubleKind.BROKEN)), headers)
        return
    document = face.document(generation)
    if fault is not None and fault.kind is FaultKind.CUT:
        await reply.send_json_cut(document, headers)
    await reply.send_json(200, document, headers)


async def _strike_early(fault: Fault, serving: Serving) -> bool:
    """Act out the faults that leave no answer; true when one did."""
    face, reply, stream = serving.face, serving.reply, serving.call.stream
    headers = {**serving.headers, "content-type": face.stream_type if stream else "application/json"}
    if fault.kind is FaultKind.DEAD:
        serving.endpoint.bill.refuse(fault.kind.value)
        await reply.drop()
    elif fault.kind is FaultKind.ERRORS:
        trouble = Trouble(TroubleKind.BROKEN, status=fault.status or 500)
        await send_refusal(reply, face.refuse(trouble), serving.headers)
    elif fault.kind is FaultKind.THROTTLE:
        wait_s = (fault.delay_ms or 1000) / 1000
        full = Trouble(TroubleKind.FULL, "requests", retry_after_s=wait_s)
        await send_refusal(reply, face.refuse(full), serving.headers)
    elif fault.kind is FaultKind.GARBAGE:
        await reply.send(200, headers, face.junk(stream=stream))
    elif fault.kind is FaultKind.EMPTY:
        await reply.send(200, headers, face.empty(stream=stream))
    elif fault.kind is FaultKind.ERROR_IN_200:
        trouble = Trouble(TroubleKind.BROKEN)
        whole = json.dumps(face.refuse(trouble).document).encode()
        await reply.send(200, headers, face.stream_error(trouble) if stream else whole)
    else:
        return False
    return True
