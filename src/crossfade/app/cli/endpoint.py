"""`crossfade endpoint`: list, show, and an operator's force on this config's gateway."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list")
def list_endpoints(
    config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """Every endpoint and its breaker."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    rows = ask_or_exit(client_of(config, state).overview)["endpoints"]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        place = f"{row['capacity_class']:<12} {row['model']}"
        typer.echo(f"{row['name']:<20} {row['state']:<11} {place}  {row['reason']}")


@app.command()
def show(
    name: str, config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """One endpoint."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    rows = {row["name"]: row for row in ask_or_exit(client_of(config, state).overview)["endpoints"]}
    if name not in rows:
        fail(f"there is no endpoint {name} (hint: there is {', '.join(rows)})", 1)
    typer.echo(json.dumps(rows[name], indent=None if as_json else 2))


For = Annotated[str, typer.Option("--for", help="How long, with its unit: 30m. It ends by itself.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: shown wherever the endpoint's state is.")]


@app.command("force-open")
def force_open(name: str, *, for_: For, reason: Reason, config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Take an endpoint out of service for a while."""
    _force(config, name, {"open": True, "for_s": _seconds(for_), "reason": reason})


@app.command("force-closed")
def force_closed(name: str, *, for_: For, reason: Reason, config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Send an endpoint its whole traffic for a while, whatever its breaker says."""
    _force(config, name, {"open": False, "for_s": _seconds(for_), "reason": reason})


@app.command()
def release(name: str, config: ConfigPath = DEFAULT_CONFIG) -> None:
    """End a force before its time."""
    _force(config, name, None)


def _seconds(text: str) -> float:
    from crossfade.config.quantity import parse_duration_s  # noqa: PLC0415

    try:
        return parse_duration_s(text)
    except ValueError as error:
        fail(f"--for {text}: {error}")


def _force(config: Any, name: str, order: dict[str, Any] | None) -> None:
    import httpx2  # noqa: PLC0415

    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415

    url = f"http://{load_or_exit(config).config.gateway.admin}/admin/force/{name}"
    try:
        answer = httpx2.request("DELETE" if order is None else "PUT", url, json=order, timeout=10)
    except httpx2.HTTPError as error:
        fail(f"{url}: {error} (hint: is the gateway of this config running?)", 1)
    if answer.status_code != httpx2.codes.OK:
        fail(f"{name}: {answer.text.strip()} (hint: `crossfade endpoint list` names them)", 1)
    done = "released" if order is None else f"forced for {order['for_s']:g} s: {order['reason']}"
    typer.echo(f"{name}: {done}")
