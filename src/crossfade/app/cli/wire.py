"""`crossfade wire`: recorded exchanges against the codecs, and the codecs by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crossfade.app.cli.options import Json

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def wire() -> None:
    """Check, decode and encode provider wire formats."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Recorded exchanges, one JSON document a line.")],
    *,
    as_json: Json = False,
) -> None:
    """Decode each recorded exchange and compare it with what its reader must find."""
    from crossfade.app.wire.check import problems  # noqa: PLC0415 - loads the engine
    from crossfade.app.wire.exchange import ExchangeError, read_exchanges  # noqa: PLC0415

    passed, failed = 0, []
    try:
        for exchange in read_exchanges(file):
            found = problems(exchange)
            if not found:
                passed += 1
                continue
            failed.append({"id": exchange.id, "problems": found})
            if not as_json:
                typer.echo(f"{exchange.id}: {'; '.join(found)}")
    except OSError as error:
        typer.echo(f"{file}: {error.strerror} (hint: give a file of recorded exchanges)", err=True)
        raise typer.Exit(2) from error
    except ExchangeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps({"passed": passed, "failed": len(failed), "failures": failed}))
    else:
        typer.echo(f"{passed} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)
