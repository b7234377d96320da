"""`crossfade doctor`: is this deployment well?"""

from __future__ import annotations

import json

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """Check the config and ask a running control. Exit 1 if anything is wrong."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    found = ask_or_exit(client_of(config, state).overview)
    troubles = [
        f"endpoint {row['name']}: {row['reason']}" for row in found["endpoints"] if row["state"] != "closed"
    ]
    troubles += [
        f"gateway {row['name']}: silent for {row['age_s']} s" for row in found["gateways"] if row["age_s"] > 5
    ]
    troubles += [f"credential {name}: {why}" for name, why in found["credentials"].items()]
    troubles += ["no gateway has reported"] if not found["gateways"] else []
    troubles += [f"config: {found['config_error']}"] if found["config_error"] else []
    if as_json:
        typer.echo(json.dumps({"ok": not troubles, "troubles": troubles}))
    else:
        typer.echo("\n".join(troubles) or "all is well")
    raise typer.Exit(1 if troubles else 0)
