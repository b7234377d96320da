"""What a token costs: the user's contract file first, then the public list. Unknown is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """USD per million tokens; None for a kind without a price."""

    input_mtok: float
    output_mtok: float
    cache_read_mtok: float | None = None
    cache_write_mtok: float | None = None

    def charge(self, usage: dict[str, Any]) -> float:
        """USD of one attempt's usage."""
        read = self.cache_read_mtok if self.cache_read_mtok is not None else self.input_mtok
        write = self.cache_write_mtok if self.cache_write_mtok is not None else self.input_mtok
        total = usage["input_uncached"] * self.input_mtok + usage["output"] * self.output_mtok
        usd: float = (total + usage["cache_read"] * read + usage["cache_write"] * write) / _MILLION
        return usd


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """USD per unit and hour of bought capacity."""

    usd_per_unit_hour: float


class PriceBook:
    """Prices by endpoint, model, or provider's public list."""

    def __init__(self, contract: Path | None) -> None:
        document = yaml.safe_load(contract.read_text()) if contract else {}
        self._tokens = {name: TokenPrice(**price) for name, price in (document.get("tokens") or {}).items()}
        self._units = {name: UnitPrice(**price) for name, price in (document.get("units") or {}).items()}

    def tokens(self, endpoint: str, model: str, kind: str) -> TokenPrice | None:
        """The price of tokens at an endpoint, or None: unpriced, never zero."""
        return self._tokens.get(endpoint) or self._tokens.get(model) or _public(model, kind)

    def units(self, endpoint: str, model: str) -> UnitPrice | None:
        """The price of a bought unit, or None."""
        return self._units.get(endpoint) or self._units.get(model)


_PUBLIC_PROVIDERS = {"bedrock": "aws", "openai": "openai"}


def _public(model: str, kind: str) -> TokenPrice | None:
    provider = _PUBLIC_PROVIDERS.get(kind)
    if provider is None:
        return None
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - 1 s, and only priced reports need it

    try:
        one = calc_price(Usage(input_tokens=_MILLION, output_tokens=0), model, provider_id=provider)
        other = calc_price(Usage(input_tokens=0, output_tokens=_MILLION), model, provider_id=provider)
    except LookupError:
        return None
    return TokenPrice(float(one.total_price), float(other.total_price))
