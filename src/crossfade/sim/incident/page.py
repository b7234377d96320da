"""Replayed incidents as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from crossfade.control.migration.report.page import HEIGHT, LEFT, WIDTH, page, place, svg, table
from crossfade.sim.rehearsal.page import hours

LEAST_ERROR_SHARE = 0.05  # the top of a plot whose callers saw next to none
HALVES = (0.0, 0.5, 1.0)


def render_incidents(found: Sequence[dict[str, Any]]) -> str:
    """The page of `replay.replay` documents."""
    return page(
        "Incidents replayed", ["<h1>Incidents replayed</h1>", *(part for one in found for part in _of(one))]
    )


def facts_of(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value, for the page and the terminal."""
    share = found["callers_saw_an_error"] / max(1, found["requests"])
    first = found["first_token_p90_ms"]

    def seconds(value: float | None) -> str:
        return "never" if value is None else f"{value:.0f} s"

    def ms(value: float | None) -> str:
        return "?" if value is None else f"{value:,.0f} ms"

    return [
        ("requests while it lasted", f"{found['requests']:,}"),
        ("callers who saw an error", f"{found['callers_saw_an_error']:,} ({share:.2%})"),
        ("the endpoint lost traffic after", seconds(found["left_after_s"])),
        ("all traffic back after its end", seconds(found["whole_again_after_s"])),
        ("first token, p90 before", ms(first["before"])),
        ("first token, p90 meanwhile (median, worst window)", f"{ms(first['during'])}, {ms(first['worst'])}"),
    ]


def _of(found: dict[str, Any]) -> list[str]:
    windows = found["windows"]
    errors = [(w["at_s"], w["errors"] / max(1, w["requests"])) for w in windows]
    firsts = [(w["at_s"], w["first_token_p90_ms"] or 0.0) for w in windows]
    shares = [(w["at_s"], min(w["shares"].values())) for w in windows]
    most_errors = max(LEAST_ERROR_SHARE, *(value for _, value in errors))
    most_ms = max(1.0, *(value for _, value in firsts))
    marks = _marks(windows, found["lasts_s"])
    return [
        f"<h2>{escape(found['incident'])}: {escape(found['title'])}</h2>",
        f"<p class=quiet>{escape(found['source'])}</p>",
        table(("what", "found"), facts_of(found)),
        "<h3>Callers who saw an error</h3>",
        _plot(errors, most_errors, lambda value: f"{value:.0%}", marks),
        "<h3>First token, p90</h3>",
        _plot(firsts, most_ms, lambda value: f"{value / 1000.0:.1f} s", marks),
        "<h3>Share that the struck endpoint is given</h3>",
        _plot(shares, 1.0, lambda value: f"{value:.0%}", marks),
        "<ul>" + "".join(f"<li>{escape(text)}" for text in found["assumed"]) + "</ul>",
    ]


def _plot(points: Sequence[tuple[float, float]], most: float, says: Any, marks: str) -> str:
    scaled = [(when, value / most) for when, value in points]
    return svg(scaled, [(half, says(half * most)) for half in HALVES], "over time", marks, _since)


def _since(seconds: float) -> str:
    return f"-{hours(-seconds)}" if seconds < 0 else hours(seconds)


def _marks(windows: Sequence[dict[str, Any]], lasts_s: float) -> str:
    """A band where the incident was on."""
    first, last = windows[0]["at_s"], windows[-1]["at_s"]
    begin, end = place(0.0, 0.0, first, last)[0], place(lasts_s, 0.0, first, last)[0]
    return (
        f"<rect x='{max(begin, LEFT):.1f}' y=8 width='{min(end, WIDTH) - begin:.1f}' height='{HEIGHT - 30}' "
        "fill='currentColor' opacity='0.08'/>"
    )
