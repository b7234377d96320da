"""Login at an OpenID Connect provider: authorization code with PKCE.

What must survive the way to the provider and back (state, nonce, the code verifier) travels in a signed
cookie of ten minutes, so that any replica can answer the way back. Tokens are checked by PyJWT.
References: OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9207 (`iss` in the answer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx2
import jwt

from crossfade.config.shape.control import OidcSection
from crossfade.control import outgoing
from crossfade.control.login.sessions import Identity
from crossfade.domain.people import Role

FLOW_COOKIE = "crossfade_login"
FLOW_LASTS_S = 600.0
ANSWERS_WITHIN_S = 10.0
KNOWN_FOR_S = 3600.0  # discovery document and keys
LEEWAY_S = 60.0
ALGORITHMS = ("RS256", "ES256", "PS256", "EdDSA")
_ALGORITHM, _PURPOSE = "HS256", "crossfade-login"


class LoginError(Exception):
    """A login that failed; the message says why and how to mend it. Holds no token."""


@dataclass(slots=True)
class Oidc:
    """One provider. `key`: of the flow cookie's signature; `steady`: seconds."""

    section: OidcSection
    key: str
    unix: Callable[[], float]
    steady: Callable[[], float]
    known: dict[str, tuple[float, Any]] = field(default_factory=dict)

    async def begin(self, back_to: str) -> tuple[str, str]:
        """Where to send the browser, and the flow cookie.

        Raises:
            LoginError: the provider does not answer as one.
        """
        verifier, state, nonce = (secrets.token_urlsafe(48) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.section.client_id,
            "redirect_uri": back_to,
            "scope": " ".join(self.section.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        said = {
            "aud": _PURPOSE, "state": state, "nonce": nonce, "verifier": verifier, "back_to": back_to,
            "until": self.unix() + FLOW_LASTS_S,
        }  # fmt: skip
        where = (await self._discovered())["authorization_endpoint"]
        joined = "&" if "?" in where else "?"
        return f"{where}{joined}{urlencode(asked)}", jwt.encode(said, self.key, algorithm=_ALGORITHM)

    async def finish(self, answer: Mapping[str, str], flow: str | None) -> Identity:
        """Who logged in, by the provider's answer and the flow cookie.

        Raises:
            LoginError: the answer is not of this login, or the provider does not vouch for the person.
        """
        known = self._flow(flow)
        if not hmac.compare_digest(answer.get("state", "").encode(), known["state"].encode()):
            raise LoginError("the answer belongs to another login (hint: begin again at /login/oidc)")
        if answer.get("iss", self.section.issuer) != self.section.issuer:
            raise LoginError("another provider answered (hint: control.oidc.issuer)")
        if "code" not in answer:
            why = answer.get("error_description") or answer.get("error") or "no code"
            raise LoginError(f"the provider refused: {why[:200]}")
        claims = await self._claims(answer["code"], known)
        return identity_of(self.section, claims)

    def _flow(self, flow: str | None) -> dict[str, str]:
        try:
            found = jwt.decode(flow or "", self.key, [_ALGORITHM], audience=_PURPOSE)
        except jwt.InvalidTokenError:
            found = {"until": 0.0}
        if found["until"] <= self.unix():
            raise LoginError("the login took too long, or began elsewhere (hint: begin again at /login/oidc)")
        return dict(found)

    async def _claims(self, code: str, flow: Mapping[str, str]) -> dict[str, Any]:
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow["back_to"],
            "client_id": self.section.client_id,
            "code_verifier": flow["verifier"],
        }
        secret = os.environ.get(self.section.client_secret_env or "", "")
        auth = httpx2.BasicAuth(self.section.client_id, secret) if secret else None
        answer = await self._call("POST", (await self._discovered())["token_endpoint"], data=given, auth=auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise LoginError(
                "the provider gave no id_token (hint: `openid` must be among control.oidc.scopes)"
            )
        claims = await self._verified(token)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), flow["nonce"].encode()):
            raise LoginError("the id_token was made for another login (hint: begin again at /login/oidc)")
        return claims

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            key = await self._signing_key(jwt.get_unverified_header(token).get("kid"))
            found: dict[str, Any] = jwt.decode(
                token, key, list(ALGORITHMS), audience=self.section.client_id, issuer=self.section.issuer,
                leeway=LEEWAY_S, options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise LoginError(f"the id_token does not hold: {error}") from error
        return found

    async def _signing_key(self, kid: str | None) -> jwt.PyJWK:
        """The provider's key of that id; fetched again once, because providers change theirs."""
        url = (await self._discovered())["jwks_uri"]
        for _ in range(2):
            keys = jwt.PyJWKSet.from_dict(await self._fetched(url)).keys
            found = [key for key in keys if kid in {None, key.key_id}]
            if len(found) == 1:
                return found[0]
            self.known.pop(url, None)
        raise LoginError("the id_token is signed by a key the provider does not publish")

    async def _discovered(self) -> dict[str, str]:
        url = f"{self.section.issuer.rstrip('/')}/.well-known/openid-configuration"
        found: dict[str, str] = await self._fetched(url)
        if found.get("issuer") != self.section.issuer:
            raise LoginError(f"{url} is of issuer {found.get('issuer')!r} (hint: control.oidc.issuer)")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not str(found.get(name, "")).startswith(("https://", "http://127.0.0.1", "http://localhost")):
                raise LoginError(f"{url} names no safe {name}")
        return found

    async def _fetched(self, url: str) -> Any:
        at_s, document = self.known.get(url, (float("-inf"), None))
        if self.steady() - at_s > KNOWN_FOR_S:
            document = await self._call("GET", url)
            self.known[url] = (self.steady(), document)
        return document

    async def _call(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        try:
            async with outgoing.client(ANSWERS_WITHIN_S) as client:
                answer = await client.request(method, url, **more)
                document = answer.json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise LoginError(f"{url}: {type(error).__name__} (hint: control.oidc.issuer)") from error
        if answer.status_code != 200 or not isinstance(document, dict):
            why = document.get("error", "") if isinstance(document, dict) else ""
            raise LoginError(f"{url} answered {answer.status_code} {why}")
        return document


def identity_of(section: OidcSection, claims: Mapping[str, Any]) -> Identity:
    """The person and the roles that the claims map to; nobody is more than a viewer by default.

    Raises:
        LoginError: the claim that names the person is missing, or an address nobody has confirmed.
    """
    name = claims.get(section.name_claim)
    if not isinstance(name, str) or not name:
        raise LoginError(
            f"the id_token has no {section.name_claim} (hint: control.oidc.name_claim and scopes)"
        )
    if section.name_claim == "email" and claims.get("email_verified") is False:
        raise LoginError(f"{name} is not a confirmed address at the provider")
    said = claims.get(section.roles_claim, ())
    values = (
        [said] if isinstance(said, str) else [str(value) for value in said] if isinstance(said, list) else []
    )
    roles = [role for value in values for role in section.roles.get(value, ())]
    return Identity(name, tuple(dict.fromkeys((*roles, Role.VIEWER))))
