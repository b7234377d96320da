"""`crossfade endpoint`: list, show."""

from __future__ import annotations

import json

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list")
def list_endpoints(
    config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """Every endpoint and its breaker."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    rows = ask_or_exit(client_of(config, state).overview)["endpoints"]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        place = f"{row['capacity_class']:<12} {row['model']}"
        typer.echo(f"{row['name']:<20} {row['state']:<11} {place}  {row['reason']}")


@app.command()
def show(
    name: str, config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """One endpoint."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    rows = {row["name"]: row for row in ask_or_exit(client_of(config, state).overview)["endpoints"]}
    if name not in rows:
        typer.echo(f"there is no endpoint {name} (hint: there is {', '.join(rows)})", err=True)
        raise typer.Exit(1)
    typer.echo(json.dumps(rows[name], indent=None if as_json else 2))
