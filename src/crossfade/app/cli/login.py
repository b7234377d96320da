"""`crossfade login`: a one-time link to the console."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from crossfade.app.cli.connect import ask_or_exit, client_of
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(add_completion=False)


@app.command()
def login(
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    person: Annotated[
        str | None, typer.Option(help="For this person of the config; else as this machine's administrator.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a link that logs one browser in to the console, once, within ten minutes."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415 - heavy

    with client_of(config, state) as client:
        path = ask_or_exit(client.post, "/login/links", {"person": person})["path"]
    url = f"http://{load_or_exit(config).config.control.listen}{path}"
    typer.echo(json.dumps({"url": url}) if as_json else url)
