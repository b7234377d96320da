"""Control's HTTP application: routes put together, nothing decided."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

from crossfade.control.api.access import require_reader
from crossfade.control.api.feedback import create_feedback_router
from crossfade.control.api.flags import create_flags_router
from crossfade.control.api.internal import create_internal_router
from crossfade.control.api.login import create_login_router
from crossfade.control.api.metrics import create_metrics_router
from crossfade.control.api.migrations import create_migrations_router
from crossfade.control.api.overview import create_overview_router
from crossfade.control.api.parts import ControlParts
from crossfade.control.api.records import create_records_router
from crossfade.control.store.eventlog import StoreError
from crossfade.version import __version__

_NO_CONSOLE = (
    "<h1>Crossfade</h1><p>The console is not built: run <code>npm --prefix console run build</code>.</p>"
)


def create_api(parts: ControlParts) -> FastAPI:
    """The application of one control process."""
    app = FastAPI(
        title="Crossfade control", version=__version__, openapi_url="/api/openapi.json", docs_url="/api/docs"
    )
    app.include_router(create_internal_router(parts), prefix="/internal/v1")
    reader = [Depends(require_reader(parts.person_of))]
    for router in (create_overview_router(parts), create_records_router(parts)):
        app.include_router(router, prefix="/api/v1", dependencies=reader)
    for router in (create_feedback_router(parts), create_flags_router(parts), create_login_router(parts)):
        app.include_router(router)
    if parts.migrations is not None:
        migrations = create_migrations_router(parts.migrations, parts.person_of)
        app.include_router(migrations, prefix="/api/v1", dependencies=reader)
    app.include_router(create_metrics_router(parts), dependencies=reader)
    app.add_exception_handler(HTTPException, _error)
    app.add_exception_handler(StoreError, _no_store)

    @app.get("/health/readiness", include_in_schema=False)
    async def readiness() -> PlainTextResponse:
        return PlainTextResponse("ready\n")

    console = Path(str(resources.files("crossfade"))) / "console"
    if (console / "index.html").is_file():
        app.mount("/", StaticFiles(directory=console, html=True))
    else:
        app.get("/", include_in_schema=False)(_no_console)
    return app


async def _no_store(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": {"message": str(error), "hint": ""}}, status_code=503)


async def _no_console() -> HTMLResponse:
    return HTMLResponse(_NO_CONSOLE)


async def _error(_: Request, error: Any) -> JSONResponse:
    detail = error.detail if isinstance(error.detail, dict) else {"message": str(error.detail), "hint": ""}
    return JSONResponse({"error": detail}, status_code=error.status_code)
