"""Vertex AI: generate-content and Claude by access token, with bought throughput before the shared pool."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from crossfade.sim.dialects.call import BodyError, Call, read_object
from crossfade.sim.dialects.generate_content import decode_generate
from crossfade.sim.dialects.messages import decode_messages
from crossfade.sim.dialects.messages import read_ask as read_messages
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.anthropic import MessagesFace, refuse_anthropic
from crossfade.sim.services.face import (
    Face,
    Refusal,
    Serving,
    Trouble,
    TroubleError,
    TroubleKind,
    send_refusal,
    serve,
)
from crossfade.sim.services.gemini import GENERATE, count_google
from crossfade.sim.services.google import GenerateFace, is_shared, refuse_google
from crossfade.sim.services.openai import begin_openai
from crossfade.sim.wire.http import Reply, Request

_PATH = re.compile(
    r"/v1(?:beta1)?/(?P<place>projects/[^/]+/locations/(?P<region>[^/]+))/publishers/(?P<publisher>[^/]+)"
    r"/models/(?P<model>[^/:]+):(?P<method>\w+)"
)
_CHAT = re.compile(
    r"/v1(?:beta1)?/(?P<place>projects/[^/]+/locations/[^/]+)/endpoints/openapi/chat/completions"
)
# kinds of trouble that Google's front door answers, whoever made the model
FRONT_DOOR = (
    TroubleKind.KEY,
    TroubleKind.EXPIRED,
    TroubleKind.FORBIDDEN,
    TroubleKind.MODEL,
    TroubleKind.FULL,
    TroubleKind.ROUTE,
)


@dataclass(frozen=True, slots=True)
class ClaudeFace(MessagesFace):
    """Anthropic's words behind Google's front door."""

    def refuse(self, trouble: Trouble) -> Refusal:
        """Google's document for quota and identity, Anthropic's for the rest."""
        if trouble.kind in FRONT_DOOR:
            return refuse_google(trouble)
        return refuse_anthropic(trouble, self.request_id)


@dataclass(frozen=True, slots=True)
class _Target:
    """The parsed address."""

    place: str
    region: str
    publisher: str
    model: str
    method: str


class VertexService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        matched = _PATH.fullmatch(unquote(request.path))
        is_claude = matched is not None and matched["publisher"] == "anthropic"
        try:
            try:
                await self._route(request, reply, matched)
            except BodyError as error:
                raise TroubleError(Trouble(TroubleKind.BODY, error.message)) from None
        except TroubleError as error:
            if is_claude and error.trouble.kind not in FRONT_DOOR:
                await send_refusal(reply, refuse_anthropic(error.trouble, uuid.uuid4().hex), {})
                return
            refusal = refuse_google(error.trouble, shared=error.trouble.param == "shared")
            if (
                matched is not None
                and matched["method"] == "streamGenerateContent"
                and not request.query("alt")
            ):
                refusal = Refusal(refusal.status, refusal.code, [refusal.document])
            await send_refusal(reply, refusal, {})

    async def _route(self, request: Request, reply: Reply, matched: re.Match[str] | None) -> None:
        if chat := _CHAT.fullmatch(unquote(request.path)):
            self._authenticate(request, chat["place"])
            await self._chat(request, reply)
            return
        if request.method != "POST" or matched is None:
            self._authenticate(request, request.path)
            raise TroubleError(Trouble(TroubleKind.ROUTE, request.path))
        target = _Target(**matched.groupdict())
        self._authenticate(request, target.place)
        if target.method == "countTokens":
            await reply.send_json(200, count_google(read_object(request.body)))
        elif target.model == "count-tokens":
            ask = read_messages(read_object(request.body), "count", stream=False, counting=True)
            await reply.send_json(200, {"input_tokens": ask.input_tokens})
        elif target.method in {*GENERATE, "rawPredict", "streamRawPredict"}:
            await self._generate(request, reply, target)
        else:
            raise TroubleError(Trouble(TroubleKind.ROUTE, request.path))

    def _authenticate(self, request: Request, place: str) -> None:
        state = self._identities.bearers.state("google", request.bearer())
        if state != "good":
            kinds = {"expired": TroubleKind.EXPIRED, "other": TroubleKind.FORBIDDEN}
            raise TroubleError(Trouble(kinds.get(state, TroubleKind.KEY), place))

    async def _generate(self, request: Request, reply: Reply, target: _Target) -> None:
        request_id = uuid.uuid4().hex[:22]
        stream = target.method.startswith("stream")
        if target.publisher == "anthropic":
            call = decode_messages(request.body, request_id, target.model)
            if "anthropic_version" not in json.loads(request.body):
                raise TroubleError(Trouble(TroubleKind.BODY, "anthropic_version: Field required"))
        else:
            call = decode_generate(request.body, request_id, target.model, stream=stream)
        candidates = self._candidates(call, target, request.header("x-vertex-ai-llm-request-type"))
        for place, endpoint in enumerate(candidates):
            face = self._face(target, endpoint, request_id, sse=not stream or request.query("alt") == "sse")
            serving = Serving(call, endpoint, face, reply, {})
            try:
                await serve(serving, self._faults, self._identities.wall())
            except TroubleError as error:
                if error.trouble.kind is TroubleKind.FULL and place + 1 < len(candidates):
                    continue  # bought throughput is full: the shared pool takes over in silence
                if error.trouble.kind is TroubleKind.FULL and is_shared(endpoint):
                    raise TroubleError(Trouble(TroubleKind.FULL, error.trouble.detail, "shared")) from None
                raise
            return

    async def _chat(self, request: Request, reply: Reply) -> None:
        """The OpenAI-compatible surface: models are named `google/…`."""
        decoded = begin_openai(request, False, reply, {"x-request-id": f"req_{uuid.uuid4().hex}"})
        name = (decoded.call.model or "").removeprefix("google/")
        if name not in self._endpoints:
            raise TroubleError(Trouble(TroubleKind.MODEL, name))
        await serve(decoded.at(self._endpoints[name]), self._faults, self._identities.wall())

    def _candidates(self, call: Call, target: _Target, wanted: str | None) -> list[Endpoint]:
        """Bought throughput of the model, then its on-demand endpoint, as the request type allows."""
        found = [
            endpoint
            for endpoint in self._endpoints.values()
            if call.model in {endpoint.model.id, endpoint.model.serves}
            and endpoint.model.region in {None, target.region}
        ]
        bought = [endpoint for endpoint in found if endpoint.model.is_provisioned]
        shared = [endpoint for endpoint in found if not endpoint.model.is_provisioned]
        chosen = {"dedicated": bought, "shared": shared}.get(wanted or "", [*bought, *shared])
        if not found:
            name = f"Publisher Model `{target.place}/publishers/{target.publisher}/models/{target.model}`"
            raise TroubleError(Trouble(TroubleKind.MODEL, name))
        if not chosen:
            raise TroubleError(Trouble(TroubleKind.FULL, "provisioned"))
        return chosen

    def _face(self, target: _Target, endpoint: Endpoint, request_id: str, *, sse: bool) -> Face:
        served = endpoint.model.serves or endpoint.model.id
        if target.publisher == "anthropic":
            return ClaudeFace(request_id, served.partition("@")[0])
        traffic = "PROVISIONED_THROUGHPUT" if endpoint.model.is_provisioned else "ON_DEMAND"
        return GenerateFace(request_id, served, traffic, is_shared(endpoint), sse)
