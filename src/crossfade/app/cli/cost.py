"""`crossfade cost`: report."""

from __future__ import annotations

import json

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def cost() -> None:
    """What each feature costs."""


@app.command()
def report(
    config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """Tokens and money by feature, endpoint and purpose; unpriced is said, never zero."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415
    from crossfade.app.cli.records import table  # noqa: PLC0415

    client = client_of(config, state)
    rows = ask_or_exit(client.get, "/cost")
    if as_json:
        typer.echo(json.dumps(rows))
        return
    shown = [{**row, "usd": "unpriced" if row["usd"] is None else f"{row['usd']:.4f}"} for row in rows]
    typer.echo(table(shown))
