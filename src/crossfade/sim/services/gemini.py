"""The Gemini API: generate-content by API key, whole and streamed, token counts, embeddings, models."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from crossfade.sim.dialects.call import BodyError, read_object
from crossfade.sim.dialects.embeddings import DIMENSIONS, embed
from crossfade.sim.dialects.generate_content import decode_generate, read_ask
from crossfade.sim.endpoints.bills import Used
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.face import (
    Serving,
    Trouble,
    TroubleError,
    TroubleKind,
    find_endpoint,
    send_refusal,
    serve,
)
from crossfade.sim.services.google import GenerateFace, is_shared, refuse_google
from crossfade.sim.text import count_tokens
from crossfade.sim.wire.http import Reply, Request

_PATH = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<method>\w+)")
GENERATE = ("generateContent", "streamGenerateContent")


class GeminiService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        try:
            self._authenticate(request)
            await self._route(request, reply)
        except BodyError as error:
            await send_refusal(reply, refuse_google(Trouble(TroubleKind.BODY, error.message)), {})
        except TroubleError as error:
            await send_refusal(reply, refuse_google(error.trouble), {})

    def _authenticate(self, request: Request) -> None:
        key = request.header("x-goog-api-key") or request.query("key")
        if not self._identities.is_api_key(key):
            raise TroubleError(Trouble(TroubleKind.KEY, param="key"))

    async def _route(self, request: Request, reply: Reply) -> None:
        if request.method == "GET" and re.fullmatch(r"/v1(?:beta)?/models", request.path):
            models = [{"name": f"models/{name}", "displayName": name} for name in self._endpoints]
            await reply.send_json(200, {"models": models})
            return
        matched = _PATH.fullmatch(unquote(request.path))
        if request.method != "POST" or matched is None:
            raise TroubleError(Trouble(TroubleKind.ROUTE, request.path))
        model, method = matched["model"], matched["method"]
        if method == "countTokens":
            await reply.send_json(200, count_google(read_object(request.body)))
        elif method in {"embedContent", "batchEmbedContents"}:
            await self._embed(request.body, model, reply)
        elif method in GENERATE:
            await self._generate(request, reply, model, method)
        else:
            raise TroubleError(Trouble(TroubleKind.ROUTE, request.path))

    async def _generate(self, request: Request, reply: Reply, model: str, method: str) -> None:
        response_id = uuid.uuid4().hex[:22]
        stream = method == "streamGenerateContent"
        call = decode_generate(request.body, response_id, model, stream=stream)
        endpoint = find_endpoint(self._endpoints, call)
        sse = not stream or request.query("alt") == "sse"
        face = GenerateFace(response_id, endpoint.model.serves or model, None, is_shared(endpoint), sse)
        await serve(Serving(call, endpoint, face, reply, {}), self._faults, self._identities.wall())

    async def _embed(self, body: bytes, model: str, reply: Reply) -> None:
        endpoint = self._endpoints.get(model)
        if endpoint is None:
            raise TroubleError(Trouble(TroubleKind.MODEL, f"models/{model}"))
        document = read_object(body)
        asked = document.get("requests")
        requests = [document] if asked is None else asked
        texts = ["\n".join(part.get("text", "") for part in each["content"]["parts"]) for each in requests]
        tokens = sum(map(count_tokens, texts))
        endpoint.bill.add(
            uuid.uuid4().hex, "embedding", "completed", Used(tokens, 0), self._identities.wall()
        )
        vectors = [{"values": embed(text, DIMENSIONS)} for text in texts]
        await reply.send_json(200, {"embedding": vectors[0]} if asked is None else {"embeddings": vectors})


def count_google(document: dict[str, Any]) -> dict[str, Any]:
    """The answer to a token count; raises `BodyError`."""
    inner = document.get("generateContentRequest") or document
    tokens = read_ask(inner, "count", stream=False).input_tokens
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return {"totalTokens": tokens, "promptTokensDetails": details}
