"""Who may call the simulated clouds: long-lived keys, sessions issued by the token service, bearer keys."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crossfade.sim.config import IdentityConfig
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


class Identities:
    """Verifies callers and issues sessions; `wall` is the clock, in Unix seconds."""

    def __init__(self, config: IdentityConfig, wall: Callable[[], float] = time.time) -> None:
        self.config = config
        self.wall = wall
        self._sessions: dict[str, Session] = {}

    def verify_signed(self, message: Message, service: str) -> Signed:
        """Check a SigV4 request; raises `SignatureError` with the code the real service gives."""
        claims = decode_claims(message)
        secret = self._secret_of(claims)
        verify(message, claims, secret, service, self.wall())
        return claims

    def is_api_key(self, authorization: str | None) -> bool:
        """Whether an `Authorization: Bearer` header carries a known key."""
        kind, _, key = (authorization or "").partition(" ")
        return kind.lower() == "bearer" and any(
            secrets.compare_digest(key.encode(), known.encode()) for known in self.config.api_keys
        )

    def issue(self, role: str, duration_s: int) -> Session:
        """New temporary credentials."""
        session = Session(
            access_key=f"ASIA{secrets.token_hex(8).upper()}",
            secret=secrets.token_urlsafe(30),
            token=base64.b64encode(secrets.token_bytes(96)).decode(),
            expires_unix_s=self.wall() + (self.config.session_s or duration_s),
            role=role,
        )
        self._sessions[session.access_key] = session
        while len(self._sessions) > KEPT_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        return session

    def read_web_identity(self, token: str) -> dict[str, Any]:
        """The claims of a JWT in good form, for us and in time; raises `SignatureError`."""
        try:
            part = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            expires, audience, subject = float(claims["exp"]), claims["aud"], str(claims["sub"])
        except (IndexError, KeyError, ValueError, TypeError, binascii.Error):
            raise SignatureError(
                "InvalidIdentityToken", "The ID token provided is not a valid JWT."
            ) from None
        if expires <= self.wall():
            raise SignatureError(
                "ExpiredTokenException", "Token expired: current date/time must be before exp."
            )
        if self.config.audience not in (audience if isinstance(audience, list) else [audience]):
            raise SignatureError("InvalidIdentityToken", "Incorrect token audience")
        return {"sub": subject, "aud": self.config.audience, "iss": str(claims.get("iss", "sim"))}

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
