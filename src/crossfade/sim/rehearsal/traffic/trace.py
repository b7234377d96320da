"""Reads recorded demand, whoever recorded it: one row a request, or one row a window of time.

The form is found by the columns, not by the file's name, so that a trace nobody has seen reads like
the known ones: Azure (TIMESTAMP, ContextTokens, GeneratedTokens), Mooncake (JSON lines: timestamp,
input_length, output_length), BurstGPT (Timestamp, Request tokens, Response tokens), ServeGen and
other tables of rates (a time column and columns named …_rps or …_per_min). `.gz` is read as it is.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TIMES = ("timestamp", "arrival_timestamp", "arrival_time", "arrived_at", "arrival", "start_time", "time")
INPUTS = (
    "contexttokens", "input_length", "input_tokens", "prompt_tokens", "request tokens", "num_prefill_tokens",
)  # fmt: skip
OUTPUTS = (
    "generatedtokens", "output_length", "output_tokens", "completion_tokens", "response tokens",
    "num_decode_tokens",
)  # fmt: skip
_WINDOW_TIME = re.compile(r"^(?:t_|time_)?(seconds?|minutes?|hours?)(?:_from_start)?$|^t$|^t_s$")
_RATE = re.compile(r"(_rps|_req_per_s|_per_s|_qps)$|(_per_min|_rpm)$")
_TIME_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
LEAST_ROWS = 2
_DATE = re.compile(r"(\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?) ?(Z|[+-]\d\d(?::?\d\d)?)?")
_TIMES_LIKE = "write times like 2023-11-16 18:17:03.97 or a number"
MOST_TOKENS = 1e8  # a hundred times the longest windows; the engine counts in 32 bits
MS_FROM = 1e11  # Unix seconds have eleven digits in the year 5138: a larger number counts milliseconds


class TraceError(ValueError):
    """A file that is no trace; the message says what it is and what would be one."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Demand over `span_s` seconds, repeated as long as it is needed.

    `rates`: requests per second in each window of `window_s`. Of a trace of single requests,
    `arrivals` are their seconds from the start and `sizes` (n, 2) their input and output tokens.
    """

    source: str
    form: str
    window_s: float
    rates: Floats
    arrivals: Floats | None = None
    sizes: NDArray[np.int64] | None = None

    @property
    def span_s(self) -> float:
        """How long it lasts."""
        return self.window_s * self.rates.size

    @property
    def requests(self) -> float:
        """Requests in the whole of it."""
        return float(self.rates.sum() * self.window_s)


def read_trace(path: Path, *, column: str | None = None) -> Trace:
    """Read a trace of any known form. `column`: which rate, where a table has several.

    Raises:
        TraceError: if the file cannot be read or is no trace, with a hint.
    """
    text = _text(path)
    head = text.lstrip()[:1]
    if not head:
        raise TraceError(f"{path}: is empty (hint: give a trace with one row a request or a window)")
    rows = _json_rows(path, text) if head in "{[" else _csv_rows(path, text)
    if len(rows) < LEAST_ROWS:
        raise TraceError(f"{path}: has {len(rows)} rows (hint: a trace needs two at least)")
    names = {name.strip().lower(): name for name in rows[0]}
    per_request = [next((names[n] for n in known if n in names), None) for known in (TIMES, INPUTS, OUTPUTS)]
    if per_request[0] is not None and per_request[1] is not None:
        return _requests(path, rows, per_request, is_json=head in "{[")
    when = next((names[n] for n in names if _WINDOW_TIME.fullmatch(n)), None)
    rated = [names[n] for n in names if _RATE.search(n)]
    if when is not None and rated:
        return _windows(path, rows, when, _chosen(path, rated, column))
    raise TraceError(
        f"{path}: no trace of a known form, its columns are {', '.join(rows[0])} (hint: one row a request "
        "needs a time such as TIMESTAMP and tokens such as ContextTokens or input_length; one row a window "
        "needs a time such as t_seconds and a rate such as NAME_rps or NAME_per_min)"
    )


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (EOFError, UnicodeDecodeError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: not text, nor gzipped text: {error} (hint: CSV or JSON lines)") from error
    except OSError as error:
        said = error.strerror or str(error)
        raise TraceError(f"{path}: {said} (hint: --trace takes the path of a file)") from error


def _json_rows(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise TraceError(f"{path}: a line is not JSON: {error} (hint: one object a line)") from error
    if not all(isinstance(row, dict) for row in rows):
        raise TraceError(f"{path}: not a list of objects (hint: one object a request)")
    return list(rows)


def _csv_rows(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        rows = [row for row in reader if any(row.values())]
    except csv.Error as error:
        raise TraceError(f"{path}: line {reader.line_num}: {error} (hint: CSV with a header)") from error
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise TraceError(
                f"{path}: row {number} has not as many cells as the header (hint: is it cut off?)"
            )
    return rows


def _requests(
    path: Path, rows: Sequence[dict[str, Any]], names: Sequence[str | None], *, is_json: bool
) -> Trace:
    when, inputs, outputs = names
    times = _times(path, when or "", [row.get(when or "") for row in rows], is_json=is_json)
    given = _tokens(path, inputs or "", rows)
    wanted = _tokens(path, outputs, rows) if outputs is not None else np.full(len(rows), 200.0)
    order = np.argsort(times, kind="stable")
    arrivals = times[order] - times[order][0]
    span_s = float(arrivals[-1]) * (1.0 + 1.0 / len(rows))  # the gap after the last one is like the others
    if span_s <= 0.0:
        raise TraceError(f"{path}: every request comes at the same moment (hint: is {when} the arrival?)")
    window_s = 60.0 if span_s >= 600.0 else span_s / 10.0
    bins = int(np.ceil(span_s / window_s))
    rates = np.bincount((arrivals / window_s).astype(np.int64), minlength=bins)[:bins] / window_s
    sizes = np.maximum(1, np.column_stack([given, wanted])[order]).astype(np.int64)
    form = f"one row a request ({when}, {inputs}, {outputs or 'no output tokens: 200 each'})"
    return Trace(str(path.name), form, window_s, rates.astype(np.float64), arrivals, sizes)


def _windows(path: Path, rows: Sequence[dict[str, Any]], when: str, column: str) -> Trace:
    factor = _TIME_UNITS[when.lower().removeprefix("time_").removeprefix("t_")[:1].replace("t", "s")]
    times = _numbers(path, when, rows) * factor
    rates = _numbers(path, column, rows) / (60.0 if column.lower().endswith(("_per_min", "_rpm")) else 1.0)
    moments, place = np.unique(times, return_inverse=True)
    if moments.size < LEAST_ROWS or rates.min() < 0.0:
        raise TraceError(f"{path}: {column} by {when} is no demand (hint: two moments, no negative rate)")
    summed = np.bincount(place, weights=rates)  # several rows of one moment are several clients
    window_s = float(np.median(np.diff(moments)))
    filled = np.interp(np.arange(moments[0], moments[-1] + window_s / 2, window_s), moments, summed)
    return Trace(str(path.name), f"one row a window of {window_s:.0f} s ({column})", window_s, filled)


def _chosen(path: Path, rated: Sequence[str], column: str | None) -> str:
    if column is None:
        return rated[0]
    if column not in rated:
        raise TraceError(f"{path}: no rate is called {column} (hint: there is {', '.join(rated)})")
    return column


def _numbers(path: Path, name: str, rows: Sequence[dict[str, Any]]) -> Floats:
    try:
        values = np.array([float(row[name]) for row in rows], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        bad = next(i for i, row in enumerate(rows, 2) if not _is_number(row.get(name)))
        found = rows[bad - 2].get(name)
        raise TraceError(f"{path}: row {bad}: {name} is {found!r}, no number (hint: mend that row)") from None
    if not np.isfinite(values).all():
        raise TraceError(f"{path}: {name} is not finite somewhere (hint: mend those rows)")
    return values


def _tokens(path: Path, name: str, rows: Sequence[dict[str, Any]]) -> Floats:
    values = _numbers(path, name, rows)
    is_wrong = (values < 0.0) | (values > MOST_TOKENS)
    if is_wrong.any():
        row = int(is_wrong.argmax())
        raise TraceError(
            f"{path}: row {row + 2}: {name} is {rows[row][name]}, no number of tokens (hint: mend that row)"
        )
    return values


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _times(path: Path, name: str, cells: Sequence[Any], *, is_json: bool) -> Floats:
    """Seconds, from dates or numbers; Mooncake's and other JSON stamps count milliseconds."""
    if all(_is_number(cell) for cell in (cells[0], cells[-1])):
        values = _numbers(path, name, [{name: cell} for cell in cells])
        in_ms = (
            name.lower().endswith("_ms") or abs(values).max() > MS_FROM or (is_json and _is_coarse(values))
        )
        return values / 1000.0 if in_ms else values
    return _dated(path, name, cells)


