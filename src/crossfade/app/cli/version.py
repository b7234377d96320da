"""`crossfade version`."""

from __future__ import annotations

import json

import typer

from crossfade.app.cli.options import Json
from crossfade.version import __version__

app = typer.Typer(add_completion=False)


@app.command()
def version(*, as_json: Json = False) -> None:
    """Print the version."""
    typer.echo(json.dumps({"version": __version__}) if as_json else __version__)
