"""`crossfade sim`: serve the simulated clouds, and break them on purpose."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from crossfade.app.cli.incident import incident
from crossfade.app.cli.options import Json

if TYPE_CHECKING:
    from crossfade.sim.config import CloudsConfig

app = typer.Typer(no_args_is_help=True, help="Simulated clouds and faults.")
faults = typer.Typer(no_args_is_help=True, help="Faults in the simulated clouds.")
app.add_typer(faults, name="faults")
app.command()(incident)

Admin = Annotated[str, typer.Option("--admin", help="The clouds' admin API.")]
Target = Annotated[str, typer.Argument(help="CLOUD or CLOUD/MODEL, `*` for all.")]
DEFAULT_ADMIN = "http://127.0.0.1:4209"


@app.command()
def clouds(
    config: Annotated[Path | None, typer.Option("--config", help="The clouds file.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="First port; 0 = free ports.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of every draw.")] = None,
    time_scale: Annotated[float | None, typer.Option("--time-scale", help="Multiplies latencies.")] = None,
    as_json: Json = False,
) -> None:
    """Serve the simulated clouds until SIGTERM or Ctrl-C."""
    import asyncio  # noqa: PLC0415 - only serving needs it

    given = {"port": port, "seed": seed, "time_scale": time_scale}
    asyncio.run(
        _serve(_load(config, {key: value for key, value in given.items() if value is not None}), as_json)
    )


@faults.command("set")
def set_fault(
    target: Target,
    kind: Annotated[
        str,
        typer.Argument(
            help="errors slow stall cut exception throttle dead garbage empty filtered error_in_200."
        ),
    ],
    rate: Annotated[float, typer.Option(help="Share of requests, 0 to 1.")] = 1.0,
    option: Annotated[
        list[str] | None, typer.Option("--with", help="KEY=VALUE: delay_ms, after_chunks, status, capacity.")
    ] = None,
    admin: Admin = DEFAULT_ADMIN,
) -> None:
    """Put a fault into a cloud or model."""
    body: dict[str, Any] = {"kind": kind, "rate": rate}
    for pair in option or []:
        key, separator, value = pair.partition("=")
        if not separator:
            typer.echo(f"--with {pair}: not KEY=VALUE (hint: --with delay_ms=500)", err=True)
            raise typer.Exit(2)
        body[key] = value if key == "capacity" else json.loads(value)
    _print_faults(_call(admin, "PUT", f"/faults/{_path_of(target)}", body)["faults"], as_json=False)


@faults.command("clear")
def clear_faults(target: Target = "*", admin: Admin = DEFAULT_ADMIN) -> None:
    """Remove the faults of a cloud or model; without one, all."""
    typer.echo(f"cleared {_call(admin, 'DELETE', f'/faults/{_path_of(target)}')['cleared']}")


@faults.command("list")
def list_faults(admin: Admin = DEFAULT_ADMIN, as_json: Json = False) -> None:
    """List the faults in force."""
    _print_faults(_call(admin, "GET", "/faults")["faults"], as_json=as_json)


def _load(path: Path | None, given: dict[str, Any]) -> CloudsConfig:
    from pydantic import ValidationError  # noqa: PLC0415 - heavy

    from crossfade.sim.config import CloudsConfig, CloudsConfigError, load_clouds  # noqa: PLC0415 - heavy

    try:
        loaded = CloudsConfig(port=4200) if path is None else load_clouds(path)
        return CloudsConfig.model_validate({**dict(loaded), **given})
    except FileNotFoundError:
        typer.echo(f"{path}: no such file (hint: leave --config out for the default clouds)", err=True)
    except CloudsConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
    except ValidationError as error:
        for wrong in error.errors():
            typer.echo(f"--{'.'.join(map(str, wrong['loc'])).replace('_', '-')}: {wrong['msg']}", err=True)
    raise typer.Exit(2)


async def _serve(config: CloudsConfig, as_json: bool) -> None:
    import asyncio  # noqa: PLC0415 - only serving needs it
    import signal  # noqa: PLC0415 - only serving needs it

    from crossfade.sim.clouds import start  # noqa: PLC0415 - heavy

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with start(config) as running:
            for name, url in running.urls.items():
                line = {"ready": f"sim-{name}", "url": url, "pid": os.getpid()}
                typer.echo(json.dumps(line) if as_json else f"ready sim-{name} {url} pid {os.getpid()}")
            await stop.wait()
    except OSError as error:
        typer.echo(
            f"cannot listen from port {config.port}: {error} (hint: --port 0 takes free ports)", err=True
        )
        raise typer.Exit(1) from None


def _path_of(target: str) -> str:
    cloud, _, model = target.partition("/")
    return f"{quote(cloud, safe='*')}/{quote(model or '*', safe='*')}"


def _call(admin: str, method: str, path: str, body: Any = None) -> Any:
    import httpx2  # noqa: PLC0415 - heavy

    try:
        answer = httpx2.request(method, admin + path, json=body, timeout=10)
    except httpx2.HTTPError as error:
        typer.echo(f"{admin}: {error} (hint: start `crossfade sim clouds`, or give --admin URL)", err=True)
        raise typer.Exit(1) from None
    document = answer.json()
    if answer.is_error:
        typer.echo(document["error"]["message"], err=True)
        raise typer.Exit(2)
    return document


def _print_faults(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    for fault in found:
        rest = {key: value for key, value in fault.items() if key not in {"cloud", "model", "kind"}}
        typer.echo(f"{fault['cloud']}/{fault['model']}: {fault['kind']} {json.dumps(rest)}")
    if not found:
        typer.echo("no faults")
