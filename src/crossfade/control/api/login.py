"""Login routes: a one-time link, the identity provider and back, who am I, log out."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from crossfade.control.api.access import Known, Person, bearer_of, require_role
from crossfade.control.login.oidc import FLOW_COOKIE, LoginError, Oidc
from crossfade.control.login.sessions import COOKIE, LASTS_S, Identity, LinkError, Sessions
from crossfade.domain.people import Role

if TYPE_CHECKING:
    from crossfade.config.features import Config
    from crossfade.config.shape.control import OidcSection

BACK = "/login/oidc/back"


@dataclass(frozen=True, slots=True)
class LoginParts:
    """What a login needs, with the log and without it."""

    person_of: Known
    sessions: Sessions
    config: Callable[[], Config]
    oidc_of: Callable[[OidcSection], Oidc]


class Link(BaseModel):
    """For whom: a person of the config, or (null) the administrator of this machine."""

    model_config = ConfigDict(extra="forbid")

    person: str | None = Field(None, min_length=1, max_length=200)


def create_login_router(parts: LoginParts) -> APIRouter:
    """All of them."""
    router = APIRouter()
    _add_links(router, parts)
    _add_provider(router, parts)

    @router.get("/api/v1/me")
    async def me(request: Request) -> dict[str, Any]:
        """Whose session or token this is; `name` and `roles` are null for nobody's."""
        person = parts.person_of(bearer_of(request))
        roles = sorted(person.roles) if person is not None else None
        can_log_in = parts.config().control.oidc is not None
        return {"name": person.name if person is not None else None, "roles": roles, "oidc": can_log_in}

    @router.post("/logout")
    async def logout() -> Response:
        """The browser forgets its session."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    return router


def _add_links(router: APIRouter, parts: LoginParts) -> None:
    admin = Depends(require_role(parts.person_of, Role.ADMIN))

    @router.post("/api/v1/login/links", status_code=201)
    async def link(body: Link, _: Person = admin) -> dict[str, str]:
        """A path that logs one browser in, once, within ten minutes."""
        people = parts.config().people
        if body.person is not None and body.person not in people:
            known = ", ".join(people) or "nobody yet"
            message = f"there is no {body.person!r} under people in the config"
            raise HTTPException(404, {"message": message, "hint": f"there is {known}"})
        roles = (Role.ADMIN,) if body.person is None else None
        return {"path": f"/login?code={parts.sessions.link(Identity(body.person, roles))}"}

    @router.get("/login", include_in_schema=False)
    async def login(request: Request, code: str = "") -> Response:
        """Redeem a link."""
        try:
            return _logged_in(request, parts.sessions.redeem(code))
        except LinkError as error:
            return _told(str(error))


def _add_provider(router: APIRouter, parts: LoginParts) -> None:
    def provider() -> Oidc:
        section = parts.config().control.oidc
        if section is None:
            hint = "control: {oidc: {issuer: https://...}} in the config, or `crossfade login` for a link"
            raise HTTPException(404, {"message": "no identity provider is configured", "hint": hint})
        return parts.oidc_of(section)

    @router.get("/login/oidc", include_in_schema=False)
    async def begin(request: Request) -> Response:
        """On to the identity provider."""
        try:
            where, flow = await provider().begin(_back_to(request, parts))
        except LoginError as error:
            return _told(str(error))
        answer = RedirectResponse(where, status_code=303)
        _set(answer, request, FLOW_COOKIE, flow)
        return answer

    @router.get(BACK, include_in_schema=False)
    async def back(request: Request) -> Response:
        """From the identity provider: a session, or why not."""
        try:
            identity = await provider().finish(dict(request.query_params), request.cookies.get(FLOW_COOKIE))
        except LoginError as error:
            return _told(str(error))
        answer = _logged_in(request, parts.sessions.session(identity))
        answer.delete_cookie(FLOW_COOKIE, path="/login")
        return answer


def _back_to(request: Request, parts: LoginParts) -> str:
    """Our own address as the provider knows it: as configured, else as the browser has it."""
    section = parts.config().control.oidc
    base = section.public_url if section is not None and section.public_url else str(request.base_url)
    return f"{base.rstrip('/')}{BACK}"


def _logged_in(request: Request, session: str) -> Response:
    answer = RedirectResponse("/", status_code=303)
    _set(answer, request, COOKIE, session)
    return answer


def _set(answer: Response, request: Request, name: str, value: str) -> None:
    """Lax, because the way back from a provider comes from another site."""
    is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    path, age = ("/login", 600) if name == FLOW_COOKIE else ("/", int(LASTS_S))
    answer.set_cookie(name, value, max_age=age, path=path, httponly=True, secure=is_secure, samesite="lax")


def _told(why: str) -> Response:
    return HTMLResponse(f"<h1>Not logged in</h1><p>{html.escape(why)}</p>", status_code=403)
