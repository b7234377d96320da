"""What a control answers before it has read its log: credentials, logins, what gateways say, the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from crossfade.control.api.access import Person, bearer_of, require_reader, require_role
from crossfade.control.api.app import add_errors, mount_console
from crossfade.control.api.internal import create_credentials_router, gateways_only
from crossfade.control.api.login import LoginParts, create_login_router
from crossfade.control.api.migrations import RollbackCommand, found
from crossfade.control.api.overview import Event, told, unread_of
from crossfade.control.migration.unread import Asked, Unread
from crossfade.domain.people import Role
from crossfade.version import __version__

if TYPE_CHECKING:
    from crossfade.control.credentials.broker import CredentialBroker
    from crossfade.control.evidence.gateway_admin import HttpGatewayAdmin

_READING, _WRITING = ["GET"], ["PUT", "POST", "PATCH", "DELETE"]
_MEANWHILE = (
    "the gateways serve on as before; a candidate's traffic is taken away by `crossfade migration rollback`, "
    "or at each of them by curl -X PUT http://GATEWAY_ADMIN/admin/kill/FEATURE"
)
_LATER = "control has started and waits for its database\n"


@dataclass(frozen=True, slots=True)
class WaitingParts:
    """What works without the log. `why`: what control waits for, empty before its first try.

    `since_unix_s`: when it started. `is_over`: whether it has read its log meanwhile.
    """

    broker: CredentialBroker
    admin: HttpGatewayAdmin
    unread: Unread
    login: LoginParts
    why: Callable[[], str]
    since_unix_s: float
    is_over: Callable[[], bool]
    gateway_token: str = field(repr=False)


def create_waiting_api(parts: WaitingParts) -> FastAPI:
    """Everything else is answered with why it must wait."""
    app = FastAPI(title="Crossfade control", version=__version__, openapi_url=None)
    app.include_router(create_credentials_router(parts.broker, parts.gateway_token), prefix="/internal/v1")
    add_errors(app)
    app.include_router(create_login_router(parts.login))
    _add_snapshot(app, parts)
    _add_events(app, parts)
    _add_rollback(app, parts)

    async def waits() -> JSONResponse:
        return JSONResponse({"error": {"message": _said(parts), "hint": _MEANWHILE}}, status_code=503)

    async def later() -> PlainTextResponse:
        return PlainTextResponse(_LATER, status_code=503)

    reader = [Depends(require_reader(parts.login.person_of))]
    for path in ("/api/{path:path}", "/metrics"):
        app.add_api_route(path, waits, methods=[*_READING, *_WRITING], dependencies=reader)
    for path in ("/health/readiness", "/internal/{path:path}"):
        app.add_api_route(path, later, methods=_READING)
    app.add_api_route("/{path:path}", later, methods=_WRITING)
    mount_console(app)
    return app


def _said(parts: WaitingParts) -> str:
    return f"control has started and waits: {parts.why() or 'it has not asked for its log yet'}"


def _add_snapshot(app: FastAPI, parts: WaitingParts) -> None:
    router = APIRouter(dependencies=[gateways_only(parts.gateway_token)])

    @router.get("/internal/v1/snapshot")
    async def snapshot(request: Request, after: int, gateway: str, admin: str | None = None) -> Response:
        """None is published without the log. But whoever asks says where its kill switch is."""
        if after:  # one that has no snapshot serves nothing, and gets none now
            parts.admin.ports.tell(gateway, admin, request.client.host if request.client else None)
        return PlainTextResponse(_LATER, status_code=503)

    app.include_router(router)


def _add_events(app: FastAPI, parts: WaitingParts) -> None:
    @app.get("/api/v1/events", dependencies=[Depends(require_reader(parts.login.person_of))])
    async def events(request: Request) -> Response:
        """The console's stream: `unread` instead of `overview`, then `over` once the log is read."""
        bearer = bearer_of(request)

        async def make() -> Event | None:
            if parts.is_over():
                return None
            return "unread", await unread_of(parts, parts.why(), parts.since_unix_s)

        return told(make, lambda: parts.login.person_of(bearer) is not None)


def _add_rollback(app: FastAPI, parts: WaitingParts) -> None:
    operator = Depends(require_role(parts.login.person_of, Role.OPERATOR))

    @app.post("/api/v1/migrations/{name}/rollback")
    async def rollback(name: str, body: RollbackCommand, person: Person = operator) -> dict[str, Any]:
        """The same route as with the log, by the gateways' kill switches alone."""
        asked = Asked(name, person.acting(body.actor), body.reason, body.hard)
        return asdict(await found(parts.unread.roll_back(asked, why=_said(parts))))
