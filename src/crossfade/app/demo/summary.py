"""The end of the story in measured facts, and the promises they keep or break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossfade.app.demo.traffic import Tally
from crossfade.app.demo.truth import Books
from crossfade.app.demo.walk import Seen

ZERO_WITHIN_S = 5.0
UNITS_OFF = 2  # a probe of some seconds sees a few hundred requests: the true number is near, not hit
USD_TOLERANCE = 0.02  # unit-hours run on between the reading of one book and of the other


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise and whether it was kept."""

    text: str
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the summary is made of. `report`: the migration's own measured facts.

    `true_units`: null where the candidate is a true model, of which nobody knows.
    """

    tally: Tally
    seen: Seen
    report: dict[str, Any]
    closed: bool
    true_units: int | None
    costs: list[dict[str, Any]]
    books: list[Books]
    audit_ok: bool
    took_s: float


def promises_of(facts: Facts) -> list[Promise]:
    """What the product promises, held against what was measured."""
    always = [
        Promise("no caller saw an error", not facts.tally.failed),
        Promise("no request reached the candidate before the sign-offs", facts.seen.before_signoffs == 0),
        Promise("the ledger equals the clouds' bills", all(b.are_equal(USD_TOLERANCE) for b in facts.books)),
        Promise("the event log's chain holds", facts.audit_ok),
    ]
    if facts.seen.refused:
        none_served = facts.report["candidate_requests"] == 0
        return [*always, Promise("no caller was answered by the refused candidate", none_served)]
    if facts.true_units is None:
        return [*always, Promise("the migration completed", facts.closed)]
    units, first = facts.report["units"], _first_rollback(facts)
    is_near = units is not None and facts.true_units - 1 <= units <= facts.true_units + UNITS_OFF
    is_caught = first["from_share"] == facts.seen.fault_share and first["by"] == "controller"
    is_fast = first["seconds_to_effect"] is not None and first["seconds_to_effect"] <= ZERO_WITHIN_S
    return [
        *always,
        Promise("the load test found the number of units", is_near),
        Promise("the fault was caught by the product itself, at the stage it came", is_caught),
        Promise(f"share zero within {ZERO_WITHIN_S:.0f} s", is_fast),
        Promise("the migration completed after the mend", facts.closed),
    ]


def lines_of(facts: Facts) -> list[str]:
    """The summary for people."""
    rows = [
        ("requests served", f"{sum(facts.tally.served.values())} ({_by_feature(facts.tally.served)})"),
        ("caller-visible errors", str(sum(facts.tally.failed.values()))),
        *_moved(facts),
        *(("cost", text) for text in _costs(facts.costs)),
        ("ledger against bills", _books(facts.books)),
        ("took", f"{facts.took_s:.0f} s"),
    ]
    width = max(len(name) for name, _ in rows)
    kept = [f"{'kept  ' if promise.is_kept else 'BROKEN'}  {promise.text}" for promise in promises_of(facts)]
    return [*(f"{name.ljust(width)}  {text}" for name, text in rows), "", *kept]


def _moved(facts: Facts) -> list[tuple[str, str]]:
    """What became of the candidate."""
    report, first = facts.report, _first_rollback(facts)
    harmed = f"{report['candidate_requests_harmed']} of {report['candidate_requests']}; backups answered them"
    if facts.seen.refused:
        return [("candidate refused", f"{facts.seen.refused} ({facts.seen.labels} pairs labelled)")]
    if facts.true_units is None:
        return [("candidate requests harmed", harmed)]
    units = f"{report['units']} {report['unit']}; the simulator's true number is {facts.true_units}"
    return [
        ("units found", units),
        ("fault caught", _caught(first, facts.seen)),
        ("candidate requests harmed", harmed),
        ("time to share zero", _time_to_zero(first, report)),
    ]


def _first_rollback(facts: Facts) -> dict[str, Any]:
    """The first rollback as the report tells it; of nobody, from nowhere, where there was none."""
    none = {"from_share": None, "by": None, "seconds_to_effect": None, "unix_s": None, "reason": "never"}
    return facts.report["rollbacks"][0] if facts.report["rollbacks"] else none


def _by_feature(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{feature} {count}" for feature, count in sorted(counts.items()))


def _caught(first: dict[str, Any], seen: Seen) -> str:
    if first["from_share"] is None or seen.fault_unix_s is None:
        return "never"
    since_s = first["unix_s"] - seen.fault_unix_s
    return f"at the {first['from_share']:.0%} stage, {since_s:.1f} s after it began: {first['reason']}"


def _time_to_zero(first: dict[str, Any], report: dict[str, Any]) -> str:
    if first["seconds_to_effect"] is None:
        return "never"
    drilled = report["drill_seconds_to_zero"]
    return f"{first['seconds_to_effect']:.3f} s on every gateway (in the drill {drilled:.3f} s)"


def _costs(lines: list[dict[str, Any]]) -> list[str]:
    by_feature: dict[str, dict[str, float | None]] = {}
    for line in lines:
        parts = by_feature.setdefault(line["feature"] or "idle bought capacity", {})
        before = parts.get(line["purpose"], 0.0)
        parts[line["purpose"]] = None if before is None or line["usd"] is None else before + line["usd"]
    texts = []
    for feature, parts in by_feature.items():
        shown = ", ".join(f"{purpose} {_usd(usd)}" for purpose, usd in sorted(parts.items()))
        texts.append(f"{feature}: {shown}")
    return texts


def _usd(usd: float | None) -> str:
    return "unpriced" if usd is None else f"${usd:.4f}"


def _books(books: list[Books]) -> str:
    tokens = sum(sum(book.ours.tokens) for book in books)
    wrong = [book for book in books if not book.are_equal(USD_TOLERANCE)]
    if not wrong:
        usd = sum(book.theirs.usd or 0.0 for book in books)
        return f"equal to the token over {len(books)} models: {tokens} tokens, ${usd:.2f}"
    return "; ".join(
        f"{book.model}: ours {book.ours.tokens} {_usd(book.ours.usd)}, "
        f"theirs {book.theirs.tokens} {_usd(book.theirs.usd)}"
        for book in wrong
    )
