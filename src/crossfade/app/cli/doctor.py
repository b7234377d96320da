"""`crossfade doctor`: is this deployment well?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

if TYPE_CHECKING:
    from crossfade.app.doctor.finding import Finding

app = typer.Typer(add_completion=False)
Only = Annotated[list[str] | None, typer.Argument(help="Endpoints to look at; by default all.")]


@app.command()
def doctor(
    endpoints: Only = None,
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Check every endpoint: credential, DNS, TLS, clock, and a one-token call through the gateway.

    Exit 0: nothing failed. 1: something did. 2: wrong use, or the config does not check.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415
    from crossfade.app.doctor.examine import Gateway, examine  # noqa: PLC0415 - heavy
    from crossfade.app.doctor.finding import State  # noqa: PLC0415
    from crossfade.control.evidence.gateway_address import gateway_address  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    loaded = load_or_exit(config).config
    unknown = sorted(set(endpoints or ()) - set(loaded.endpoints))
    if unknown:
        known = ", ".join(loaded.endpoints)
        fail(f"there is no endpoint {', '.join(unknown)} (hint: one of {known})")
    gateway = Gateway(gateway_address(loaded), StateDir(state).measure_key())
    findings = [
        *_deployment(f"http://{loaded.control.listen}", StateDir(state).api_token()),
        *examine(loaded, gateway, tuple(endpoints or ())),
    ]
    failed = any(finding.state is State.FAIL for finding in findings)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo("something is wrong" if failed else "all is well")
    raise typer.Exit(1 if failed else 0)


def _deployment(control: str, token: str) -> list[Finding]:
    """What a running control knows to be wrong."""
    from crossfade.app.doctor.finding import Finding, State  # noqa: PLC0415
    from crossfade.client import ApiError, Client  # noqa: PLC0415

    try:
        with Client(control, token, timeout_s=5) as client:
            found: dict[str, Any] = client.overview()
    except ApiError as error:
        if error.status is not None:
            return [Finding("control", "running", State.FAIL, str(error), "--state of the running control")]
        return [Finding("control", "running", State.SKIPPED, f"nothing answers at {control}", "crossfade up")]
    fail, release = State.FAIL, "`crossfade explain` tells why; it comes back by itself on evidence"
    troubles = [
        Finding(row["name"], "health", fail, row["reason"], release)
        for row in found["endpoints"]
        if row["state"] not in {"closed", "unknown"}  # unknown: just started, or no gateway, said below
    ]
    troubles += [
        Finding(row["name"], "gateway", fail, f"silent for {row['age_s']} s", "look at its log")
        for row in found["gateways"]
        if row["age_s"] > 5
    ]
    troubles += [
        Finding(name, "renewal", State.WARN, why, "see the provider's findings below")
        for name, why in found["credentials"].items()
    ]
    if not found["gateways"]:
        troubles.append(Finding("gateway", "running", fail, "no gateway has reported", "crossfade up"))
    if found["config_error"]:
        troubles.append(Finding("config", "applied", fail, found["config_error"], "mend the file"))
    return troubles or [Finding("control", "running", State.OK, "control and gateways are well")]
