"""`crossfade migration rehearse`: the whole playbook in virtual time, faults included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, ConfigPath, Json, Quiet

if TYPE_CHECKING:
    from crossfade.sim.rehearsal.clouds.incident import Incident
    from crossfade.sim.rehearsal.prepare import Wanted
    from crossfade.sim.rehearsal.run import Planned
    from crossfade.sim.rehearsal.traffic.trace import Trace

SYNTHETIC_PER_S = 2.0
SIDES = {"candidate": ("candidate",), "both": ("both",), "each": ("candidate", "both")}


TracePath = Annotated[
    Path | None,
    typer.Option(help="Recorded demand: CSV or JSON lines, one row a request or a window; .gz too."),
]
Column = Annotated[str | None, typer.Option(help="Which rate of the trace, if it has several.")]
Rate = Annotated[float, typer.Option(help="Mean requests/s of the synthetic week.")]
Days = Annotated[float, typer.Option(help="How long to rehearse; a shorter trace repeats.")]
Requests = Annotated[int, typer.Option(help="Thin the trace to so many requests.")]
CloudsPath = Annotated[Path | None, typer.Option(help="A clouds file: latency by model id.")]
IncidentsPath = Annotated[Path | None, typer.Option(help="A JSON file of incidents.")]
IncidentIds = Annotated[
    list[str] | None, typer.Option(help="Inject this one, by its id in --incidents; repeatable.")
]
AllIncidents = Annotated[bool, typer.Option("--all-incidents", help="One rehearsal for each, and a table.")]
At = Annotated[list[str] | None, typer.Option(help="At which stage; repeatable. Else 5%.")]
Side = Annotated[str, typer.Option("--in", help="candidate, both, or each in turn.")]
SignAfter = Annotated[str, typer.Option(help="How long people take to sign.")]
MendAfter = Annotated[str, typer.Option(help="From a rollback to `resume`.")]
ApproveAfter = Annotated[str, typer.Option(help="Until a person approves weak evidence.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same report.")]
HtmlPath = Annotated[Path | None, typer.Option(help="Write the report with plots to this file.")]


def rehearse(  # noqa: PLR0913 - one parameter an option
    file: Annotated[Path, typer.Argument(help="The migration file.")],
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    trace: TracePath = None,
    column: Column = None,
    rate: Rate = SYNTHETIC_PER_S,
    days: Days = 7.0,
    requests: Requests = 1_000_000,
    clouds: CloudsPath = None,
    incidents: IncidentsPath = None,
    incident: IncidentIds = None,
    all_incidents: AllIncidents = False,
    at: At = None,
    side: Side = "candidate",
    sign_after: SignAfter = "4h",
    mend_after: MendAfter = "1h",
    approve_after: ApproveAfter = "30m",
    seed: Seed = 1,
    html: HtmlPath = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole playbook in virtual time, over the production decisions and guards.

    Reports how long it takes, what callers see, money, the harm before each rollback, and what a canary
    that advances by the clock would have done. Progress goes to stderr. Exit 1 if an injected fault was
    not caught, or one of both sides was blamed on the candidate.
    """
    from crossfade.sim.rehearsal.prepare import Wanted  # noqa: PLC0415 - heavy

    if days <= 0 or requests < 1 or rate <= 0:
        fail("--days, --requests and --rate must be above 0 (hint: leave them out)")
    chosen = _incidents(incidents, incident or [], all_incidents=all_incidents)
    wanted = Wanted(
        trace=_trace(trace, column, rate),
        days=days,
        requests=requests,
        seed=seed,
        people=_people(sign_after, mend_after, approve_after),
        clouds=_clouds(clouds),
        ends_with_faults=all_incidents,
    )
    planned = _planned(chosen, at or ["5%"], side)
    say: Callable[[str], None] = (lambda _: None) if quiet else (lambda text: typer.echo(text, err=True))
    if all_incidents:
        found = [_run(file, config, wanted, one, say) for one in planned]
        document: dict[str, Any] = {
            "rehearsals": found,
            "faults": [f for one in found for f in one["faults"]],
        }
    else:
        document = _run(file, config, wanted, tuple(f for one in planned for f in one), say)
    _print(document, html, as_json=as_json)
    if not all(is_kept(fault) for fault in document["faults"]):
        raise typer.Exit(1)


def is_kept(fault: dict[str, Any]) -> bool:
    """Whether the promise about a fault was kept: caught in the candidate, not blamed on it in both."""
    if fault["in"] == "both":
        return str(fault["outcome"]) in {"held", "not felt"}
    return str(fault["outcome"]) == "rolled back"


