"""One address for every token endpoint but STS: each is known by its path.

`POST /issue` is the simulation's own: a workload's token, as `kubectl create token` would make one.
"""

from __future__ import annotations

import json

from crossfade.sim.endpoints.faults import FaultKind, Faults
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.tokens.entra import EntraTokens
from crossfade.sim.tokens.exchange import exchange_openai
from crossfade.sim.tokens.google import GoogleTokens
from crossfade.sim.tokens.instance import InstanceTokens
from crossfade.sim.wire.http import Reply, Request


class TokenService:
    """Routes to the provider whose path it is."""

    def __init__(self, identities: Identities, faults: Faults) -> None:
        self._identities = identities
        self._faults = faults
        self._google = GoogleTokens(identities)
        self._entra = EntraTokens(identities)
        self._instance = InstanceTokens(identities)

    async def answer(self, request: Request, reply: Reply) -> None:
        """Answer one call."""
        fault = self._faults.of_tokens()
        if fault is not None and request.path != "/issue":
            if fault.kind is FaultKind.DEAD:
                await reply.drop()
            await reply.send_json(fault.status or 503, {"error": "temporarily_unavailable"})
        elif request.path.startswith("/computeMetadata/") or request.path == "/":
            await self._google.metadata(request, reply)
        elif request.path.startswith("/latest/"):
            await self._instance.imds(request, reply)
        else:
            await self._route(request, reply)

    async def _route(self, request: Request, reply: Reply) -> None:
        match request.method, request.path:
            case "POST", "/issue":
                await self._issue(request, reply)
            case "GET", "/jwks":
                await reply.send_json(200, self._identities.issuer.keys())
            case "GET", "/v1/credentials":
                await self._instance.container(request, reply)
            case "GET", "/metadata/identity/oauth2/token" | "/msi/token":
                await self._entra.managed_identity(request, reply)
            case "POST", "/v1/token":
                await self._google.exchange(request, reply)
            case "POST", "/oauth/token":
                await exchange_openai(request, reply, self._identities)
            case _:
                if not await self._google.impersonate(request, reply) and not await self._entra.answer(
                    request, reply
                ):
                    await reply.send_json(404, {"error": "not_found"})

    async def _issue(self, request: Request, reply: Reply) -> None:
        wanted = json.loads(request.body or b"{}")
        subject = wanted.get("sub", "system:serviceaccount:llm:gateway")
        lifetime_s = float(wanted.get("lifetime_s", 3600))
        token = self._identities.issuer.issue(subject, wanted.get("aud", "sts.amazonaws.com"), lifetime_s)
        await reply.send_json(200, {"token": token})
