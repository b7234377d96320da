"""Pieces of self-contained pages: no script, no request to anywhere, plots as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 180, 48, 24
LONGEST_WORD = 24  # characters; longer ones are hashes, paths and model names
STYLE = """
:root{color-scheme:light dark;--line:#2563eb;--harm:#dc2626;--quiet:#6b7280;--rule:#d1d5db}
body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;vertical-align:top;
border-bottom:1px solid var(--rule)}.long{overflow-wrap:anywhere}.quiet{color:var(--quiet)}
.pass{color:#15803d}.fail{color:#b91c1c}.inconclusive{color:#a16207}svg{width:100%;height:auto}
@media (max-width:40rem){td,th{overflow-wrap:anywhere}}
details pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px}
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of these parts."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{''.join(parts)}</body></html>"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of escaped cells."""
    top = "".join(f"<th>{escape(cell)}" for cell in head)
    body = "".join("<tr>" + "".join(cell(str(text)) for text in row) for row in rows)
    return f"<table><tr>{top}{body}</table>"


def cell(text: str) -> str:
    """An escaped cell. Only what is longer than a word may be broken anywhere: a narrow column breaks all."""
    is_long = any(len(word) > LONGEST_WORD for word in text.split())
    return f"<td{' class=long' if is_long else ''}>{escape(text)}"


def svg(
    points: Sequence[tuple[float, float]],
    ticks: Sequence[tuple[float, str]],
    label: str,
    more: str,
    says: Callable[[float], str] | None = None,
) -> str:
    """A line over time. `ticks`: heights in [0, 1] and their labels; `says`: how a time is written."""
    says = says or moment
    first, last = points[0][0], points[-1][0]
    path = " ".join(
        f"{x:.1f},{y:.1f}" for x, y in (place(when, value, first, last) for when, value in points)
    )
    rules = "".join(
        f"<line x1={LEFT} x2={WIDTH} y1='{y:.1f}' y2='{y:.1f}' stroke='var(--rule)'/>"
        f"<text x=0 y='{y + 4:.1f}' font-size=12 fill='currentColor'>{text}</text>"
        for y, text in ((place(0.0, value, 0.0, 1.0)[1], text) for value, text in ticks)
    )
    times = (
        f"<text x={LEFT} y={HEIGHT} font-size=12 fill='currentColor'>{says(first)}</text>"
        f"<text x={WIDTH} y={HEIGHT} font-size=12 text-anchor=end fill='currentColor'>{says(last)}</text>"
    )
    return (
        f"<svg viewBox='0 0 {WIDTH + 8} {HEIGHT + 4}' role=img aria-label='{escape(label)}'>{rules}{times}"
        f"<polyline points='{path}' fill=none stroke='var(--line)' stroke-width=2 />{more}</svg>"
    )


def place(when: float, value: float, first: float, last: float) -> tuple[float, float]:
    """Pixels of a point."""
    across = (when - first) / (last - first) if last > first else 0.0
    return LEFT + across * (WIDTH - LEFT), 8 + (1.0 - value) * (HEIGHT - BOTTOM - 8)


def moment(unix_s: float) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
