"""What a token costs: the user's contract file first, then the public list. Unknown is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crossfade.config.features import Config
from crossfade.domain.route import Price

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """USD per million tokens; None for a kind without a price."""

    input_mtok: float
    output_mtok: float
    cache_read_mtok: float | None = None
    cache_write_mtok: float | None = None

    def of_snapshot(self) -> Price:
        """The same for the engine, every kind of token with a price."""
        read = self.input_mtok if self.cache_read_mtok is None else self.cache_read_mtok
        write = self.input_mtok if self.cache_write_mtok is None else self.cache_write_mtok
        return Price(input=self.input_mtok, cache_read=read, cache_write=write, output=self.output_mtok)

    def charge(self, usage: dict[str, Any]) -> float:
        """USD of one attempt's usage."""
        each = self.of_snapshot()
        total = usage["input_uncached"] * each.input + usage["output"] * each.output
        cached = usage["cache_read"] * each.cache_read + usage["cache_write"] * each.cache_write
        usd: float = (total + cached) / _MILLION
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

    def snapshot_prices(self, config: Config) -> dict[str, Price]:
        """What the gateways need of it: nothing where no pool chooses and no key is limited by price.

        Bought capacity has no price of its tokens.
        """
        by_price = any(pool.choose == "cheapest" for pool in config.pools.values())
        if not by_price and all(key.usd_per_day is None for key in config.keys.values()):
            return {}
        found = {
            name: self.tokens(name, endpoint.model, config.providers[endpoint.provider].kind)
            for name, endpoint in config.endpoints.items()
            if endpoint.capacity.class_ != "provisioned"
        }
        return {name: price.of_snapshot() for name, price in found.items() if price is not None}

    def units(self, endpoint: str, model: str) -> UnitPrice | None:
        """The price of a bought unit, or None."""
        return self._units.get(endpoint) or self._units.get(model)


def snapshot_prices(config: Config) -> dict[str, Price]:
    """The prices that this config's gateways need."""
    return PriceBook(Path(config.prices.contract) if config.prices.contract else None).snapshot_prices(config)


_PUBLIC_PROVIDERS = {
    "anthropic": "anthropic",
    "azure-openai": "azure",
    "bedrock": "aws",
    "cohere": "cohere",
    "gemini": "google",
    "openai": "openai",
    "vertex": "google",
}


def _public(model: str, kind: str) -> TokenPrice | None:
    provider = _PUBLIC_PROVIDERS.get(kind)
    if provider is None:
        return None
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - 1 s, and only priced reports need it

    def usd(**tokens: int) -> float:
        return float(calc_price(Usage(**tokens), model, provider_id=provider).total_price)

    try:
        return TokenPrice(
            input_mtok=usd(input_tokens=_MILLION, output_tokens=0),
            output_mtok=usd(input_tokens=0, output_tokens=_MILLION),
            cache_read_mtok=usd(input_tokens=_MILLION, cache_read_tokens=_MILLION),
            cache_write_mtok=usd(input_tokens=_MILLION, cache_write_tokens=_MILLION),
        )
    except LookupError:
        return None
