"""Who may call the simulated clouds: long-lived keys, sessions issued by the token service, bearer keys."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crossfade.sim.config import IdentityConfig, RoleConfig
from crossfade.sim.endpoints.bearers import Bearers
from crossfade.sim.endpoints.issuer import Issuer, TokenError
from crossfade.sim.wire.sigv4 import Message, SignatureError, Signed, decode_claims, verify

KEPT_SESSIONS = 4096  # sessions remembered; the oldest are forgotten and then unrecognised


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials of a role."""

    access_key: str
    secret: str
    token: str
    expires_unix_s: float
    role: str
    name: str = "session"
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()  # tags that stay on when this session assumes the next role


class Identities:
    """Verifies callers and issues sessions; `wall` is the clock, in Unix seconds."""

    def __init__(self, config: IdentityConfig, wall: Callable[[], float] = time.time) -> None:
        self.config = config
        self.wall = wall
        self._sessions: dict[str, Session] = {}
        self.bearers = Bearers(wall, config.session_s)
        self.issuer = Issuer(wall)

    def verify_signed(self, message: Message, service: str) -> Signed:
        """Check a SigV4 request; raises `SignatureError` with the code the real service gives."""
        claims = decode_claims(message)
        secret = self._secret_of(claims)
        verify(message, claims, secret, service, self.wall())
        return claims

    def is_api_key(self, key: str | None) -> bool:
        """Whether this is a known key."""
        return key is not None and any(
            secrets.compare_digest(key.encode(), known.encode()) for known in self.config.api_keys
        )

    def role(self, arn: str) -> RoleConfig:
        """The conditions of a role; one that is not listed has none of its own."""
        return next((role for role in self.config.roles if role.arn == arn), RoleConfig(arn=arn))

    def session_of(self, access_key: str) -> Session | None:
        """The session that an access key belongs to."""
        return self._sessions.get(access_key)

    def sessions(self) -> list[Session]:
        """Every remembered session, oldest first."""
        return list(self._sessions.values())

    def issue(
        self,
        role: str,
        duration_s: int,
        name: str,
        tags: tuple[tuple[str, str], ...] = (),
        *,
        transitive: tuple[str, ...] = (),
    ) -> Session:
        """New temporary credentials."""
        session = Session(
            access_key=f"ASIA{secrets.token_hex(8).upper()}",
            secret=secrets.token_urlsafe(30),
            token=base64.b64encode(secrets.token_bytes(96)).decode(),
            expires_unix_s=self.wall() + (self.config.session_s or duration_s),
            role=role,
            name=name,
            tags=tags,
            transitive=transitive,
        )
        self._sessions[session.access_key] = session
        while len(self._sessions) > KEPT_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    def read_web_identity(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a workload token for `audience`; raises `SignatureError` as STS says it."""
        try:
            return self.issuer.read(token, (audience,))
        except TokenError as error:
            messages = {
                "malformed": "The ID token provided is not a valid JWT.",
                "signature": "Couldn't retrieve verification key: no provider is trusted for this token.",
                "audience": "Incorrect token audience",
            }
            if error.why == "expired":
                late = "Token expired: current date/time must be before exp."
                raise SignatureError("ExpiredTokenException", late) from None
            raise SignatureError("InvalidIdentityToken", messages[error.why]) from None

    def _secret_of(self, claims: Signed) -> str:
        for known in self.config.access_keys:
            if known.id == claims.access_key and claims.session_token is None:
                return known.secret
        session = self._sessions.get(claims.access_key)
        if session is None or claims.session_token is None:
            raise _unrecognised()
        if not secrets.compare_digest(session.token.encode(), claims.session_token.encode()):
            raise _unrecognised()
        if session.expires_unix_s <= self.wall():
            raise SignatureError(
                "ExpiredTokenException", "The security token included in the request is expired"
            )
        return session.secret


def _unrecognised() -> SignatureError:
    return SignatureError(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    )