def _run(
    file: Path, config: Path, wanted: Wanted, faults: tuple[Planned, ...], say: Callable[[str], None]
) -> dict[str, Any]:
    from dataclasses import replace  # noqa: PLC0415

    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415
    from crossfade.app.garbage import collect_less  # noqa: PLC0415
    from crossfade.control.migration.spec.parse import load_spec  # noqa: PLC0415 - heavy
    from crossfade.control.migration.spec.reader import SpecError, read_file  # noqa: PLC0415
    from crossfade.sim.rehearsal.outcome import document_of  # noqa: PLC0415
    from crossfade.sim.rehearsal.page import hours  # noqa: PLC0415
    from crossfade.sim.rehearsal.prepare import RehearsalError, plan_of, price_of  # noqa: PLC0415
    from crossfade.sim.rehearsal.run import Rehearsal  # noqa: PLC0415

    loaded = load_or_exit(config)
    try:
        spec = load_spec(read_file(file), str(file))
        plan = plan_of(loaded.config, spec, replace(wanted, faults=faults))
    except (SpecError, RehearsalError) as error:
        fail(str(error))
    collect_less()
    rehearsal = Rehearsal(plan, lambda at, text: say(f"{hours(at):>8}  {text}"))
    state = asyncio.run(rehearsal.run())
    return document_of(rehearsal, state, price_of(loaded.config))


def _incidents(path: Path | None, names: list[str], *, all_incidents: bool) -> list[Incident]:
    from crossfade.sim.rehearsal.clouds.incident import IncidentError, read_incidents  # noqa: PLC0415

    if path is None:
        if names or all_incidents:
            fail("there is no list of incidents (hint: --incidents FILE)")
        return []
    try:
        known = read_incidents(path)
    except IncidentError as error:
        fail(str(error))
    if not names and not all_incidents:
        fail(f"which incident? (hint: --incident ID or --all-incidents; there is {', '.join(known)})")
    for name in names:
        if name not in known:
            fail(f"no incident {name!r} in {path} (hint: there is {', '.join(known)})")
    return list(known.values()) if all_incidents else [known[name] for name in names]


def _planned(incidents: list[Incident], shares: list[str], side: str) -> list[tuple[Planned, ...]]:
    from crossfade.config.quantity import parse_share  # noqa: PLC0415
    from crossfade.sim.rehearsal.prepare import planned_of  # noqa: PLC0415

    if side not in SIDES:
        fail(f"--in {side} is not known (hint: {', '.join(SIDES)})")
    try:
        parsed = tuple(parse_share(share) for share in shares)
    except ValueError as error:
        fail(f"--at: {error}")
    return [planned_of(incident, parsed, SIDES[side]) for incident in incidents]


def _trace(path: Path | None, column: str | None, rate: float) -> Trace:
    from crossfade.sim.rehearsal.traffic.arrivals import synthetic  # noqa: PLC0415
    from crossfade.sim.rehearsal.traffic.trace import TraceError, read_trace  # noqa: PLC0415

    if path is None:
        return synthetic(rate)
    try:
        return read_trace(path, column=column)
    except TraceError as error:
        fail(str(error))


def _people(sign_after: str, mend_after: str, approve_after: str) -> Any:
    from crossfade.config.quantity import parse_duration_s  # noqa: PLC0415
    from crossfade.sim.rehearsal.run import People  # noqa: PLC0415

    try:
        return People(*(parse_duration_s(text) for text in (sign_after, mend_after, approve_after)))
    except ValueError as error:
        fail(f"--sign-after, --mend-after, --approve-after: {error}")


def _clouds(path: Path | None) -> Any:
    from crossfade.sim.config import CloudsConfigError, load_clouds  # noqa: PLC0415

    if path is None:
        return None
    try:
        return load_clouds(path)
    except OSError as error:
        fail(f"{path}: {error.strerror} (hint: --clouds takes a file as `crossfade sim clouds` does)")
    except CloudsConfigError as error:
        fail(str(error))


def _print(document: dict[str, Any], html: Path | None, *, as_json: bool) -> None:
    from crossfade.sim.rehearsal.page import (  # noqa: PLC0415
        facts_of,
        fault_line,
        headline,
        render_incidents,
        render_rehearsal,
    )

    is_table = "rehearsals" in document
    if html is not None:
        try:
            html.write_text(render_incidents(document) if is_table else render_rehearsal(document))
        except OSError as error:
            fail(f"{html}: {error.strerror} (hint: --html takes a path that can be written)")
        typer.echo(f"wrote {html}", err=True)
    if as_json:
        typer.echo(json.dumps(document))
        return
    if not is_table:
        typer.echo(headline(document))
        for name, value in facts_of(document):
            typer.echo(f"  {name}: {value}")
    for fault in document["faults"]:
        incident, where, outcome, harm, clock, why = fault_line(fault)
        compared = f"; by the clock alone {clock} harmed" if clock else ""
        typer.echo(f"  {incident} in {where}: {outcome}; {harm} harmed{compared}; {why}")
    unreached = [name for one in document.get("rehearsals", [document]) for name in one["faults_not_reached"]]
    if unreached:
        typer.echo(f"  not reached: {', '.join(unreached)} (hint: more --days)", err=True)
