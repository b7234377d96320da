"""The stored latency parameters are those of the recordings, where the recordings are at hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from crossfade.sim.load.latency import FITS, LatencyFit, draw_timing
from crossfade.sim.load.latency_fit import fit_latency

RECORDED = Path(__file__).parents[3].parent / "shared/data/provider-exchanges/server_latency.csv"
PROVIDERS = {"bedrock": "bedrock", "openai": "openai", "anthropic": "anthropic", "open-weights": "mistral"}


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded latencies are not beside this repository")
@pytest.mark.parametrize("name", FITS)
def test_a_refit_of_the_recordings_gives_the_stored_parameters(name):
    with RECORDED.open() as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["provider"] == PROVIDERS[name]
            and row["stream"] == "0"
            and float(row["output_tokens"] or 0) > 0
            and float(row["server_ms"] or 0) > 0
        ]

    fit = fit_latency(
        [row["model"] for row in rows],
        [float(row["output_tokens"]) for row in rows],
        [float(row["server_ms"]) for row in rows],
    )

    assert fit.n == FITS[name].n
    assert fit.first_ms == pytest.approx(FITS[name].first_ms, rel=1e-2)
    assert fit.per_token_ms == pytest.approx(FITS[name].per_token_ms, rel=1e-2)
    assert fit.sigma == pytest.approx(FITS[name].sigma, rel=1e-2)


def test_fitting_recovers_the_law_that_made_the_rows():
    law = LatencyFit(first_ms=400, per_token_ms=12, sigma=0.3, n=0)
    outputs = [float(1 + 7 * number % 300) for number in range(2000)]
    rows = [
        draw_timing(law, 1.0, "made", number).due_s(int(outputs[number])) * 1000 for number in range(2000)
    ]

    fit = fit_latency([f"m{number % 4}" for number in range(2000)], outputs, rows)

    assert fit.first_ms == pytest.approx(400, rel=0.08)
    assert fit.per_token_ms == pytest.approx(12, rel=0.05)
    assert fit.sigma == pytest.approx(0.3, rel=0.05)


def test_timing_is_the_same_for_the_same_identity_and_scales():
    fit = FITS["bedrock"]

    assert draw_timing(fit, 1.0, 7, "m", 1) == draw_timing(fit, 1.0, 7, "m", 1)
    assert draw_timing(fit, 1.0, 7, "m", 1) != draw_timing(fit, 1.0, 7, "m", 2)
    assert draw_timing(fit, 0.1, 7, "m", 1).first_s == pytest.approx(
        draw_timing(fit, 1.0, 7, "m", 1).first_s / 10
    )
