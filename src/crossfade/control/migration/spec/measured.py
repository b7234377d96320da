"""The steps before the rollout: `compliance`, `capacity` and `quality` of a migration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from crossfade.config.quantity import parse_duration_s, parse_profile, parse_share
from crossfade.control.evidence.scorers import SCORERS
from crossfade.control.migration.spec.reader import Reader, parse_limited_s, parse_margin
from crossfade.domain.migration_spec import CapacitySpec, ComplianceSpec, QualitySpec

DEFAULT_MARGINS = {"rubric": "5pt", "schema": "1pt", "refusals": "0.5pt"}
DEFAULT_LATENCY = {"ttft_p50": "10%", "ttft_p90": "10%"}
JUDGED = "rubric"
KNOWN_MARGINS = (JUDGED, *SCORERS)
MOST_MARGIN = 0.5  # a loss of half of all answers is no margin, whoever answers for it
KNOWN_LATENCY = re.compile(r"ttft_p[1-9][0-9]?")
KNOWN_SLO = frozenset({"ttft_p50", "ttft_p90", "ttft_p95", "ttft_p99", "e2e_p50", "e2e_p90", "e2e_p95"})


def read_compliance(reader: Reader, value: Any) -> ComplianceSpec:
    """`compliance`: who signs, for how long."""
    section = reader.section(value, "compliance", ("signoffs", "expires"))
    return ComplianceSpec(
        signoffs=reader.names(section, "signoffs", (), "compliance"),
        expires_s=reader.above_zero(section, "compliance.expires", "90d", parse_limited_s),
    )


def read_capacity(reader: Reader, value: Any) -> CapacitySpec:
    """`capacity`: which load must be carried, how well."""
    known = ("profiles", "slo", "overflow_at_most", "headroom", "lever", "warmup", "probe")
    section = reader.section(value, "capacity", known)
    limits, attainment = _read_slo(reader, section)
    lever = section.get("lever")
    if lever is not None and not (isinstance(lever, str) and lever.startswith(("http://", "https://"))):
        reader.blame("capacity.lever", "must be an http(s) URL", 'it takes PUT {"units": n}')
        lever = None
    profiles = reader.names(section, "profiles", ("recorded",), "capacity")
    if not profiles and section.get("profiles") == []:
        reader.blame("capacity.profiles", "names no load", "profiles: [recorded]")
    for name in profiles:
        reader.quantity({"profiles": name}, "capacity.profiles", None, parse_profile)
    return CapacitySpec(
        profiles=profiles,
        slo_ms=limits,
        attainment=attainment,
        overflow_at_most=reader.quantity(section, "capacity.overflow_at_most", "1%", parse_share),
        headroom=reader.quantity(section, "capacity.headroom", "15%", parse_share),
        lever=lever,
        warmup_s=reader.quantity(section, "capacity.warmup", "60s", parse_limited_s),
        probe_s=reader.above_zero(section, "capacity.probe", "120s", parse_limited_s),
    )


def read_quality(reader: Reader, value: Any) -> QualitySpec:
    """`quality`: margins, judges and labels."""
    section = reader.section(value, "quality", ("margins", "latency", "judges", "labels", "shadow"))
    labels = reader.section(section.get("labels", {}), "quality.labels", ("rate", "at_most"))
    latency = reader.quantities(section, "quality.latency", DEFAULT_LATENCY, parse_share)
    for name, growth in latency.items():
        if not KNOWN_LATENCY.fullmatch(name):
            reader.blame(f"quality.latency.{name}", "unknown metric", "known: ttft_p1 to ttft_p99")
        elif growth <= 0 and f"quality.latency.{name}" not in reader.blamed:
            reader.blame(f"quality.latency.{name}", "must be above 0: no growth at all can never be shown")
    if not latency and section.get("latency") == {}:
        reader.blame("quality.latency", "names no metric, so it shows nothing", "latency: {ttft_p90: 10%}")
    return QualitySpec(
        margins=_read_margins(reader, section),
        latency=latency,
        judges=reader.names(section, "judges", (), "quality"),
        label_rate=reader.above_zero(labels, "quality.labels.rate", "10%", parse_share),
        labels_at_most=reader.count(labels, "quality.labels.at_most", 800),
        shadow_share=reader.above_zero(section, "quality.shadow", "100%", parse_share),
    )


def _read_slo(reader: Reader, section: Mapping[str, Any]) -> tuple[dict[str, float], float | None]:
    """Limits in ms by metric, and the share that must keep them; null: each metric's own percentile."""
    value = section.get("slo", {"ttft_p95": "2s"})
    slo = dict(value) if isinstance(value, Mapping) else {}
    attainment = None
    if "attainment" in slo:
        share = {"attainment": slo.pop("attainment")}
        attainment = reader.above_zero(share, "capacity.slo.attainment", None, parse_share)
    limits = reader.quantities({"slo": slo if isinstance(value, Mapping) else value}, "capacity.slo", {}, _ms)
    for name, limit in limits.items():
        if name not in KNOWN_SLO:
            reader.blame(f"capacity.slo.{name}", "unknown metric", f"known: {', '.join(sorted(KNOWN_SLO))}")
        elif limit <= 0 and f"capacity.slo.{name}" not in reader.blamed:
            reader.blame(f"capacity.slo.{name}", "must be above 0", f"{name}: 2s")
    if not limits and isinstance(value, Mapping):
        reader.blame("capacity.slo", "names no objective", "slo: {ttft_p95: 2s}")
    return limits, attainment


def _ms(value: Any) -> float:
    return 1000.0 * parse_duration_s(value)


def _read_margins(reader: Reader, section: Mapping[str, Any]) -> dict[str, float]:
    """The judged metric always has a margin: without it nothing that people label would be tested."""
    margins = reader.quantities(section, "quality.margins", DEFAULT_MARGINS, parse_margin)
    for name, margin in margins.items():
        path = f"quality.margins.{name}"
        if name not in KNOWN_MARGINS:
            reader.blame(path, "not available yet: nothing measures it", f"known: {', '.join(KNOWN_MARGINS)}")
        elif path in reader.blamed:
            continue
        elif margin <= 0:
            reader.blame(path, "must be above 0: no loss at all can never be shown", DEFAULT_MARGINS[name])
        elif margin > MOST_MARGIN:
            reader.blame(path, f"must be at most {100 * MOST_MARGIN:.0f}pt", DEFAULT_MARGINS[name])
    return {JUDGED: parse_margin(DEFAULT_MARGINS[JUDGED]), **margins}
