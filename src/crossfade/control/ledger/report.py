"""Cost by feature: tokens, money, what is unpriced, idle bought capacity as its own line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossfade.config.features import Config
from crossfade.control.ledger.prices import PriceBook
from crossfade.control.records.store import RecordStore

_USAGE = ("input_uncached", "cache_read", "cache_write", "output")


@dataclass(frozen=True, slots=True)
class CostLine:
    """`usd` null = unpriced. `purpose`: served, shadow, measuring or retry."""

    feature: str
    endpoint: str
    purpose: str
    attempts: int
    input_tokens: int
    output_tokens: int
    usd: float | None


def cost_lines(records: RecordStore, config: Config, book: PriceBook) -> list[CostLine]:
    """One line per feature, endpoint and purpose, from the attempt records."""
    sums = ", ".join(f"coalesce(sum(usage.{name}), 0)::BIGINT AS {name}" for name in _USAGE)
    purpose = (
        "CASE WHEN arm = 'shadow' THEN 'shadow' WHEN arm = 'pin' THEN 'measuring' "
        "WHEN index > 0 THEN 'retry' ELSE 'served' END"
    )
    rows = records.query(
        f"SELECT feature, endpoint, {purpose} AS purpose, count(*) AS attempts, {sums} "  # noqa: S608 - our own names
        "FROM attempts GROUP BY ALL ORDER BY ALL"
    )
    return [_line(row, config, book) for row in rows]


def _line(row: dict[str, Any], config: Config, book: PriceBook) -> CostLine:
    endpoint = config.endpoints.get(row["endpoint"])
    usd = None
    if endpoint is not None and endpoint.capacity.class_ == "on-demand":
        kind = config.providers[endpoint.provider].kind
        price = book.tokens(row["endpoint"], endpoint.model, kind)
        usd = price.charge(row) if price else None
    elif endpoint is not None:
        usd = (
            0.0 if book.units(row["endpoint"], endpoint.model) else None
        )  # paid by the hour, see `unit_lines`
    tokens = row["input_uncached"] + row["cache_read"] + row["cache_write"]
    return CostLine(
        row["feature"], row["endpoint"], row["purpose"], row["attempts"], tokens, row["output"], usd
    )
