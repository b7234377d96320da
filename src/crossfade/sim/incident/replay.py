"""One incident in virtual time over the production engine: callers' errors, first tokens, the ramp."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossfade.config.features import Config
from crossfade.sim.load.latency import FITS
from crossfade.sim.rehearsal.clouds.incident import Incident
from crossfade.sim.rehearsal.clouds.law import ERRORS, Clouds, EndpointLaw, Fault
from crossfade.sim.rehearsal.traffic.arrivals import Demand
from crossfade.sim.rehearsal.traffic.trace import Trace
from crossfade.sim.rehearsal.world.gateway import VirtualGateway

BEFORE_S = 900.0  # so long all is well, so that what is normal has been learnt
AFTER_S = 600.0
WINDOW_S = 10.0
EPOCH_UNIX_S = 1_795_000_000.0

SMALL = """
providers:
  one: {kind: openai-compatible, base_url: 'http://127.0.0.1:9/v1', auth: {method: none}}
  two: {kind: openai-compatible, base_url: 'http://127.0.0.1:9/v1', auth: {method: none}}
endpoints: {primary: {provider: one, model: a}, backup: {provider: two, model: b}}
features: {answers: {class: interactive, hierarchy: [primary, backup]}}
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """`struck`: the endpoints that the incident is at; `most_s`: so much of it is replayed."""

    config: Config
    feature: str
    struck: frozenset[str]
    rate: float
    most_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Window:
    """Ten seconds. `first_ms`: 90 of 100 callers saw their first token by then; null without callers.

    `shares`: what each endpoint's breaker admitted at the end.
    """

    at_s: float  # since the incident began
    requests: int
    errors: int
    first_ms: float | None
    shares: Mapping[str, float]


def replay(wanted: Replay, incident: Incident) -> dict[str, Any]:
    """The document of one incident: facts, and a row for each window."""
    end_s = BEFORE_S + min(incident.end_s, wanted.most_s) + AFTER_S
    gateway = _gateway(wanted, end_s)
    gateway.strike([Fault(incident, wanted.struck, BEFORE_S, 0.0, end_s - AFTER_S)])
    windows = []
    while gateway.now < end_s:
        until = min(gateway.now + WINDOW_S, end_s)
        parts = []
        while gateway.now < until:
            parts.append(gateway.advance(until))
        rows = np.concatenate(parts)
        shown = rows["shown_ms"][rows["shown_ms"] >= 0]
        shares = {row["endpoint"]: row["share"] for row in json.loads(gateway.engine.health())}
        first_ms = float(np.quantile(shown, 0.9)) if shown.size else None
        windows.append(
            Window(until - BEFORE_S, int(rows.size), int(rows["caller_error"].sum()), first_ms, shares)
        )
    return _document(wanted, incident, windows)


def _gateway(wanted: Replay, end_s: float) -> VirtualGateway:
    usual = FITS["openai"]
    laws = {
        name: EndpointLaw(
            usual, ERRORS, wanted.config.providers[endpoint.provider].kind, endpoint.capacity.class_
        )
        for name, endpoint in wanted.config.endpoints.items()
    }
    trace = Trace("constant", "the same rate throughout", 600.0, np.full(24, wanted.rate))
    demand = Demand(trace, end_s, 1.0, 20.0, wanted.seed)
    clouds = Clouds(laws, wanted.seed)
    return VirtualGateway(wanted.config, clouds, demand, (wanted.feature,), EPOCH_UNIX_S)


def _document(wanted: Replay, incident: Incident, windows: list[Window]) -> dict[str, Any]:
    struck_s = min(incident.end_s, wanted.most_s)
    during = [window for window in windows if 0.0 < window.at_s <= struck_s + WINDOW_S]
    before = [window.first_ms for window in windows if window.at_s <= 0.0 and window.first_ms]
    shares = {name: [window.shares.get(name, 1.0) for window in windows] for name in sorted(wanted.struck)}
    left = [w.at_s for w in during if min(w.shares.get(name, 1.0) for name in wanted.struck) < 1.0]
    whole = [
        w.at_s
        for w in windows
        if w.at_s > struck_s and all(w.shares.get(name, 1.0) >= 1.0 for name in wanted.struck)
    ]
    worst = [window.first_ms for window in during if window.first_ms]
    return {
        "incident": incident.incident_id,
        "title": incident.title,
        "source": incident.source,
        "assumed": list(incident.chosen),
        "struck": sorted(wanted.struck),
        "rate_per_s": wanted.rate,
        "seed": wanted.seed,
        "lasts_s": struck_s,
        "requests": sum(window.requests for window in during),
        "callers_saw_an_error": sum(window.errors for window in during),
        "left_after_s": left[0] if left else None,
        "whole_again_after_s": whole[0] - struck_s if whole else None,
        "first_token_p90_ms": {
            "before": float(np.median(before)) if before else None,
            "worst": max(worst) if worst else None,
            "during": float(np.median(worst)) if worst else None,
        },
        "windows": [
            {
                "at_s": window.at_s,
                "requests": window.requests,
                "errors": window.errors,
                "first_token_p90_ms": window.first_ms,
                "shares": {name: shares[name][place] for name in shares},
            }
            for place, window in enumerate(windows)
        ],
    }
