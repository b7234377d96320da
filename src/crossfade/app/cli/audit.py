"""`crossfade audit`: verify."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)

Offline = Annotated[
    bool, typer.Option("--offline", help="Read database and checkpoints here, without asking control.")
]


@app.callback()
def audit() -> None:
    """The event log."""


@app.command()
def verify(
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Whether any row of the log was changed, removed, reordered or cut off; names the first.

    Where control does not answer, database and checkpoints are read here.
    """
    found = (None if offline else _asked(config, state)) or asyncio.run(_read_here(config, state))
    typer.echo(json.dumps(found) if as_json else _said(found))
    raise typer.Exit(0 if found["ok"] else 1)


def _asked(config: Path, state: Path) -> dict[str, Any] | None:
    """What control says; null if it does not answer."""
    from crossfade.app.cli.connect import client_of  # noqa: PLC0415 - heavy
    from crossfade.client import ApiError  # noqa: PLC0415

    try:
        found: dict[str, Any] = client_of(config, state).get("/audit")
    except ApiError as error:
        if error.status:
            fail(str(error), 1)
        typer.echo(f"{error}; reading the log here", err=True)
        return None
    return found


async def _read_here(config: Path, state: Path) -> dict[str, Any]:
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415 - heavy
    from crossfade.control.store.audit import audit as read  # noqa: PLC0415
    from crossfade.control.store.eventlog import EventLog, StoreError  # noqa: PLC0415
    from crossfade.control.store.signing import SigningKeys  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    control, folder = load_or_exit(config).config.control, StateDir(state)
    try:
        log = EventLog.attach(control.state or f"sqlite:///{folder.database}")
        found = await read(log, SigningKeys(folder.signing, control.signing), folder.checkpoints())
    except StoreError as error:
        fail(str(error), 1)
    return found.document()


def _said(found: dict[str, Any]) -> str:
    if found["problem"]:
        return str(found["problem"])
    behind = f"; the last {found['unsigned']} are in no checkpoint yet" if found["unsigned"] else ""
    return f"the log holds: {found['rows']} rows, {found['checkpoints']} checkpoints{behind}"
