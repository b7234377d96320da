"""`crossfade key`: create, list, revoke. Keys live in the config as hashes."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key: letters, digits, dashes.")],
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once; the config gets its hash."""
    from crossfade.control.store.keys import create_key  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    if not name.replace("-", "").isalnum() or not name.isascii():
        fail(f"{name!r} is not a name (hint: letters, digits and dashes)")
    text, hashed = create_key(name, StateDir(state).pepper())
    if as_json:
        typer.echo(json.dumps({"key": text, "hash": hashed}))
        return
    line = f"  {name}: {{hash: {hashed}, features: ['*']}}"
    typer.echo(f"{text}\n\nThis is shown once. In the config, under keys:\n{line}")


@app.command("list")
def list_keys(config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False) -> None:
    """The keys in the config."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415

    keys = {name: list(key.features) for name, key in load_or_exit(config).config.keys.items()}
    if as_json:
        typer.echo(json.dumps(keys))
        return
    if not keys:
        typer.echo(
            "none: the gateway serves all callers on this machine only (hint: `crossfade key create`)",
            err=True,
        )
    for name, features in keys.items():
        typer.echo(f"{name:<20} {', '.join(features)}")


@app.command()
def revoke(name: str, config: ConfigPath = DEFAULT_CONFIG) -> None:
    """How to revoke a key: config is the truth, so it is a change of the file."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415

    if name not in load_or_exit(config).config.keys:
        fail(f"there is no key {name}", 1)
    typer.echo(f"remove `{name}:` from keys in {config}; a running control applies it within a second")
