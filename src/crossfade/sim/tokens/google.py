"""Google's token exchange, service-account impersonation and metadata server."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.endpoints.issuer import TokenError
from crossfade.sim.services.face import Trouble, TroubleKind
from crossfade.sim.services.google import refuse_google
from crossfade.sim.wire.http import Reply, Request
from crossfade.sim.wire.sigv4 import Message, SignatureError

AWS_REQUEST = "urn:ietf:params:aws:token-type:aws4_request"
_IMPERSONATE = re.compile(r"/v1/projects/-/serviceAccounts/(?P<account>[^/:]+):generateAccessToken")
_METADATA = "/computeMetadata/v1/"
LIFETIME_S = 3600


class GoogleTokens:
    """STS, IAM credentials and the metadata server of the simulated project."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def exchange(self, request: Request, reply: Reply) -> None:
        """`POST /v1/token`: a workload's JWT or a signed AWS request for a federated token."""
        form = dict(parse_qsl(request.body.decode(errors="replace")))
        pool = self._identities.config.pool_audience
        if form.get("audience") != pool:
            await _fail(
                reply,
                "invalid_target",
                'The target service indicated by the "audience" parameters is invalid.',
            )
            return
        try:
            token = form.get("subject_token", "")
            kind = form.get("subject_token_type")
            subject = self._read_aws(token, pool) if kind == AWS_REQUEST else self._read_jwt(token, pool)
        except (TokenError, SignatureError) as error:
            await _fail(reply, "invalid_grant", error.message)
            return
        access, expires_in = self._identities.bearers.issue("google", f"principal:{subject}", LIFETIME_S)
        await reply.send_json(200, {
            "access_token": access,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": expires_in,
        })  # fmt: skip

    async def impersonate(self, request: Request, reply: Reply) -> bool:
        """`generateAccessToken`; false when the path is another."""
        matched = _IMPERSONATE.fullmatch(unquote(request.path))
        if matched is None:
            return False
        state = self._identities.bearers.state("google", request.bearer())
        if state != "good":
            kind = TroubleKind.EXPIRED if state == "expired" else TroubleKind.KEY
            refusal = refuse_google(Trouble(kind))
            await reply.send_json(refusal.status, refusal.document)
            return True
        if matched["account"] not in self._identities.config.service_accounts:
            message = (
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
            )
            error = {"code": 403, "message": message, "status": "PERMISSION_DENIED"}
            await reply.send_json(403, {"error": error})
            return True
        access, lifetime_s = self._identities.bearers.issue("google", matched["account"], LIFETIME_S)
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._identities.wall() + lifetime_s))
        await reply.send_json(200, {"accessToken": access, "expireTime": expires})
        return True

    async def metadata(self, request: Request, reply: Reply) -> None:
        """The metadata server of a machine: its token, its identity token, its project."""
        headers = {"metadata-flavor": "Google", "server": "Metadata Server for VM"}
        if request.header("metadata-flavor") != "Google":
            await reply.send(403, headers, b"Missing Metadata-Flavor:Google header.")
            return
        account = self._identities.config.service_accounts[0]
        path = request.path.removeprefix(_METADATA)
        own = {f"instance/service-accounts/{name}" for name in ("default", account)}
        if path.rstrip("/") in own:
            about = {
                "email": account,
                "aliases": ["default"],
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            }
            await reply.send_json(200, about, headers)
        elif path in {f"{name}/token" for name in own}:
            access, expires_in = self._identities.bearers.issue("google", account, LIFETIME_S)
            document = {"access_token": access, "expires_in": expires_in, "token_type": "Bearer"}
            await reply.send_json(200, document, headers)
        elif path in {f"{name}/identity" for name in own}:
            token = self._identities.issuer.issue(account, request.query("audience") or "", LIFETIME_S)
            await reply.send(200, {**headers, "content-type": "text/html"}, token.encode())
        elif path in {"", "instance/", "project/project-id", "universe/universe-domain"}:
            text = {"project/project-id": b"acme-llm", "universe/universe-domain": b"googleapis.com"}.get(
                path, b"ok"
            )
            await reply.send(200, {**headers, "content-type": "application/text"}, text)
        else:
            await reply.send(404, headers, b"not found")

    def _read_jwt(self, token: str, pool: str) -> str:
        return str(self._identities.issuer.read(token, (pool, f"https:{pool}"))["sub"])

    def _read_aws(self, token: str, pool: str) -> str:
        """The caller of a signed `GetCallerIdentity`; raises `SignatureError`."""
        try:
            signed: dict[str, Any] = json.loads(unquote(token))
            headers = tuple((pair["key"].lower(), pair["value"]) for pair in signed["headers"])
            address = urlsplit(signed["url"])
            method = signed["method"]
        except (ValueError, KeyError, TypeError):
            raise SignatureError("invalid", "The subject token is no signed AWS request.") from None
        if dict(headers).get("x-goog-cloud-target-resource") != pool:
            raise SignatureError("invalid", "x-goog-cloud-target-resource does not match the audience.")
        target = f"{address.path or '/'}?{address.query}"
        claims = self._identities.verify_signed(Message(method, target, headers, b""), "sts")
        session = self._identities.session_of(claims.access_key)
        return claims.access_key if session is None else session.role


async def _fail(reply: Reply, code: str, message: str) -> None:
    await reply.send_json(400, {"error": code, "error_description": message})
