"""The simulated OIDC issuer: signs a workload's own tokens, as a cluster's API server would.

Everything that trusts workload tokens here (STS, Google's pools, Entra, OpenAI, Anthropic) trusts this
issuer's key and nothing else. The key lives as long as the process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key


class TokenError(Exception):
    """A workload token that is not accepted: `why` is malformed, signature, expired or audience."""

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message


class Issuer:
    """Signs and checks RS256 tokens; the key is made when it is first needed."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._key: RSAPrivateKey | None = None
        self.url = "https://oidc.sim"

    def issue(self, subject: str, audience: str | list[str], lifetime_s: float) -> str:
        """A signed token."""
        now = self._wall()
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": audience,
            "iat": int(now),
            "exp": int(now + lifetime_s),
        }
        return jwt.encode(claims, self._private(), algorithm="RS256", headers={"kid": "sim"})

    def read(self, token: str, audiences: tuple[str, ...]) -> dict[str, Any]:
        """The claims of a token for one of these audiences; raises `TokenError`."""
        options: Any = {
            "verify_exp": False,
            "verify_aud": False,
            "verify_iat": False,
            "require": ["exp", "aud", "sub"],
        }
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._private().public_key(), algorithms=["RS256"], options=options
            )
        except jwt.InvalidSignatureError:
            raise TokenError("signature", "the token's signature does not verify") from None
        except jwt.InvalidTokenError as error:
            raise TokenError("malformed", str(error)) from None
        if float(claims["exp"]) <= self._wall():
            raise TokenError("expired", "the token is expired")
        given = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if not set(given) & set(audiences):
            raise TokenError("audience", f"the audience {given} is not expected")
        return claims

    def keys(self) -> dict[str, Any]:
        """The public key, as a JWK set."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._private().public_key()))
        return {"keys": [{**public, "kid": "sim", "use": "sig", "alg": "RS256"}]}

    def _private(self) -> RSAPrivateKey:
        if self._key is None:
            self._key = generate_private_key(public_exponent=65537, key_size=2048)
        return self._key
