"""`crossfade feature`: list, show."""

from __future__ import annotations

import json

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list")
def list_features(
    config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """Every feature, who serves it, and its share at a candidate."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    rows = ask_or_exit(client_of(config, state).overview)["features"]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        candidate = f", {row['candidate_share'] * 100:g}% at {row['candidate']}" if row["candidate"] else ""
        typer.echo(f"{row['name']:<20} {' -> '.join(row['hierarchy'])}{candidate}  {row['requests_per_s']}/s")


@app.command()
def show(
    name: str, config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """One feature."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    rows = {row["name"]: row for row in ask_or_exit(client_of(config, state).overview)["features"]}
    if name not in rows:
        fail(f"there is no feature {name} (hint: there is {', '.join(rows)})", 1)
    typer.echo(json.dumps(rows[name], indent=None if as_json else 2))
