"""`crossfade wire`: recorded exchanges against the codecs, and the codecs by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
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


Body = Annotated[Path, typer.Argument(help="A file with the bytes.")]


@app.command()
def decode(
    file: Body,
    dialect: Annotated[str, typer.Option(help="What the answer speaks, such as anthropic_messages.")],
    framing: Annotated[str, typer.Option(help="whole, sse, aws-events, aws-chunks or aws-bytes.")] = "whole",
) -> None:
    """Print what the engine reads in an answer, as JSON."""
    from crossfade import _engine  # noqa: PLC0415 - loads the engine

    _print_document(lambda: _engine.decode_answer(dialect, framing, file.read_bytes()))


@app.command()
def encode(
    file: Body,
    upstream: Annotated[str, typer.Option(help="What the endpoint speaks, such as gemini.")],
    model: Annotated[str, typer.Option(help="The endpoint's model: its profile decides what it takes.")],
    caller: Annotated[str, typer.Option(help="What the body speaks.")] = "openai_chat",
) -> None:
    """Print the body an endpoint would get for a caller's request, and what it could not carry."""
    from crossfade import _engine  # noqa: PLC0415 - loads the engine
    from crossfade.config.catalogue.capabilities import capabilities_of  # noqa: PLC0415

    takes = json.dumps(asdict(capabilities_of(model)))
    _print_document(lambda: _engine.translate_request(caller, upstream, model, takes, file.read_bytes()))


def _print_document(read: Callable[[], str]) -> None:
    try:
        document = json.loads(read())
    except OSError as error:
        typer.echo(f"{error.filename}: {error.strerror}", err=True)
        raise typer.Exit(2) from error
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
