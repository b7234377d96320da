"""Cost by feature: tokens, money, what is unpriced, idle bought capacity as its own line.

On-demand capacity is charged by usage. Bought capacity is charged by unit-hours: the part that was
used is split over the features by their settled tokens, weighted as the units meter them, and the
rest is idle, which nobody asked for and somebody pays. The lines of an endpoint always sum to what
the provider bills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crossfade.config.features import Config
from crossfade.config.schema import EndpointSection
from crossfade.control.ledger.prices import PriceBook
from crossfade.control.records.store import RecordStore

_USAGE = ("input_uncached", "cache_read", "cache_write", "output")


@dataclass(frozen=True, slots=True)
class CostLine:
    """`usd` null = unpriced. `purpose`: served, shadow, measuring, retry, or idle (of no feature)."""

    feature: str
    endpoint: str
    purpose: str
    attempts: int
    input_tokens: int
    output_tokens: int
    usd: float | None


def cost_lines(
    records: RecordStore, config: Config, book: PriceBook, unit_hours: Mapping[str, float]
) -> list[CostLine]:
    """One line per feature, endpoint and purpose; `unit_hours` of bought capacity by endpoint."""
    rows = _used(records)
    lines = [_by_usage(row, config, book) for row in rows]
    for name, endpoint in config.endpoints.items():
        if endpoint.capacity.class_ == "provisioned":
            own = [line for line in lines if line.endpoint == name]
            shared = _by_unit_hours(name, endpoint, book, own, unit_hours.get(name, 0.0))
            lines = [line for line in lines if line.endpoint != name] + shared
    return sorted(lines, key=lambda line: (line.feature == "", line.feature, line.endpoint, line.purpose))


def _used(records: RecordStore) -> list[dict[str, Any]]:
    sums = ", ".join(f"coalesce(sum(usage.{name}), 0)::BIGINT AS {name}" for name in _USAGE)
    purpose = (
        "CASE WHEN arm = 'shadow' THEN 'shadow' WHEN arm = 'pin' THEN 'measuring' "
        "WHEN index > 0 THEN 'retry' ELSE 'served' END"
    )
    return records.query(
        f"SELECT feature, endpoint, {purpose} AS purpose, count(*) AS attempts, {sums} "  # noqa: S608 - our own names
        "FROM attempts GROUP BY ALL ORDER BY ALL"
    )


def _by_usage(row: dict[str, Any], config: Config, book: PriceBook) -> CostLine:
    endpoint = config.endpoints.get(row["endpoint"])
    usd = None
    if endpoint is not None and endpoint.capacity.class_ == "on-demand":
        price = book.tokens(row["endpoint"], endpoint.model, config.providers[endpoint.provider].kind)
        usd = price.charge(row) if price else None
    tokens = row["input_uncached"] + row["cache_read"] + row["cache_write"]
    return CostLine(
        row["feature"], row["endpoint"], row["purpose"], row["attempts"], tokens, row["output"], usd
    )


def _by_unit_hours(
    name: str, endpoint: EndpointSection, book: PriceBook, used: list[CostLine], hours: float
) -> list[CostLine]:
    """The endpoint's lines with their part of its unit-hours, and what stood idle."""
    price = book.units(name, endpoint.model)
    if price is None:
        return used
    total_usd = hours * price.usd_per_unit_hour
    weights = [_weight(endpoint, line) for line in used]
    whole = sum(weights)
    busy = _busy_share(endpoint, used, hours) if whole else 0.0
    lines = [
        replace(line, usd=total_usd * busy * weight / whole if whole else 0.0)
        for line, weight in zip(used, weights, strict=True)
    ]
    if busy < 1.0:
        lines.append(CostLine("", name, "idle", 0, 0, 0, total_usd * (1.0 - busy)))
    return lines


def _weight(endpoint: EndpointSection, line: CostLine) -> float:
    """Tokens as the units meter them; plain tokens where that is not declared."""
    worth = endpoint.capacity.per_unit
    if worth is None or not worth.input_tpm or not worth.output_tpm:
        return float(line.input_tokens + line.output_tokens)
    return line.input_tokens / worth.input_tpm + line.output_tokens / worth.output_tpm


def _busy_share(endpoint: EndpointSection, used: list[CostLine], hours: float) -> float:
    """How much of the bought allowance was used: the scarcer of input and output, at most 1.

    Without a declared worth of a unit nothing can be called idle: the users carry it all.
    """
    worth, minutes = endpoint.capacity.per_unit, hours * 60
    if worth is None or not minutes:
        return 1.0
    shares = [
        sum(tokens) / (minutes * per_minute)
        for tokens, per_minute in (
            ([line.input_tokens for line in used], worth.input_tpm),
            ([line.output_tokens for line in used], worth.output_tpm),
        )
        if per_minute
    ]
    return min(1.0, max(shares, default=1.0))
