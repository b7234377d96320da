"""Microsoft Entra: client credentials with a federated assertion, and machines' managed identities."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import parse_qsl

from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.endpoints.issuer import TokenError
from crossfade.sim.wire.http import Reply, Request

ASSERTION_AUDIENCE = "api://AzureADTokenExchange"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_S = 3599
_TENANT = re.compile(r"/(?P<tenant>[\w-]+)/(?:v2.0/\.well-known/openid-configuration|oauth2/v2.0/token)")


class EntraTokens:
    """One tenant with one application, whose federated credential trusts the simulated issuer."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> bool:
        """Discovery and tokens of the tenant; false when the path is another."""
        matched = _TENANT.fullmatch(request.path)
        if matched is None:
            return False
        if request.path.endswith("openid-configuration"):
            await reply.send_json(200, _discovery(f"https://{request.header('host')}", matched["tenant"]))
        else:
            await self._issue(request, reply, matched["tenant"])
        return True

    async def managed_identity(self, request: Request, reply: Reply) -> None:
        """The token of a machine: App Service's form with its header, or the metadata service's."""
        if request.header("metadata") != "true" and request.header("x-identity-header") is None:
            await reply.send_json(
                400,
                {"error": "invalid_request", "error_description": "Required metadata header not specified"},
            )
            return
        resource = (request.query("resource") or "").removesuffix("/.default").rstrip("/")
        wanted = request.query("client_id")
        if wanted not in {None, self._identities.config.client_id}:
            await reply.send_json(
                400, {"error": "invalid_request", "error_description": "Identity not found"}
            )
            return
        if resource not in self._identities.config.azure_scopes:
            error = {
                "error": "invalid_resource",
                "error_description": f"AADSTS500011: {resource} was not found.",
            }
            await reply.send_json(400, error)
            return
        access, lifetime_s = self._identities.bearers.issue(f"azure:{resource}", "machine", LIFETIME_S)
        expires = int(self._identities.wall() + lifetime_s)
        await reply.send_json(200, {
            "access_token": access,
            "expires_on": str(expires),
            "expires_in": str(lifetime_s),
            "resource": resource,
            "token_type": "Bearer",
        })  # fmt: skip

    async def _issue(self, request: Request, reply: Reply, tenant: str) -> None:
        form = dict(parse_qsl(request.body.decode(errors="replace")))
        config = self._identities.config
        scope = form.get("scope", "").split(" ")[0].removesuffix("/.default").rstrip("/")
        if tenant != config.tenant:
            await _fail(reply, 90002, f"Tenant '{tenant}' not found.", "invalid_request")
        elif form.get("client_id") != config.client_id:
            await _fail(
                reply, 700016, f"Application '{form.get('client_id')}' was not found.", "unauthorized_client"
            )
        elif form.get("client_assertion_type") != ASSERTION_TYPE:
            await _fail(reply, 7000216, "'client_assertion' is required.", "invalid_request")
        elif scope not in config.azure_scopes:
            await _fail(
                reply, 500011, f"The resource principal named {scope} was not found.", "invalid_resource"
            )
        else:
            try:
                self._identities.issuer.read(form.get("client_assertion", ""), (ASSERTION_AUDIENCE,))
            except TokenError as error:
                code = {"audience": 700212, "expired": 700024}.get(error.why, 700213)
                await _fail(reply, code, error.message, "invalid_client")
                return
            access, lifetime_s = self._identities.bearers.issue(
                f"azure:{scope}", config.client_id, LIFETIME_S
            )
            document = {"token_type": "Bearer", "expires_in": lifetime_s, "access_token": access}
            await reply.send_json(200, {**document, "ext_expires_in": lifetime_s})


def _discovery(base: str, tenant: str) -> dict[str, Any]:
    return {
        "issuer": f"{base}/{tenant}/v2.0",
        "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
    }


async def _fail(reply: Reply, number: int, message: str, code: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    document = {"error": code, "error_description": f"AADSTS{number}: {message}", "error_codes": [number]}
    await reply.send_json(401 if code == "invalid_client" else 400, {**document, "timestamp": stamp})
