"""The report as one self-contained page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

from crossfade.control.migration.report.document import shown_facts
from crossfade.control.migration.report.page import LEFT, WIDTH, cell, moment, page, place, svg, table


def render_report(report: dict[str, Any]) -> str:
    """The page. Shape of `report`: see `document.report_of`."""
    spec = report["spec"]
    title = f"Migration {report['migration']}: {spec['incumbent']} to {spec['candidate']}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Features {escape(', '.join(spec['features']))}. State <b>{escape(report['state'])}</b>.</p>",
        f"<p>Started {moment(report['started_unix_s'])} by {escape(report['started_by'])}.</p>",
        "<h2>Measured</h2>",
        table(("fact", "value"), shown_facts(report["facts"])),
        "<h2>Share of the candidate over time</h2>",
        _share_plot(report["timeline"], report["log"]),
        "<h2>Evidence of harm over time</h2>",
        "<p class=quiet>E-value of the nearest guard over its limit, logarithmic; at 1 it rolls back.</p>",
        _harm_plot(report["harm"]),
        "<h2>Gates</h2>",
        _gates(report["steps"]),
        "<h2>Evidence</h2>",
        *(_evidence(row) for row in report["evidence"]),
        "<h2>Log</h2>",
        table(
            ("when", "what", "by", "why"),
            [
                (moment(r["unix_s"]), r["what"], r["by"], f"{r['reason']} {r['detail']}")
                for r in report["log"]
            ],
        ),
    ]
    return page(title, parts)


def _gates(steps: Sequence[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr>{cell(step['name'])}{cell(gate['name'])}<td class={gate['verdict']}>{gate['verdict']}"
        f"{cell(gate['reason'])}{cell(gate['has'])}"
        for step in steps
        for gate in step["gates"]
    )
    return f"<table><tr><th>step<th>gate<th>verdict<th>reason<th>has{rows}</table>"


def _evidence(row: dict[str, Any]) -> str:
    signed = "signed" if row["valid"] else "SIGNATURE INVALID"
    head = (
        f"<b class={row['verdict']}>{row['verdict']}</b> {escape(row['kind'])} of {escape(row['subject'])} "
        f"<span class=quiet>{moment(row['collected_unix_s'])}, {signed} by {escape(row['signer'])}</span>"
    )
    return f"<details><summary>{head}</summary><pre>{escape(json.dumps(row, indent=2))}</pre></details>"


def _share_plot(points: Sequence[dict[str, Any]], log: Sequence[dict[str, Any]]) -> str:
    if not points:
        return "<p>No share was ever set.</p>"
    end = max(log[-1]["unix_s"] if log else 0.0, points[-1]["unix_s"])
    steps: list[tuple[float, float]] = []
    for point in points:
        if steps:
            steps.append((point["unix_s"], steps[-1][1]))
        steps.append((point["unix_s"], point["share"]))
    steps.append((end, steps[-1][1]))
    marks = "".join(
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r=3 fill='var(--line)'>"
        f"<title>{escape(point['note'])}</title></circle>"
        for point in points
        for x, y in [place(point["unix_s"], point["share"], steps[0][0], end)]
    )
    return svg(steps, [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")], "share over time", marks)


def _harm_plot(points: Sequence[dict[str, float]]) -> str:
    if len(points) < 2:
        return "<p>Too few counts to plot.</p>"
    low, high = -6.0, 3.0  # powers of ten shown
    scaled = [
        (
            p["unix_s"],
            (min(high, max(low, math.log10(max(p["e_value"] / p["limit"], 1e-300)))) - low) / (high - low),
        )
        for p in points
    ]
    limit = (0.0 - low) / (high - low)
    y = place(0.0, limit, 0.0, 1.0)[1]
    line = (
        f"<line x1={LEFT} x2={WIDTH} y1='{y:.1f}' y2='{y:.1f}' stroke='var(--harm)' stroke-dasharray='4 3'/>"
    )
    ticks = [((power - low) / (high - low), f"1e{power}") for power in (-6, -3, 0, 3)]
    return svg(scaled, ticks, "evidence of harm over time", line)
