from __future__ import annotations

import pytest

from crossfade.config.load import load_text
from crossfade.control.ledger.prices import PriceBook, snapshot_prices

CONFIG = """
providers:
  lab: {kind: openai-compatible, base_url: 'http://127.0.0.1:9/v1', auth: {method: none}}
endpoints:
  gpt: openai/gpt-5-mini
  bought: {provider: openai, model: gpt-5-mini, capacity: {class: provisioned, units: 2 MU}}
  own: {provider: lab, model: own}
features: {f: [gpt, own]}
"""


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")


def prices(text: str):
    return snapshot_prices(load_text(text, "c.yaml").config)


def test_gateways_get_prices_only_where_something_depends_on_them():
    assert prices(CONFIG) == {}
    found = prices(CONFIG + "pools: {p: {endpoints: [gpt, bought, own], choose: cheapest}}\n")

    assert set(found) == {"gpt"}, "bought capacity and unknown models have no price of tokens"
    gpt = found["gpt"]
    assert 0 < gpt.cache_read < gpt.input < gpt.output
    key = "keys: {k: {hash: cfh_k_" + "0" * 64 + ", usd_per_day: 5}}\n"
    assert prices(CONFIG + key) == found


def test_a_contract_price_replaces_the_public_one(tmp_path):
    contract = tmp_path / "contract.yaml"
    contract.write_text(
        "tokens: {own: {input_mtok: 1, output_mtok: 2}, gpt-5-mini: {input_mtok: 3, output_mtok: 4}}"
    )
    text = (
        CONFIG
        + f"pools: {{p: {{endpoints: [gpt, own], choose: cheapest}}}}\nprices: {{contract: {contract}}}\n"
    )
    found = prices(text)

    assert (found["own"].input, found["own"].cache_read, found["own"].output) == (1, 1, 2)
    assert found["gpt"].output == 4


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("anthropic", "claude-haiku-4-5"),
        ("gemini", "gemini-2.5-flash"),
        ("azure-openai", "gpt-5-mini"),
        ("cohere", "command-a-03-2025"),
        ("vertex", "gemini-2.5-flash"),
    ],
)
def test_the_public_list_knows_every_kind_that_has_one(kind, model):
    price = PriceBook(None).tokens("e", model, kind)

    assert price is not None
    assert price.input_mtok < price.output_mtok
