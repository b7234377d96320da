"""Who may call which routes: gateways by their token; people by their own, in their roles.

The state folder's API token is the administrator on this machine. People are named in the config by the
hash of a token that was shown once; what they do is logged under their own name, and nobody signs for
another. Reading needs to be somebody: whoever has a token or a session is a viewer.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import HTTPException, Request

from crossfade.config.schema import PersonSection
from crossfade.control.login.sessions import COOKIE, PREFIX, Sessions
from crossfade.control.store.keys import hash_key
from crossfade.domain.people import Role

ADVICE = "use the state folder's api-token or the token of a person in the config, or `crossfade login`"


@dataclass(frozen=True, slots=True)
class Person:
    """Who calls. `name`: null for the API token, which speaks for whom it says."""

    name: str | None
    roles: frozenset[Role]

    def acting(self, said: str) -> str:
        """The name to log: a person's own, whatever the body says."""
        return self.name if self.name is not None else said

    def signing(self, said: str) -> str:
        """The name to sign with. Refuses to sign for another person."""
        if self.name is not None and said != self.name:
            hint = f"{said} must do it with a token of their own"
            raise HTTPException(403, {"message": f"{self.name} cannot sign for {said}", "hint": hint})
        return said


ADMIN = Person(None, frozenset({Role.ADMIN}))
Known = Callable[[str], Person | None]  # bearer to person
Guard = Callable[[Request], Person]


def require_token(token: str, hint: str) -> Callable[[Request], None]:
    """A dependency that lets only bearers of `token` in."""

    def check(request: Request) -> None:
        if not hmac.compare_digest(_bearer(request).encode(), token.encode()):
            raise HTTPException(401, {"message": "the token is missing or wrong", "hint": hint})

    return check


def require_reader(known: Known) -> Guard:
    """A dependency that lets in whoever is known: each is a viewer at least."""

    def check(request: Request) -> Person:
        person = known(bearer_of(request))
        if person is None:
            raise HTTPException(401, {"message": "the token is missing or wrong", "hint": ADVICE})
        return person

    return check


def require_role(known: Known, role: Role | Callable[[Request], Role]) -> Guard:
    """A dependency that lets in people of that role, or administrators; every refusal names the role."""
    known_one = require_reader(known)

    def check(request: Request) -> Person:
        person = known_one(request)
        wanted = role if isinstance(role, Role) else role(request)
        if person.roles & {wanted, Role.ADMIN}:
            return person
        has = ", ".join(sorted(person.roles)) or "no role"
        hint = (
            f"an administrator adds {wanted} to people.{person.name}.roles in the config, or maps a "
            "group to it under control.oidc.roles"
        )
        said = f"this needs the role {wanted}; {person.name} has {has}"
        raise HTTPException(403, {"message": said, "hint": hint})

    return check


def person_in(session: str, sessions: Sessions, people: Mapping[str, PersonSection]) -> Person | None:
    """Whose session it is; null if nobody's. What a person of the config may is read there now."""
    identity = sessions.identity(session)
    if identity is None:
        return None
    if identity.roles is not None:
        return Person(identity.name, frozenset(identity.roles))
    known = people.get(identity.name or "")
    return Person(identity.name, frozenset(known.roles)) if known is not None else None


def person_of(bearer: str, api_token: str, people: Mapping[str, PersonSection], pepper: str) -> Person | None:
    """Whose token it is; null if nobody's."""
    if hmac.compare_digest(bearer.encode(), api_token.encode()):
        return ADMIN
    digest = hash_key(bearer, pepper)
    for name, person in people.items():
        if hmac.compare_digest(person.hash.rpartition("_")[2], digest):
            return Person(name, frozenset(person.roles))
    return None


def bearer_of(request: Request) -> str:
    """The token in the header, or the session in the console's cookie.

    A browser sends its cookie whoever made it call, so a call that changes something by cookie must come
    from a page of our own: browsers say where from, and pages cannot forge it.
    """
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    session = request.cookies.get(COOKIE, "")
    if given or not session:
        return given
    is_own = request.headers.get("origin", "").partition("://")[2] == request.headers.get("host", "")
    if request.method not in {"GET", "HEAD"} and not is_own:
        raise HTTPException(
            403, {"message": "another site asked for this", "hint": "use the console's own page"}
        )
    return PREFIX + session


def _bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")
