"""`crossfade up`: gateway and control in the foreground."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, Quiet, StatePath

app = typer.Typer(add_completion=False)


@app.command()
def up(
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Start one gateway and control, and keep both alive until SIGTERM."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415 - the config reader is heavy
    from crossfade.app.supervise import Part, supervise  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    load_or_exit(config, serving=True)
    folder = StateDir(state)
    folder.prepare()
    secrets = (folder.gateway_token, folder.pepper, folder.api_token, folder.measure_key, folder.session_key)
    for secret in secrets:
        secret()  # made before two processes could make them at once

    def report(message: dict[str, Any]) -> None:
        if as_json:
            typer.echo(json.dumps(message))
        elif "ready" in message and not quiet:
            url = f"{message.get('scheme', 'http')}://{message['listen']}"
            typer.echo(f"{message['ready']:<8} ready on {url} (pid {message['pid']})")
            if message["ready"] == "control":
                typer.echo("console  " + _link(url, folder.api_token()))
        elif "waits" in message:
            typer.echo(f"{message['waits']} waits: {message['reason']}", err=True)
        elif "restart" in message:
            typer.echo(f"{message['restart']} ended with {message['exit']}: starting it again", err=True)
        elif "line" in message and not quiet:
            typer.echo(message["line"])

    shared = ("--config", str(config), "--state", str(state), "--json")
    if not quiet and not as_json:
        typer.echo(f"crossfade up (pid {os.getpid()}), config {config}, state {state}")
    parts = [Part("control", ("control", *shared)), Part("gateway", ("gateway", *shared))]
    raise typer.Exit(asyncio.run(supervise(parts, report)))


def _link(url: str, token: str) -> str:
    """The console's address, with a code that logs one browser in, once, within ten minutes."""
    from crossfade.client import ApiError, Client  # noqa: PLC0415

    try:
        with Client(url, token, timeout_s=5) as client:
            return f"{client.login_url()} (once; `crossfade login` prints another)"
    except ApiError as error:
        return f"{url}/ (no login link: {error})"
