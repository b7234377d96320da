from __future__ import annotations

from typing import Any

import pytest

from crossfade.config.load import load_config
from crossfade.control.ledger.prices import PriceBook
from crossfade.control.ledger.report import cost_lines

CONFIG = """
providers:
  p: {kind: bedrock, auth: {method: default-chain}}
endpoints:
  bought: {provider: p, region: r, model: m, capacity: {class: provisioned, units: 2 MU WORTH}}
  shared: {provider: p, region: r, model: n}
  unknown: {provider: p, region: r, model: nobody-prices-this}
features: {recap: [bought, shared], answer: [shared, unknown]}
"""
CONTRACT = """
tokens: {n: {input_mtok: 1.0, output_mtok: 5.0}}
units: {m: {usd_per_unit_hour: 10.0}}
"""
WORTH = ", per_unit: {input_tpm: 60k, output_tpm: 10k}"


class Recorded:
    """Sums as the records would give them."""

    def __init__(self, *rows: tuple[str, str, str, int, int]) -> None:
        self._rows = rows

    def query(self, _: str) -> list[dict[str, Any]]:
        names = ("feature", "endpoint", "purpose", "input_uncached", "output")
        return [
            {**dict(zip(names, row, strict=True)), "attempts": 1, "cache_read": 0, "cache_write": 0}
            for row in self._rows
        ]


def lines_of(tmp_path, *rows, worth=WORTH, hours=1.0):
    path, contract = tmp_path / "crossfade.yaml", tmp_path / "contract.yaml"
    path.write_text(CONFIG.replace(" WORTH", worth))
    contract.write_text(CONTRACT)
    config = load_config(path).config
    return cost_lines(Recorded(*rows), config, PriceBook(contract), {"bought": 2 * hours})


def test_bought_units_are_split_by_use_and_the_rest_is_idle(tmp_path):
    # two units for an hour: 7.2 M input, 1.2 M output tokens; half of the output was used
    lines = lines_of(
        tmp_path, ("recap", "bought", "served", 720_000, 450_000), ("answer", "bought", "served", 0, 150_000)
    )

    usd = {(line.feature, line.purpose): line.usd for line in lines}
    assert usd["", "idle"] == pytest.approx(10.0)
    assert sum(usd.values()) == pytest.approx(20.0)
    assert usd["recap", "served"] > usd["answer", "served"] > 0


def test_without_a_declared_worth_the_users_carry_all_of_it(tmp_path):
    lines = lines_of(tmp_path, ("recap", "bought", "served", 10, 10), worth="")

    assert [(line.feature, line.usd) for line in lines] == [("recap", pytest.approx(20.0))]


def test_unused_units_are_all_idle(tmp_path):
    assert [(line.purpose, line.usd) for line in lines_of(tmp_path)] == [("idle", pytest.approx(20.0))]


def test_tokens_are_charged_by_the_contract_and_an_unknown_price_is_no_price(tmp_path):
    lines = lines_of(
        tmp_path,
        ("recap", "shared", "shadow", 1_000_000, 100_000),
        ("answer", "unknown", "served", 1_000_000, 0),
        hours=0.0,
    )

    usd = {(line.endpoint, line.purpose): line.usd for line in lines if line.purpose != "idle"}
    assert usd == {("shared", "shadow"): pytest.approx(1.5), ("unknown", "served"): None}
