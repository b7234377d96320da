"""`crossfade evidence`: what the gates stand on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.migration import call, path_of
from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, help="List, show, verify and export evidence.")

Migration = Annotated[str | None, typer.Option("--migration", help="Only of this migration.")]


@app.command("list")
def list_records(
    migration: Migration = None,
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """One line a record: verdict, kind, subject, until when, by whom."""
    records = _records(config, state, migration)
    if as_json:
        typer.echo(json.dumps(records))
        return
    if not records:
        typer.echo("none yet (hint: a migration collects it)", err=True)
    for record in records:
        until = datetime.fromtimestamp(record["expires_unix_s"], UTC).strftime("%Y-%m-%d %H:%M")
        signature = "" if record["valid"] else f"  {record['problem'].upper() or 'SIGNATURE INVALID'}"
        typer.echo(
            f"{record['id']}  {record['verdict']:<12} {record['kind']} of {record['subject']}, "
            f"until {until}, {record['signer']}{signature}"
        )


@app.command()
def show(
    record_id: Annotated[str, typer.Argument(help="The record's id.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
) -> None:
    """Print one record with its envelope."""
    found = [record for record in _records(config, state, None) if record["id"] == record_id]
    if not found:
        fail(f"no evidence {record_id!r} (hint: `crossfade evidence list`)")
    typer.echo(json.dumps(found[0], indent=2))


@app.command()
def verify(
    migration: Migration = None,
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Verify every signature; exit code 1 if one does not hold."""
    records = _records(config, state, migration)
    broken = {record["id"]: record["problem"] for record in records if not record["valid"]}
    if as_json:
        typer.echo(json.dumps({"records": len(records), "broken": broken}))
    else:
        typer.echo(f"{len(records) - len(broken)} of {len(records)} signatures hold")
        for record_id, problem in broken.items():
            typer.echo(f"{record_id} does not hold: {problem}", err=True)
    raise typer.Exit(1 if broken else 0)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Written to, made if missing.")],
    migration: Migration = None,
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Write signed envelopes with what verifies them, OSCAL results (JSON) and a page of each migration.

    `keys.json` has the signers' public keys, `artefacts/` the statements and raw measurements by SHA-256.
    """
    from crossfade.control.migration.report.html import render_report  # noqa: PLC0415 - heavy

    found = call(config, state, "GET", "/migrations")
    names = [row["name"] for row in found if migration in {None, row["name"]}]
    if migration is not None and not names:
        fail(f"no migration {migration!r} (hint: `crossfade evidence list`)")
    written = []
    for name in names:
        place = folder / name
        files = {
            f"{record['id']}.dsse.json": json.dumps(record["envelope"], indent=1)
            for record in _records(config, state, name)
        }
        files["oscal-assessment-results.json"] = json.dumps(
            call(config, state, "GET", path_of(name, "oscal")), indent=1
        )
        proofs = call(config, state, "GET", path_of(name, "proofs"))
        files["keys.json"] = json.dumps(proofs["keys"], indent=1)
        files |= {f"artefacts/{digest}": text for digest, text in proofs["artefacts"].items()}
        files["report.html"] = render_report(call(config, state, "GET", path_of(name, "report")))
        try:
            (place / "artefacts").mkdir(parents=True, exist_ok=True)
            for file, text in files.items():
                (place / file).write_text(text, newline="")
                written.append(str(place / file))
        except OSError as error:
            fail(f"{place}: {error.strerror} (hint: give a folder that can be written)")
    typer.echo(json.dumps(written) if as_json else f"{len(written)} files in {folder}")


def _records(config: Path, state: Path, migration: str | None) -> list[dict[str, Any]]:
    query: dict[str, Any] = {} if migration is None else {"migration": migration}
    records: list[dict[str, Any]] = call(config, state, "GET", "/evidence", **query)
    return records
