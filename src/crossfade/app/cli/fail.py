"""How a command says what went wrong: a line on stderr, and with `--json` a document on stdout as well."""

from __future__ import annotations

import json
from typing import NoReturn

import typer

_asked = {"json": False}


def remember_json(value: bool) -> bool:
    """Note whether this command prints JSON."""
    _asked["json"] = value
    return value


def fail(message: str, code: int = 2) -> NoReturn:
    """Say it and end. 2: wrong use, or an input that does not check; 1: anything else."""
    if _asked["json"]:
        typer.echo(json.dumps({"error": {"message": message}}))
    typer.echo(message, err=True)
    raise typer.Exit(code)
