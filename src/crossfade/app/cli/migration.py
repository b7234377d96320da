"""`crossfade migration`: start, watch, sign, steer and roll back migrations."""

from __future__ import annotations

import getpass
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, Quiet, StatePath
from crossfade.app.cli.rehearse import rehearse

app = typer.Typer(no_args_is_help=True, help="Move features through the playbook.")

WATCH_S = 1.0

Name = Annotated[str, typer.Argument(help="The migration's name.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the log.")]


@app.command()
def start(
    file: Annotated[Path, typer.Argument(help="The migration file.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a migration file and start it."""
    from crossfade.control.migration.spec.parse import parse_spec  # noqa: PLC0415 - heavy
    from crossfade.control.migration.spec.reader import SpecError, load_document, read_file  # noqa: PLC0415

    try:
        document, marks = load_document(read_file(file), str(file))
        spec = parse_spec(document, marks, str(file))
    except SpecError as error:
        fail(str(error), 2)
    if not spec.quality.judges:
        said = "quality.judges names nobody, so quality cannot be measured (hint: a judge is a feature)"
        typer.echo(f"warning: {file}: {said}", err=True)
    status = call(config, state, "POST", "/migrations", {"actor": whoami(), "spec": document})
    _print(status, f"started {status['name']}", as_json=as_json, quiet=quiet)


@app.command("list")
def list_migrations(
    config: ConfigPath = DEFAULT_CONFIG, state: StatePath = DEFAULT_STATE, *, as_json: Json = False
) -> None:
    """One line a migration: its state, the candidate's share, what is next."""
    found = call(config, state, "GET", "/migrations")
    rows = [
        f"{one['name']:<24} {one['state']:<12} {one['share']:>5.0%} of {', '.join(one['features'])}; "
        f"next: {one['next_action']}: {one['next_reason']}"
        for one in found
    ]
    _print(found, "\n".join(rows) or "none yet (hint: `crossfade migration start FILE`)", as_json=as_json)


@app.command()
def status(
    name: Name,
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Print again whenever it changes.")] = False,
    as_json: Json = False,
) -> None:
    """Show each step, each gate's verdict, what is missing, the next action and why."""
    last = ""
    while True:
        found = call(config, state, "GET", path_of(name))
        text = json.dumps(found) if as_json else describe(found)
        if text != last:
            typer.echo(text)
        last = text
        if not watch or found["state"] == "closed":
            return
        time.sleep(WATCH_S)


@app.command()
def sign(  # noqa: PLR0913 - one parameter an option
    name: Name,
    role: Annotated[str, typer.Option("--as", help="The role you sign for.")],
    person: Annotated[str, typer.Option("--name", help="Your name.")],
    statement: Annotated[Path, typer.Option("--statement", help="What you approve, as a text file.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Sign the candidate, as it is now, for a role."""
    body = {"role": role, "name": person, "statement": _statement(statement)}
    record = call(config, state, "POST", path_of(name, "sign"), body)
    _print(record, f"{role} signed by {person}, fingerprint {record['fingerprint'][:12]}", as_json=as_json)


@app.command()
def attest(  # noqa: PLR0913 - one parameter an option
    name: Name,
    role: Annotated[str, typer.Option("--as", help="The role you attest for.")],
    person: Annotated[str, typer.Option("--name", help="Your name.")],
    statement: Annotated[Path, typer.Option("--statement", help="How you know it, as a text file.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    fact: Annotated[
        list[str] | None, typer.Option("--fact", help="What the gate names; again for more, none for all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Attest what no API shows of the candidate, as it is now, for a role."""
    body = {"role": role, "name": person, "facts": fact or [], "statement": _statement(statement)}
    records = call(config, state, "POST", path_of(name, "attest"), body)
    _print(
        records,
        f"{role} attested by {person}: {', '.join(record['subject'] for record in records)}",
        as_json=as_json,
    )


def _statement(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: {error} (hint: the statement is a text file)", 2)


def _command(verb: str, summary: str) -> None:
    def send(
        name: Name,
        reason: Why = "",
        config: ConfigPath = DEFAULT_CONFIG,
        state: StatePath = DEFAULT_STATE,
        *,
        as_json: Json = False,
    ) -> None:
        body = {"actor": whoami(), "reason": reason}
        found = call(config, state, "POST", path_of(name, verb), body)
        _print(found, f"{verb}: noted, acted on in the next turn", as_json=as_json)

    send.__doc__ = summary
    app.command(verb)(send)


_command("drill", "Rehearse the rollback on every gateway before the first stage.")
_command("advance", "Approve leaving the present stage, also early and on weak evidence.")
_command("hold", "Stop advancing; guards go on watching.")
_command("resume", "Go on after a hold; after a rollback, from the first stage.")
_command("promote", "Promote now, without the rest of the soak.")
_command("close", "Write the evidence bundle and stop driving.")


@app.command()
def rollback(
    name: Name,
    reason: Why = "",
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    hard: Annotated[
        bool, typer.Option("--hard", help="Also cut calls under way at the candidate; else they finish.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Set the share to 0; returns when every gateway has acknowledged, and prints how long it took."""
    body = {"actor": whoami(), "reason": reason, "hard": hard}
    result = call(config, state, "POST", path_of(name, "rollback"), body)
    count = len(result["gateways"])
    cut = f", {sum(result['cut'].values())} calls under way cut" if hard else ""
    if result["uncut"]:
        cut += f"; NOT cut on {', '.join(result['uncut'])} (hint: PUT /admin/cut/FEATURE on its admin port)"
    if result["unlogged"]:
        later = "it is logged, unless the migration was closed or resumed meanwhile"
        then = later if result["is_set_aside"] else "roll back again"
        cut += (
            f"; the log was not written ({result['unlogged']}), so the kill switches were pulled on "
            f"{', '.join(result['killed']) or 'no gateway'} (hint: when the database is back, {then}; then "
            "DELETE /admin/kill/FEATURE on each)"
        )
    if result["is_zero"]:
        _print(result, f"share 0 on {count} gateways after {result['seconds']:.3f} s{cut}", as_json=as_json)
        if result["uncut"]:
            raise typer.Exit(1)
        return
    missing = ", ".join(result["missing"]) or "a gateway"
    is_tried = not result["unlogged"] or result["is_set_aside"]
    text = (
        f"NOT at share 0 everywhere after {result['seconds']:.3f} s: {missing} did not show it "
        f"(hint: PUT /admin/kill/FEATURE on that gateway's admin port"
        f"{'; control goes on trying' if is_tried else ''}){cut}"
    )
    _print(result, text, as_json=as_json)
    raise typer.Exit(1)


@app.command()
def report(
    name: Name,
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Print the report's measured facts, or write the whole as a page."""
    found = call(config, state, "GET", path_of(name, "report"))
    if html is not None:
        from crossfade.control.migration.report.html import render_report  # noqa: PLC0415 - heavy

        try:
            html.write_text(render_report(found))
        except OSError as error:
            fail(f"{html}: {error.strerror} (hint: --html takes a path that can be written)")
        typer.echo(f"wrote {html}")
        return
    from crossfade.control.migration.report.document import shown_facts  # noqa: PLC0415 - heavy

    facts = "\n".join(f"  {fact}: {value}" for fact, value in shown_facts(found["facts"]))
    _print(found, f"{name}: {found['state']}\n{facts}", as_json=as_json)


@app.command()
def waive(  # noqa: PLR0913 - one parameter an option
    name: Name,
    gate: Annotated[str, typer.Option("--gate", help="The gate to go on without.")],
    person: Annotated[str, typer.Option("--name", help="Your name.")],
    reason: Annotated[str, typer.Option("--reason", help="Why you answer for it.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Sign a waiver of a gate; it holds for a week once a second person has signed one, too."""
    body = {"gate": gate, "name": person, "reason": reason}
    record = call(config, state, "POST", path_of(name, "waive"), body)
    _print(record, f"{gate} waived by {person}; two people must", as_json=as_json)


app.command()(rehearse)


def describe(found: dict[str, Any]) -> str:
    """A status as text."""
    features = ", ".join(found["features"])
    lines = [f"{found['name']}: {found['state']}, candidate at {found['share']:.0%} of {features}"]
    for step in found["steps"]:
        lines.append(f"  {step['name']}: {step['state']}")
        for gate in step["gates"]:
            has = f" [has {gate['has']}]" if gate["has"] else ""
            needs = f" [needs {gate['needs']}]" if gate["needs"] and gate["verdict"] != "pass" else ""
            lines.append(f"    {gate['verdict']:<12} {gate['name']}: {gate['reason']}{has}{needs}")
    lines += [f"  could not collect {f['kind']} of {f['subject']}: {f['error']}" for f in found["failures"]]
    backs = [point for point in found["timeline"] if point["kind"] == "roll_back"]
    backs = [point["unix_s"] for point in backs if point["note"] == found["rolled_back"]] or [
        point["unix_s"] for point in backs
    ]
    if found["rolled_back"] and backs:
        lines.append(f"  rolled back at {datetime.fromtimestamp(backs[-1], UTC):%Y-%m-%d %H:%M:%S} UTC")
    progress = f" ({found['progress']})" if found["progress"] else ""
    lines.append(f"  next: {found['next_action']}: {found['next_reason']}{progress}")
    if found["page"]:
        lines.append(f"  what to do: docs/on-call/{found['page']}.md")
    return "\n".join(lines)


def path_of(name: str, what: str = "") -> str:
    """The address of a migration, or of what belongs to it, below `/api/v1`."""
    if not name.strip("."):
        fail(f"{name!r} is no migration's name (hint: `crossfade migration list`)")
    return f"/migrations/{quote(name, safe='')}{f'/{what}' if what else ''}"


def call(
    config: Path, state: Path, method: str, path: str, body: dict[str, Any] | None = None, **query: Any
) -> Any:
    """Ask the control API; prints what is wrong and exits when it refuses or does not answer."""
    from crossfade.app.cli.connect import client_of  # noqa: PLC0415 - heavy
    from crossfade.client import ApiError  # noqa: PLC0415

    try:
        with client_of(config, state) as client:
            return client.get(path, **query) if method == "GET" else client.post(path, body)
    except ApiError as error:
        fail(str(error), 2 if error.status in {404, 422} else 1)


def whoami() -> str:
    """Who is at the keyboard, for the log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _print(document: Any, text: str, *, as_json: bool, quiet: bool = False) -> None:
    if as_json:
        typer.echo(json.dumps(document))
    elif not quiet:
        typer.echo(text)
