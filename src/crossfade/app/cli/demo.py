"""`crossfade demo`: a whole migration on simulated clouds, no account and no key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossfade.app.cli.options import Json

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Seed of every draw in clouds, callers and raters.")] = 7,
    speed: Annotated[float, typer.Option(min=0.2, max=5.0, help="Divides bakes and latencies.")] = 1.0,
    state: Annotated[
        Path | None, typer.Option("--state", help="Folder for files, state and logs; a new one by default.")
    ] = None,
    *,
    ends: Annotated[bool, typer.Option("--exit", help="End after the summary.")] = False,
    real_model: Annotated[
        bool,
        typer.Option("--real-model", help="The candidate is a true small model here (some eight minutes)."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Move a feature from SageMaker to Bedrock through all four steps, with a fault on the way."""
    import asyncio  # noqa: PLC0415 - heavy parts only for those who run it

    from crossfade.app.demo.performance import Options, perform  # noqa: PLC0415
    from crossfade.app.demo.real_model import ensure_installed  # noqa: PLC0415
    from crossfade.app.demo.stage import Pace, StageError  # noqa: PLC0415
    from crossfade.app.demo.story import TO_BEDROCK, TO_REAL_MODEL  # noqa: PLC0415
    from crossfade.app.demo.walk import DemoError  # noqa: PLC0415
    from crossfade.client import ApiError  # noqa: PLC0415

    story = TO_REAL_MODEL if real_model else TO_BEDROCK
    options = Options(Pace(seed, speed), story, ends, state, as_json)
    try:
        if real_model:
            ensure_installed()
        code = asyncio.run(perform(options, typer.echo))
    except (DemoError, StageError, ApiError) as error:
        typer.echo(str(error), err=True)
        code = 1
    raise typer.Exit(code)
