"""A rehearsal as one self-contained page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from crossfade.control.migration.report.page import LEFT, WIDTH, page, place, svg, table

LOW, HIGH = -6.0, 3.0  # powers of ten of evidence over its limit that are shown
HOUR_S = 3600.0


def render_rehearsal(found: dict[str, Any]) -> str:
    """The page of `outcome.document_of`."""
    title = f"Rehearsal of {found['migration']}: {found['incumbent']} to {found['candidate']}"
    end_s = max(found["simulated_s"], 1.0)
    shares = [(point["unix_s"], point["share"]) for point in found["timeline"]]
    return page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(headline(found))}</p>",
            "<h2>Found</h2>",
            table(("what", "found"), facts_of(found)),
            "<h2>Share of the candidate over time</h2>",
            svg(_steps(shares, end_s), _SHARES, "share over time", _marks(found, end_s), hours),
            "<h2>Evidence of harm over time</h2>",
            "<p class=quiet>The nearest guard's e-value over its limit, logarithmic; at 1 it rolls back.</p>",
            _harm(found["harm"], end_s),
            "<h2>Requests an hour</h2>",
            _requests(found["hours"]),
            "<h2>Faults</h2>",
            faults_table(found["faults"]),
            "<h2>Assumed</h2>",
            "<ul>" + "".join(f"<li>{escape(text)}" for text in found["assumed"]) + "</ul>",
            "<h2>Log</h2>",
            table(("after", "what", "by", "why"), [_row(row) for row in found["log"]]),
        ],
    )


def headline(found: dict[str, Any]) -> str:
    """One sentence for people."""
    promoted = found["seconds_to_promotion"]
    if promoted is not None:
        return f"{found['state']}: the candidate was promoted after {hours(promoted)}"
    return f"{found['state']} after {hours(found['simulated_s'])}: {found['next']}"


def facts_of(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value, for the page and the terminal."""
    spent = {name: usd for name, usd in found["usd"].items() if usd is not None}
    unpriced = [name for name in found["usd"] if name not in spent]
    money = ", ".join(f"{name} ${usd:,.2f}" for name, usd in spent.items()) or "no price is known"
    trace, candidate = (
        found["trace"],
        f"{found['candidate_requests']:,}, {found['candidate_requests_harmed']:,} harmed",
    )
    return [
        ("trace", f"{trace['source']}: {trace['form']}, {trace['kept']:.1%} of it"),
        ("simulated", hours(found["simulated_s"])),
        ("requests", f"{found['requests']:,}"),
        ("requests of the candidate", candidate),
        ("callers who saw an error", f"{found['callers_saw_an_error']:,}"),
        ("of them on the candidate", f"{found['callers_saw_an_error_on_the_candidate']:,}"),
        ("answered by another target", f"{found['saved_by_a_backup']:,}"),
        ("approvals by a person", str(found["approvals_by_a_person"])),
        ("tokens cost", money + (f"; unpriced: {', '.join(unpriced)}" if unpriced else "")),
    ]


def fault_line(fault: dict[str, Any]) -> tuple[str, ...]:
    """One fault's row: what, where, what came of it, harm, and what a clock would have done."""
    harmed = f"{fault['harmed']:,} of {fault['candidate_requests']:,}"
    after = "" if fault["seconds"] is None else f" after {hours(fault['seconds'])}"
    clock = fault["harmed_by_a_clock"]
    compared = (
        "" if clock is None else f"{clock:,} ({fault['harmed_by_a_clock_until_noticed']:,} in half an hour)"
    )
    why = fault["reason"]
    if fault["outcome"] == "not felt":
        why = f"the incumbent failed only {fault['incumbent_failed']:.1%} of its requests; {why}"
    return (
        fault["incident"],
        f"{fault['in']} at {fault['at_share']:.0%}",
        f"{fault['outcome']}{after}",
        f"{harmed} ({fault['callers_saw_an_error']:,} saw an error)",
        compared,
        why,
    )


FAULT_HEAD = ("incident", "in", "outcome", "candidate's requests harmed", "harmed by a plain clock", "why")


def faults_table(faults: Sequence[dict[str, Any]]) -> str:
    """Every fault as a row."""
    return (
        table(FAULT_HEAD, [fault_line(fault) for fault in faults])
        if faults
        else "<p>No fault was injected.</p>"
    )


def hours(seconds: float) -> str:
    """A duration, short."""
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 2 * HOUR_S else f"{seconds / HOUR_S:.1f} h"


_SHARES = ((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %"))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return hours(row["unix_s"]), row["what"], row["by"], f"{row['reason']} {row['detail']}"


def _steps(points: Sequence[tuple[float, float]], end_s: float) -> list[tuple[float, float]]:
    steps = [(0.0, 0.0)]
    for when, share in points:
        steps += [(when, steps[-1][1]), (when, share)]
    return [*steps, (end_s, steps[-1][1])]


def _marks(found: dict[str, Any], end_s: float) -> str:
    """Where the faults began."""
    marks = []
    for fault in found["faults"]:
        x, y = place(fault["began_s"], fault["at_share"], 0.0, end_s)
        text = escape(f"{fault['incident']}: {fault['outcome']}")
        marks.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r=4 fill='var(--harm)'><title>{text}</title></circle>"
        )
    return "".join(marks)


def _harm(points: Sequence[dict[str, Any]], end_s: float) -> str:
    if len(points) < 2:
        return "<p>Too few counts to plot.</p>"
    scaled = [(0.0, (0.0 - LOW) / (HIGH - LOW) * 0.0)]
    for point in points:
        power = math.log10(max(point["e_value"] / point["limit"], 1e-300))
        scaled.append((point["unix_s"], (min(HIGH, max(LOW, power)) - LOW) / (HIGH - LOW)))
    y = place(0.0, -LOW / (HIGH - LOW), 0.0, 1.0)[1]
    limit = (
        f"<line x1={LEFT} x2={WIDTH} y1='{y:.1f}' y2='{y:.1f}' stroke='var(--harm)' stroke-dasharray='4 3'/>"
    )
    ticks = [((power - LOW) / (HIGH - LOW), f"1e{power}") for power in (-6, -3, 0, 3)]
    return svg([*scaled, (end_s, scaled[-1][1])], ticks, "evidence of harm over time", limit, hours)


def _requests(rows: Sequence[Sequence[int]]) -> str:
    most = max((row[1] for row in rows), default=0)
    if not most:
        return "<p>No request came.</p>"
    points = [(row[0] * HOUR_S, row[1] / most) for row in rows]
    ours = " ".join(
        f"{x:.1f},{y:.1f}"
        for row in rows
        for x, y in [place(row[0] * HOUR_S, row[2] / most, points[0][0], points[-1][0])]
    )
    candidate = f"<polyline points='{ours}' fill=none stroke='var(--quiet)' stroke-width=2 />"
    text = "<p class=quiet>All requests, and in grey those of the candidate.</p>"
    return text + svg(points, [(0.0, "0"), (1.0, f"{most:,}")], "requests an hour", candidate, hours)


def render_incidents(found: dict[str, Any]) -> str:
    """The page of many rehearsals: one table of faults."""
    title = "Rehearsed incidents"
    assumed = list(dict.fromkeys(text for one in found["rehearsals"] for text in one["assumed"]))
    notes = "<ul>" + "".join(f"<li>{escape(text)}" for text in assumed) + "</ul>"
    return page(title, [f"<h1>{title}</h1>", faults_table(found["faults"]), "<h2>Assumed</h2>", notes])
