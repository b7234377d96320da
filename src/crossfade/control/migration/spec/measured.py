"""The steps before the rollout: `compliance`, `capacity` and `quality` of a migration file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossfade.config.quantity import parse_duration_s, parse_profile, parse_share
from crossfade.control.migration.spec.reader import Reader, parse_margin
from crossfade.domain.migration_spec import CapacitySpec, ComplianceSpec, QualitySpec

DEFAULT_MARGINS = {"rubric": "5pt", "schema": "1pt", "refusals": "0.5pt"}
DEFAULT_LATENCY = {"ttft_p50": "10%", "ttft_p90": "10%"}
KNOWN_SLO = frozenset({"ttft_p50", "ttft_p90", "ttft_p95", "ttft_p99", "e2e_p50", "e2e_p90", "e2e_p95"})


def read_compliance(reader: Reader, value: Any) -> ComplianceSpec:
    """`compliance`: who signs, for how long."""
    section = reader.section(value, "compliance", ("signoffs", "expires"))
    return ComplianceSpec(
        signoffs=reader.names(section, "signoffs", (), "compliance"),
        expires_s=reader.quantity(section, "compliance.expires", "90d", parse_duration_s),
    )


def read_capacity(reader: Reader, value: Any) -> CapacitySpec:
    """`capacity`: which load must be carried, how well."""
    known = ("profiles", "slo", "overflow_at_most", "headroom", "lever", "warmup", "probe")
    section = reader.section(value, "capacity", known)
    slo = dict(section.get("slo", {"ttft_p95": "2s"})) if isinstance(section.get("slo", {}), Mapping) else {}
    attainment = reader.quantity(
        {"attainment": slo.pop("attainment", "95%")}, "capacity.slo.attainment", None, parse_share
    )
    limits = reader.quantities({"slo": slo}, "capacity.slo", {}, lambda v: 1000.0 * parse_duration_s(v))
    for name in limits:
        if name not in KNOWN_SLO:
            reader.blame(f"capacity.slo.{name}", "unknown metric", f"known: {', '.join(sorted(KNOWN_SLO))}")
    lever = section.get("lever")
    if lever is not None and not (isinstance(lever, str) and lever.startswith(("http://", "https://"))):
        reader.blame("capacity.lever", "must be an http(s) URL", 'it takes PUT {"units": n}')
        lever = None
    profiles = reader.names(section, "profiles", ("recorded",), "capacity")
    for name in profiles:
        reader.quantity({"profiles": name}, "capacity.profiles", None, parse_profile)
    return CapacitySpec(
        profiles=profiles,
        slo_ms=limits,
        attainment=attainment,
        overflow_at_most=reader.quantity(section, "capacity.overflow_at_most", "1%", parse_share),
        headroom=reader.quantity(section, "capacity.headroom", "15%", parse_share),
        lever=lever,
        warmup_s=reader.quantity(section, "capacity.warmup", "60s", parse_duration_s),
        probe_s=reader.quantity(section, "capacity.probe", "120s", parse_duration_s),
    )


def read_quality(reader: Reader, value: Any) -> QualitySpec:
    """`quality`: margins, judges and labels."""
    section = reader.section(value, "quality", ("margins", "latency", "judges", "labels", "shadow"))
    labels = reader.section(section.get("labels", {}), "quality.labels", ("rate", "at_most"))
    return QualitySpec(
        margins=reader.quantities(section, "quality.margins", DEFAULT_MARGINS, parse_margin),
        latency=reader.quantities(section, "quality.latency", DEFAULT_LATENCY, parse_share),
        judges=reader.names(section, "judges", (), "quality"),
        label_rate=reader.quantity(labels, "quality.labels.rate", "10%", parse_share),
        labels_at_most=reader.count(labels, "quality.labels.at_most", 800),
        shadow_share=reader.quantity(section, "quality.shadow", "100%", parse_share),
    )
