"""`crossfade person`: who may change what control does. People live in the config as hashes of tokens."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath
from crossfade.domain.people import Role

app = typer.Typer(no_args_is_help=True, add_completion=False)

Roles = Annotated[list[Role], typer.Option("--role", help="May be given several times.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The person, as signatures will name them.")],
    role: Roles,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Make a token for a person. It is shown once; the config gets its hash."""
    from crossfade.control.store.keys import create_key  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")
    if not plain or '"' in name or "\n" in name:
        fail(f"{name!r} is not a name (hint: letters, digits, spaces)")
    text, hashed = create_key(plain, StateDir(state).pepper())
    roles = list(dict.fromkeys(role))
    if as_json:
        typer.echo(json.dumps({"token": text, "hash": hashed, "roles": roles}))
        return
    line = f'  "{name}": {{hash: {hashed}, roles: [{", ".join(roles)}]}}'
    typer.echo(
        f"{text}\n\nThis is shown once: the person sets it as CROSSFADE_API_TOKEN. "
        f"In the config, under people:\n{line}"
    )


@app.command("list")
def list_people(config: ConfigPath = DEFAULT_CONFIG, *, as_json: Json = False) -> None:
    """The people in the config and their roles."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415

    people = {name: list(person.roles) for name, person in load_or_exit(config).config.people.items()}
    if as_json:
        typer.echo(json.dumps(people))
        return
    for name, roles in people.items():
        typer.echo(f"{name:<24} {', '.join(roles)}")
