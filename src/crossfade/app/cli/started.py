"""What every command that starts a process does first: read the config, or say why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossfade.app.cli.fail import fail

if TYPE_CHECKING:
    from crossfade.config.load import Loaded


def load_or_exit(path: Path, *, serving: bool = False) -> Loaded:
    """Read and check the config; prints one line a problem and exits with 2 when it does not check.

    `serving`: this process will need the secrets, and people want to see the warnings.
    """
    from crossfade.config.load import ConfigError, load_config  # noqa: PLC0415 - heavy

    try:
        loaded = load_config(path, secrets=serving)
    except ConfigError as error:
        fail(str(error))
    for warning in loaded.warnings if serving else ():
        typer.echo(f"warning: {warning}", err=True)
    return loaded
