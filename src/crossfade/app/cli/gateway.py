"""`crossfade gateway`: one gateway, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(add_completion=False)


@app.command()
def gateway(  # noqa: PLR0913 - options of a command line
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    name: Annotated[str, typer.Option(help="This gateway's name; one per gateway.")] = "gateway-1",
    listen: Annotated[str | None, typer.Option(help="Overrides gateway.listen.")] = None,
    admin: Annotated[str | None, typer.Option(help="Overrides gateway.admin.")] = None,
    control_url: Annotated[
        str | None, typer.Option(help="Where control is; by default control.listen.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Serve model traffic. Starts from the last snapshot if control is away."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415 - heavy
    from crossfade.app.gateway_process import PROGRAM, replace_with_gateway  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    settings = load_or_exit(config).config
    folder = StateDir(state)
    own = folder.gateway(name)
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "name": name,
        "listen": listen or settings.gateway.listen,
        "admin": admin or settings.gateway.admin,
        "state_dir": str(own),
        "control_url": control_url or f"http://{settings.control.listen}",
        "tls": settings.gateway.tls.model_dump() if settings.gateway.tls else None,
        "token": folder.gateway_token(),
        "pepper": folder.pepper(),
    }
    try:
        replace_with_gateway(options, json_ready=as_json)
    except OSError as error:
        hint = "reinstall crossfade; in a checkout: `make setup`"
        fail(f"the gateway's program {PROGRAM} cannot be run: {error.strerror} (hint: {hint})", 1)
