"""What AWS machines and containers ask for credentials: IMDSv2, and the container endpoint of ECS and EKS."""

from __future__ import annotations

import secrets
import time
from typing import Any

from crossfade.sim.endpoints.identities import Identities, Session
from crossfade.sim.endpoints.issuer import TokenError
from crossfade.sim.wire.http import Reply, Request

POD_AUDIENCE = "pods.eks.amazonaws.com"
ROLE = "llm-node"
LIFETIME_S = 3600
_CREDENTIALS = "/latest/meta-data/iam/security-credentials/"


class InstanceTokens:
    """One machine and one pod of the simulated account."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._token = secrets.token_urlsafe(24)

    async def imds(self, request: Request, reply: Reply) -> None:
        """IMDSv2: a token first, then the role, then its credentials."""
        if request.method == "PUT" and request.path == "/latest/api/token":
            ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds")
            await (reply.send(200, {}, self._token.encode()) if ttl else reply.send(400, {}, b""))
        elif request.header("x-aws-ec2-metadata-token") != self._token:
            await reply.send(401, {}, b"")
        elif request.path == _CREDENTIALS:
            await reply.send(200, {"content-type": "text/plain"}, ROLE.encode())
        elif request.path == _CREDENTIALS + ROLE:
            shown = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": _time(self._identities.wall())}
            await reply.send_json(200, {**shown, **self._issue("i-0sim")})
        else:
            await reply.send(404, {}, b"")

    async def container(self, request: Request, reply: Reply) -> None:
        """Pod identity: a projected token in `Authorization` for credentials."""
        try:
            claims = self._identities.issuer.read(request.header("authorization") or "", (POD_AUDIENCE,))
        except TokenError as error:
            await reply.send_json(400, {"code": "AccessDenied", "message": f"(400): {error.message}"})
            return
        await reply.send_json(200, self._issue(claims["sub"].rpartition(":")[2]))

    def _issue(self, name: str) -> dict[str, Any]:
        arn = f"arn:aws:iam::{self._identities.config.account}:role/{ROLE}"
        session: Session = self._identities.issue(arn, LIFETIME_S, name)
        return {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret,
            "Token": session.token,
            "Expiration": _time(session.expires_unix_s),
        }


def _time(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))
