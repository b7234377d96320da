"""Sessions of the console: a signed token in a cookie, so that a restart logs nobody out.

A session comes from a one-time link, made by whoever may already do what the session may, or from an
identity provider (`oidc`). It says who and until when; what a person of the config may is read there at
every call, so that a role taken away is gone at once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt

from crossfade.domain.people import Role

COOKIE = "crossfade_session"
PREFIX = "session:"  # of a bearer that came as a cookie
LASTS_S = 8 * 3600.0  # a working day
LINK_LASTS_S = 600.0
LINKS_AT_MOST = 1000
_ALGORITHM, _PURPOSE = "HS256", "crossfade-session"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logged in. `name`: null for the administrator of this machine, who has no name of his own.

    `roles`: as the identity provider maps them; null for a person of the config, who has those of the file.
    """

    name: str | None
    roles: tuple[Role, ...] | None


class LinkError(Exception):
    """A link that gives no session; the message says why."""


@dataclass(slots=True)
class Sessions:
    """Makes and reads them. `key`: of the signatures; `unix`: the wall clock, for ends people can read."""

    key: str
    unix: Callable[[], float]
    links: dict[str, tuple[float, Identity]] = field(default_factory=dict)  # by hash: until, for whom

    def link(self, identity: Identity) -> str:
        """The code of a link that works once, for ten minutes. Only its hash is kept, in memory."""
        code, now = secrets.token_urlsafe(32), self.unix()
        self.links = {known: one for known, one in self.links.items() if one[0] > now}
        while len(self.links) >= LINKS_AT_MOST:
            del self.links[next(iter(self.links))]
        self.links[_hash(code)] = (now + LINK_LASTS_S, identity)
        return code

    def redeem(self, code: str) -> str:
        """The session of a link's code, which is used up.

        Raises:
            LinkError: unknown, used before, or too old.
        """
        until, identity = self.links.pop(_hash(code), (0.0, Identity(None, ())))
        if until <= self.unix():
            raise LinkError("the link was used before, or is too old (hint: `crossfade login` makes another)")
        return self.session(identity)

    def session(self, identity: Identity) -> str:
        """A signed session of this person from now on."""
        roles = None if identity.roles is None else [role.value for role in identity.roles]
        said = {"aud": _PURPOSE, "sub": identity.name or "", "roles": roles, "exp": self.unix() + LASTS_S}
        return jwt.encode(said, self.key, algorithm=_ALGORITHM)

    def identity(self, session: str) -> Identity | None:
        """Whose session it is; null if it is none of ours, or over."""
        must = {"require": ["exp", "sub"], "verify_exp": False}
        try:
            said = jwt.decode(session, self.key, [_ALGORITHM], audience=_PURPOSE, options=must)  # type: ignore[arg-type]
            roles = said["roles"]
            known = None if roles is None else tuple(Role(role) for role in roles)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            return None
        if said["exp"] <= self.unix():
            return None
        return Identity(said["sub"] or None, known)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
