"""Azure OpenAI: deployments of chat and responses, by key or Entra token; full PTUs spill over if told to."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from crossfade.sim.dialects.call import BodyError, Encoder, encode_sse
from crossfade.sim.dialects.embeddings import embed_openai
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint, Generation
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.load.metered import Throughput
from crossfade.sim.services.face import (
    Refusal,
    Serving,
    Trouble,
    TroubleError,
    TroubleKind,
    send_refusal,
    serve,
)
from crossfade.sim.services.openai import (
    ChatFace,
    ResponseFace,
    begin_openai,
    full_in_s,
    refuse_openai,
    waits,
)
from crossfade.sim.wire.http import Reply, Request

_LEGACY = re.compile(r"/openai/deployments/(?P<deployment>[^/]+)/(?P<operation>chat/completions|embeddings)")
_V1 = re.compile(r"/openai/v1/(?P<operation>chat/completions|responses|embeddings)")
SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}


@dataclass(frozen=True, slots=True)
class AzureChatFace(ChatFace):
    """OpenAI's chat with the findings of the content filter."""

    def document(self, generation: Generation) -> Any:
        """The whole answer with filter results."""
        document = ChatFace.document(self, generation)
        document["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": SAFE}]
        for choice in document["choices"]:
            choice["content_filter_results"] = SAFE
        return document

    def encoder(self, generation: Generation) -> Encoder:
        """Chunks, the first of which has no choice and tells of the prompt."""
        return FilteredEncoder(ChatFace.encoder(self, generation), self.request_id, self.served)

    def refuse(self, trouble: Trouble) -> Refusal:
        """Azure's error document."""
        return refuse_azure(trouble)

    def stream_error(self, trouble: Trouble) -> bytes:
        """An error chunk."""
        return encode_sse(refuse_azure(trouble).document)

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:  # noqa: ARG002
        """Rate limits of a standard deployment, utilisation of a provisioned one."""
        return azure_headers(endpoint)


@dataclass(frozen=True, slots=True)
class AzureResponseFace(ResponseFace):
    """OpenAI's responses with Azure's errors and limits."""

    def refuse(self, trouble: Trouble) -> Refusal:
        """Azure's error document."""
        return refuse_azure(trouble)

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:  # noqa: ARG002
        """As for chat."""
        return azure_headers(endpoint)


class FilteredEncoder:
    """A chat stream that opens with the filter's view of the prompt."""

    def __init__(self, chunks: Encoder, request_id: str, model: str) -> None:
        self._chunks = chunks
        head = {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": model,
        }
        found = {"prompt_index": 0, "content_filter_results": SAFE}
        self._head = encode_sse({**head, "choices": [], "prompt_filter_results": [found]})

    def begin(self) -> bytes:
        """The prompt's results, then the role."""
        return self._head + self._chunks.begin()

    def piece(self, piece: Any) -> bytes:
        """As OpenAI."""
        return self._chunks.piece(piece)

    def end(self, generation: Generation) -> bytes:
        """As OpenAI."""
        return self._chunks.end(generation)


