"""The options every command shares, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossfade.app.cli.fail import remember_json

ConfigPath = Annotated[Path, typer.Option("--config", help="The config file.", show_default=True)]
StatePath = Annotated[Path, typer.Option("--state", help="The state folder.", show_default=True)]
Json = Annotated[
    bool, typer.Option("--json", callback=remember_json, help="Print one JSON document instead of text.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]

DEFAULT_CONFIG = Path("crossfade.yaml")
DEFAULT_STATE = Path(".crossfade")
