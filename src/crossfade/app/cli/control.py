"""`crossfade control`: one control process, in the foreground."""

from __future__ import annotations

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(add_completion=False)


@app.command()
def control(
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Serve the API and the console, publish snapshots, drive migrations."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415 - heavy
    from crossfade.app.serve import serve_control  # noqa: PLC0415

    load_or_exit(config)
    raise typer.Exit(serve_control(config, state, json_ready=as_json))
