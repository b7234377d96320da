"""`crossfade audit`: verify."""

from __future__ import annotations

import json

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def audit() -> None:
    """The event log."""


@app.command()
def verify(
    config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """Whether any row of the log was changed, removed or reordered; names the first."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    found = ask_or_exit(client_of(config, state).get, "/audit")
    good = f"the log holds: {found['rows']} rows, {found['checkpoints']} checkpoints"
    typer.echo(json.dumps(found) if as_json else (found["problem"] or good))
    raise typer.Exit(0 if found["ok"] else 1)
