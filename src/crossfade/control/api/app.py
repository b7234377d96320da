"""Control's HTTP application: routes put together, nothing decided."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as NotServedError

from crossfade.control.api.access import require_reader
from crossfade.control.api.feedback import create_feedback_router
from crossfade.control.api.flags import create_flags_router
from crossfade.control.api.internal import create_credentials_router, create_internal_router
from crossfade.control.api.login import LoginParts, create_login_router
from crossfade.control.api.metrics import create_metrics_router
from crossfade.control.api.migrations import create_migrations_router
from crossfade.control.api.overview import create_overview_router
from crossfade.control.api.parts import ControlParts
from crossfade.control.api.records import create_records_router
from crossfade.control.store.eventlog import StoreError
from crossfade.version import __version__

SHOWN_PROBLEMS = 20
_NO_CONSOLE = (
    "<h1>Crossfade</h1><p>The console is not built: run <code>npm --prefix console run build</code>.</p>"
)


def create_api(parts: ControlParts) -> FastAPI:
    """The application of one control process."""
    app = FastAPI(
        title="Crossfade control", version=__version__, openapi_url="/api/openapi.json", docs_url="/api/docs"
    )
    add_errors(app)
    app.include_router(create_credentials_router(parts.broker, parts.gateway_token), prefix="/internal/v1")
    app.include_router(create_internal_router(parts), prefix="/internal/v1")
    reader = [Depends(require_reader(parts.person_of))]
    for router in (create_overview_router(parts), create_records_router(parts)):
        app.include_router(router, prefix="/api/v1", dependencies=reader)
    login = LoginParts(parts.person_of, parts.sessions, lambda: parts.publisher.config, parts.oidc_of)
    for router in (create_feedback_router(parts), create_flags_router(parts), create_login_router(login)):
        app.include_router(router)
    if parts.migrations is not None:
        migrations = create_migrations_router(parts.migrations, parts.person_of)
        app.include_router(migrations, prefix="/api/v1", dependencies=reader)
    app.include_router(create_metrics_router(parts), dependencies=reader)
    app.add_exception_handler(StoreError, _no_store)

    @app.get("/health/readiness", include_in_schema=False)
    async def readiness() -> PlainTextResponse:
        return PlainTextResponse("ready\n")

    mount_console(app)
    return app


def mount_console(app: FastAPI) -> None:
    """The page at `/`, or how to build it."""
    console = Path(str(resources.files("crossfade"))) / "console"
    if (console / "index.html").is_file():
        app.mount("/", StaticFiles(directory=console, html=True))
    else:
        app.get("/", include_in_schema=False)(_no_console)


def add_errors(app: FastAPI) -> None:
    """Every refusal has one form, the framework's own too: `{"error": {"message", "hint"}}`.

    Before the routes: what no route may take is refused before any of them acts.
    """
    app.router.dependencies.append(Depends(_refuse_halves))
    app.add_exception_handler(NotServedError, _error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(UnicodeEncodeError, _no_text)
    app.add_exception_handler(Exception, _failed)


async def _not_valid(request: Request, error: Any) -> JSONResponse:
    """A body that does not check: which field and why, never what it held."""
    problems = [
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    ]
    said = "; ".join(problems[:SHOWN_PROBLEMS])
    return _refused(request, said)


async def _refuse_halves(request: Request) -> None:
    r"""JSON may say `\ud800`, half of a character, which nothing that is kept or signed can hold.

    Before the route begins: half of a rollback's reason must not be found out while it is logged. Raises
    UnicodeEncodeError.
    """
    if getattr(request.scope["route"], "body_field", None) is None:
        return  # it reads no JSON
    body = await request.body()
    if b"\\u" in body or b"\xed" in body:
        json.dumps(await request.json(), ensure_ascii=False).encode()


async def _no_text(request: Request, _: Exception) -> JSONResponse:
    """See `_refuse_halves`; also of what came in an address."""
    return _refused(request, "the body holds half of a character (a lone surrogate)")


async def _failed(_: Request, error: Exception) -> JSONResponse:
    """A mistake of ours, or a log that somebody changed; what it was is in control's own log."""
    message = f"control could not do this: {type(error).__name__}"
    hint = (
        "control's own log says more; `crossfade audit verify` tells whether somebody changed the event log"
    )
    return JSONResponse({"error": {"message": message, "hint": hint}}, status_code=500)


def _refused(request: Request, said: str) -> JSONResponse:
    if request.url.path.startswith("/ofrep/"):
        return JSONResponse({"errorCode": "PARSE_ERROR", "errorDetails": said}, status_code=400)
    return JSONResponse({"error": {"message": said, "hint": "see /api/openapi.json"}}, status_code=422)


async def _no_store(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": {"message": str(error), "hint": ""}}, status_code=503)


async def _no_console() -> HTMLResponse:
    return HTMLResponse(_NO_CONSOLE)


async def _error(_: Request, error: Any) -> Response:
    detail = error.detail if isinstance(error.detail, dict) else {"message": str(error.detail), "hint": ""}
    text = json.dumps({"error": detail})  # in ASCII: what it quotes may be no text
    return Response(text, error.status_code, error.headers, "application/json")