def _dated(path: Path, name: str, cells: Sequence[Any]) -> Floats:
    """Seconds from the earliest of these dates, each in its own zone: a log of local times has two a year."""
    bare, zones = [], []
    for number, cell in enumerate(cells, 2):
        found = _DATE.fullmatch(str(cell).strip())
        if found is None:
            said = "empty" if cell is None or not str(cell).strip() else f"{cell!r}, no time"
            raise TraceError(f"{path}: row {number}: {name} is {said} (hint: {_TIMES_LIKE})")
        bare.append(found[1])
        zones.append(found[2] or "Z")
    try:
        moments = np.array(bare, dtype="datetime64[ns]")
    except ValueError as error:
        raise TraceError(f"{path}: {name}: {error} (hint: {_TIMES_LIKE})") from error
    ahead_s = {zone: _ahead_s(zone) for zone in set(zones)}
    ahead = np.array([ahead_s[zone] for zone in zones])
    seconds: Floats = (moments - moments.min()).astype(np.int64) / 1e9 - ahead
    return seconds


def _ahead_s(zone: str) -> float:
    """Seconds that a zone such as Z, +01:00 or -0530 is ahead of UTC."""
    if zone == "Z":
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > len("+01") else 0
    return (hours * 60 + minutes) * (-60.0 if zone[0] == "-" else 60.0)


def _is_coarse(values: Floats) -> bool:
    """Whole numbers of a thousand and more: milliseconds, as no trace of seconds lasts that long per row."""
    return bool((values == np.round(values)).all() and np.ptp(values) / values.size > 20.0)