class AzureService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        request_id = uuid.uuid4().hex
        headers = {
            "x-request-id": f"req_{request_id}",
            "apim-request-id": str(uuid.uuid4()),
            "x-ms-region": "East US 2",
        }
        try:
            self._authenticate(request)
            await self._route(request, reply, headers)
        except TroubleError as error:
            await send_refusal(reply, refuse_azure(error.trouble), headers)

    def _authenticate(self, request: Request) -> None:
        key = request.header("api-key")
        if key is not None and self._identities.is_api_key(key):
            return
        scopes = self._identities.config.azure_scopes
        states = {self._identities.bearers.state(f"azure:{scope}", request.bearer()) for scope in scopes}
        if "good" not in states:
            kinds = {"expired": TroubleKind.EXPIRED, "other": TroubleKind.FORBIDDEN}
            worst = next((kinds[state] for state in ("expired", "other") if state in states), TroubleKind.KEY)
            raise TroubleError(Trouble(worst))

    async def _route(self, request: Request, reply: Reply, headers: dict[str, str]) -> None:
        legacy = _LEGACY.fullmatch(unquote(request.path))
        matched = legacy or _V1.fullmatch(request.path)
        if request.method != "POST" or matched is None or (legacy and not request.query("api-version")):
            raise TroubleError(Trouble(TroubleKind.ROUTE, "Resource not found"))
        if matched["operation"] == "embeddings":
            await self._embed(request, legacy["deployment"] if legacy else None, reply, headers)
            return
        decoded = begin_openai(request, matched["operation"] == "responses", reply, headers)
        deployment = legacy["deployment"] if legacy else decoded.call.model or ""
        endpoint = self._find(deployment)
        face = AzureResponseFace if decoded.face is ResponseFace else AzureChatFace
        serving = replace(decoded, face=face).at(endpoint)
        serving.headers["x-ms-deployment-name"] = deployment
        try:
            await serve(serving, self._faults, self._identities.wall())
        except TroubleError as error:
            spill = endpoint.model.spills_to or request.header("x-ms-spillover-deployment")
            if (
                spill is None
                or not endpoint.model.is_provisioned
                or error.trouble.kind is not TroubleKind.FULL
            ):
                raise
            await self._spill(serving, spill, deployment, error)

    async def _spill(self, serving: Serving, spill: str, deployment: str, why: TroubleError) -> None:
        serving.headers["x-ms-spillover-from-deployment"] = deployment
        serving.headers["x-ms-deployment-name"] = spill
        second = Serving(serving.call, self._find(spill), serving.face, serving.reply, serving.headers)
        try:
            await serve(second, self._faults, self._identities.wall())
        except TroubleError as error:
            serving.headers["x-ms-spillover-error"] = refuse_azure(error.trouble).code
            raise why from None

    async def _embed(
        self, request: Request, deployment: str | None, reply: Reply, headers: dict[str, str]
    ) -> None:
        known = {deployment: self._find(deployment)} if deployment else self._endpoints
        body = request.body
        if deployment:
            body = body[:-1].rstrip() + f', "model": "{deployment}"}}'.encode()
        try:
            document = embed_openai(body, known, headers["x-request-id"])
        except BodyError as error:
            raise TroubleError(Trouble(TroubleKind.BODY, error.message, error.param)) from None
        if document is None:
            raise TroubleError(Trouble(TroubleKind.MODEL))
        await reply.send_json(200, document, headers)

    def _find(self, deployment: str) -> Endpoint:
        if deployment not in self._endpoints:
            raise TroubleError(Trouble(TroubleKind.MODEL, deployment))
        return self._endpoints[deployment]


def refuse_azure(trouble: Trouble) -> Refusal:
    """Azure's error documents where they differ from OpenAI's."""
    match trouble.kind:
        case TroubleKind.KEY | TroubleKind.EXPIRED | TroubleKind.FORBIDDEN:
            message = {
                TroubleKind.KEY: "Access denied due to invalid subscription key or wrong API endpoint.",
                TroubleKind.EXPIRED: "Access token is expired.",
                TroubleKind.FORBIDDEN: "Access token is missing, invalid, or its audience is incorrect.",
            }[trouble.kind]
            return _refusal(401, "401" if trouble.kind is TroubleKind.KEY else "Unauthorized", message)
        case TroubleKind.MODEL:
            message = (
                "The API deployment for this resource does not exist. If you created the deployment within "
                "the last 5 minutes, please wait a moment and try again."
            )
            return _refusal(404, "DeploymentNotFound", message)
        case TroubleKind.ROUTE:
            return _refusal(404, "404", trouble.detail)
        case TroubleKind.FULL:
            wait_ms, headers = waits(trouble.retry_after_s)
            message = (
                "Requests to the ChatCompletions Operation under Azure OpenAI API have exceeded rate limit "
                f"of your deployment. Please retry after {-(-wait_ms // 1000)} seconds."
            )
            refusal = _refusal(429, "429", message)
            return Refusal(429, "429", refusal.document, headers)
        case _:
            return refuse_openai(trouble)


def azure_headers(endpoint: Endpoint) -> dict[str, str]:
    """Limits with resets in milliseconds, as recorded; utilisation of provisioned deployments in percent."""
    if isinstance(endpoint.load, Throughput):
        used = endpoint.load.utilisation(asyncio.get_running_loop().time())
        return {"azure-openai-deployment-utilization": f"{used * 100:.0f}%"}
    found = endpoint.remaining()
    if found is None:
        return {}
    quota, tokens, _ = found
    return {
        "x-ratelimit-limit-tokens": str(int(quota.tpm)),
        "x-ratelimit-remaining-tokens": str(int(tokens)),
        "x-ratelimit-renewalperiod-tokens": "60",
        "x-ratelimit-reset-tokens": str(round(full_in_s(quota) * 1000)),
    }


def _refusal(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, code, {"error": {"code": code, "message": message}})
