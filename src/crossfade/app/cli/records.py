"""`crossfade records`: tail, query, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def tail(
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
    *,
    as_json: Json = False,
) -> None:
    """The newest attempts, oldest first."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    client = client_of(config, state)
    rows = ask_or_exit(lambda: client.get("/records", limit=limit))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        kind = f" {row['error_kind']}" if row["error_kind"] else ""
        typer.echo(
            f"{row['request_id']} {row['feature']:<16} {row['endpoint']:<16} {row['role']:<9}"
            f" {row['arm']:<10} {row['outcome']}{kind} {row['timings']['total_ms']:.0f} ms"
        )


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="SQL over the view `attempts`.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Rows of a query."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    rows = ask_or_exit(client_of(config, state).records, sql)
    typer.echo(json.dumps(rows) if as_json else table(rows))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to; .ndjson.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
) -> None:
    """All attempts as NDJSON, without captured text."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    sql = "SELECT * EXCLUDE (content) FROM attempts ORDER BY started_unix_ms"
    rows = ask_or_exit(client_of(config, state).records, sql)

    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    typer.echo(f"wrote {len(rows)} attempts to {file}")


def table(rows: list[dict[str, Any]]) -> str:
    """Rows in columns."""
    if not rows:
        return "no rows"
    cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
