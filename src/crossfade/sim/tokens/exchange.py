"""Workload tokens for access tokens of OpenAI and Anthropic themselves."""

from __future__ import annotations

import json
from typing import Any

from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.endpoints.issuer import TokenError
from crossfade.sim.wire.http import Reply, Request

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name, not a secret
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
OPENAI_AUDIENCE, ANTHROPIC_AUDIENCE = "https://api.openai.com/v1", "https://api.anthropic.com"
LIFETIME_S = 3600


async def exchange_openai(request: Request, reply: Reply, identities: Identities) -> None:
    """`POST /oauth/token` of OpenAI."""
    form = _read(request)
    if form.get("grant_type") != TOKEN_EXCHANGE or not form.get("identity_provider_id"):
        await _fail(reply, "invalid_request", "grant_type and identity_provider_id are required")
        return
    await _issue(reply, identities, "openai", str(form.get("subject_token")), OPENAI_AUDIENCE)


async def exchange_anthropic(request: Request, reply: Reply, identities: Identities) -> None:
    """`POST /v1/oauth/token` of Anthropic."""
    form = _read(request)
    if form.get("grant_type") != JWT_BEARER or not form.get("federation_rule_id"):
        await _fail(reply, "invalid_request", "grant_type and federation_rule_id are required")
        return
    await _issue(reply, identities, "anthropic", str(form.get("assertion")), ANTHROPIC_AUDIENCE)


async def _issue(reply: Reply, identities: Identities, target: str, token: str, audience: str) -> None:
    try:
        claims = identities.issuer.read(token, (audience,))
    except TokenError as error:
        await _fail(reply, "invalid_grant", error.message)
        return
    access, expires_in = identities.bearers.issue(target, claims["sub"], LIFETIME_S)
    await reply.send_json(200, {"access_token": access, "token_type": "Bearer", "expires_in": expires_in})


def _read(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(request.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


async def _fail(reply: Reply, code: str, message: str) -> None:
    await reply.send_json(400, {"error": code, "error_description": message})
