"""`crossfade sim incident`: published incidents in virtual time, as callers of the gateway saw them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from crossfade.app.cli.options import Json

if TYPE_CHECKING:
    from crossfade.config.features import Config
    from crossfade.sim.incident.replay import Replay
    from crossfade.sim.rehearsal.clouds.incident import Incident


def incident(  # noqa: PLR0913 - one parameter an option
    file: Annotated[Path, typer.Argument(help="A JSON file of incidents: ids and phases.")],
    only: Annotated[
        list[str] | None, typer.Option("--incident", help="This one, by its id; repeatable. Else all.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Your own config; else an endpoint and its backup.")
    ] = None,
    *,
    feature: Annotated[str | None, typer.Option(help="Whose requests; else the config's first.")] = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", help="Struck endpoint; repeatable. Else the primary's.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Requests a second.")] = 5.0,
    hours: Annotated[float, typer.Option(min=0.05, max=200, help="So much of an incident at most.")] = 3.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers.")] = 1,
    html: Annotated[Path | None, typer.Option(help="Write the plots to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Replay published incidents at one endpoint: callers' errors, first tokens, and the way back."""
    from crossfade.sim.incident.page import facts_of, render_incidents  # noqa: PLC0415 - heavy
    from crossfade.sim.incident.replay import replay  # noqa: PLC0415 - heavy

    known = _known(file, only or [])
    wanted = _wanted(_config(config), feature, at or [], (rate, hours, seed))
    found = [replay(wanted, one) for one in known]
    if html is not None:
        html.write_text(render_incidents(found))
    if as_json:
        typer.echo(json.dumps({"incidents": found}, indent=2))
        return
    for one in found:
        typer.echo(f"{one['incident']}: {one['title']}")
        for what, value in facts_of(one):
            typer.echo(f"  {what:<50} {value}")
    if html is not None:
        typer.echo(f"plots: {html}")


def _known(file: Path, only: list[str]) -> list[Incident]:
    from crossfade.sim.rehearsal.clouds.incident import IncidentError, read_incidents  # noqa: PLC0415

    try:
        known = read_incidents(file)
    except IncidentError as error:
        _fail(str(error).replace("--incidents takes", "it takes"))
    for name in only:
        if name not in known:
            _fail(f"no incident {name!r} in {file} (hint: there is {', '.join(known)})")
    return [one for name, one in known.items() if not only or name in only]


def _wanted(config: Config, feature: str | None, at: list[str], numbers: tuple[float, float, int]) -> Replay:
    from crossfade.sim.incident.replay import Replay  # noqa: PLC0415 - heavy

    chosen = feature or next(iter(config.features))
    if chosen not in config.features:
        _fail(f"there is no feature {chosen!r} (hint: there is {', '.join(config.features)})")
    primary = config.pools[config.features[chosen].hierarchy[0].pool].endpoints
    struck = frozenset(at or primary)
    if unknown := sorted(struck - set(config.endpoints)):
        _fail(f"there is no endpoint {unknown[0]!r} (hint: there is {', '.join(config.endpoints)})")
    rate, hours, seed = numbers
    return Replay(config, chosen, struck, rate, hours * 3600.0, seed)


def _config(path: Path | None) -> Config:
    from crossfade.config.load import ConfigError, load_config, load_text  # noqa: PLC0415 - heavy
    from crossfade.sim.incident.replay import SMALL  # noqa: PLC0415 - heavy

    try:
        return (
            load_text(SMALL, "built in").config if path is None else load_config(path, secrets=False).config
        )
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(2) from None


def _fail(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(2)
