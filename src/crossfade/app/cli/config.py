"""`crossfade config`: check, show, diff, schema, import-litellm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, ConfigPath, Json, Quiet

app = typer.Typer(no_args_is_help=True, add_completion=False)
File = Annotated[Path | None, typer.Argument(help="The file; by default --config.")]


@app.command()
def check(
    file: File = None, config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Check a file: one line a problem. Exit 1 if it does not check."""
    from dataclasses import asdict  # noqa: PLC0415

    from crossfade.config.load import ConfigError, load_config  # noqa: PLC0415 - heavy

    problems, warnings = [], []
    try:
        warnings = list(load_config(file or config).warnings)
    except ConfigError as error:
        problems = error.problems
    if as_json:
        document = {
            "ok": not problems,
            "problems": [asdict(p) for p in problems],
            "warnings": [asdict(w) for w in warnings],
        }
        typer.echo(json.dumps(document))
    else:
        for problem in problems:
            typer.echo(str(problem), err=True)
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        if not problems and not quiet:
            typer.echo(f"{file or config}: checks")
    raise typer.Exit(1 if problems else 0)


@app.command()
def show(
    file: File = None,
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    expanded: Annotated[bool, typer.Option(help="The long form, with every default.")] = False,
    as_json: Json = False,
) -> None:
    """Print a file, or its long form."""
    import yaml  # noqa: PLC0415

    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415

    loaded = load_or_exit(file or config)
    if as_json or expanded:
        document = loaded.config.model_dump(mode="json", by_alias=True)
        typer.echo(json.dumps(document) if as_json else yaml.safe_dump(document, sort_keys=False).rstrip())
    else:
        typer.echo(loaded.text.rstrip())


@app.command()
def diff(old: Path, new: Path, *, as_json: Json = False) -> None:
    """What changed between two files. Exit 1 if anything did."""
    from dataclasses import asdict  # noqa: PLC0415

    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415
    from crossfade.config.diff import diff as changes_of  # noqa: PLC0415

    changes = changes_of(load_or_exit(old).config, load_or_exit(new).config)
    if as_json:
        typer.echo(json.dumps([asdict(change) for change in changes]))
    else:
        for change in changes:
            typer.echo(str(change))
    raise typer.Exit(1 if changes else 0)


@app.command()
def schema() -> None:
    """Print the file's JSON schema."""
    from crossfade.config.generate import generated  # noqa: PLC0415

    typer.echo(generated()["spec/config.schema.json"].rstrip())


@app.command("import-litellm")
def import_litellm(
    file: Path,
    out: Annotated[Path | None, typer.Option("--out", help="Write the config there, not to stdout.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Translate a LiteLLM proxy config; what was not carried over is listed. Exit 1 if nothing could be."""
    from dataclasses import asdict  # noqa: PLC0415

    from crossfade.config.importers.litellm import import_litellm as translate  # noqa: PLC0415 - heavy

    try:
        imported = translate(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(2) from None
    usable = bool(imported.document)
    if as_json:
        document = {
            "ok": usable,
            "config": imported.document,
            "left": [asdict(each) for each in imported.left],
        }
        typer.echo(json.dumps(document))
    elif usable and out is None:
        typer.echo(imported.text.rstrip())
    for each in () if as_json else imported.left:
        typer.echo(f"not carried over: {each.where}: {each.what}", err=True)
    if usable and out is not None:
        try:
            with out.open("x", encoding="utf-8") as written:
                written.write(imported.text)
        except OSError as error:
            typer.echo(f"{out}: {error.strerror} (hint: an existing file is not overwritten)", err=True)
            raise typer.Exit(2) from None
    raise typer.Exit(0 if usable else 1)
