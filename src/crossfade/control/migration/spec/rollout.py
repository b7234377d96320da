"""`rollout` of a migration file: stages, bakes, guards and when no share is raised."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crossfade.config.quantity import parse_share
from crossfade.control.migration.guard.plans import KNOWN
from crossfade.control.migration.spec.reader import Reader, parse_limited_s
from crossfade.domain.migration_spec import FreezeWindow, MetricSpec, RolloutSpec

DEFAULT_GUARDS = ("errors", "failovers", "rejected")
MOST_MARGIN = 0.5  # a metric that may halve, or rise by half, guards nothing
METRIC_HINT = "metrics: {orders: {direction: higher, margin: 10%}}"
MOST_ALPHA = 0.1  # one equal candidate in ten rolled back: more is not a guard but noise
MOST_ERRORS = 0.5  # an incumbent that fails more than every other caller is down, not ordinary
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOMENT = rf"({'|'.join(_DAYS)}) ([01]\d|2[0-3]):([0-5]\d)"
_WINDOW = re.compile(rf"{_MOMENT} - {_MOMENT}")


def read_rollout(reader: Reader, value: Any) -> RolloutSpec:
    """`rollout`: stages, guards, and what holds them."""
    known = (
        "stages",
        "bake",
        "guards",
        "soak",
        "at_least",
        "weak_up_to",
        "requests_per_unit",
        "keep_incumbent",
        "alpha",
        "peak",
        "freeze",
        "zone",
        "errors_at_most",
        "calm",
        "metrics",
    )
    section = reader.section(value, "rollout", known)
    guards = reader.names(section, "guards", DEFAULT_GUARDS, "rollout")
    for guard in guards:
        if guard not in KNOWN:
            reader.blame("rollout.guards", f"unknown guard `{guard}`", f"known: {', '.join(KNOWN)}")
    if "errors" not in guards:
        reader.blame("rollout.guards", "must contain `errors`", "guards: [errors]")
    return RolloutSpec(
        stages=_stages(reader, section),
        bake_s=reader.above_zero(section, "rollout.bake", "10m", parse_limited_s),
        guards=guards,
        soak_s=reader.quantity(section, "rollout.soak", "60m", parse_limited_s),
        at_least=reader.count(section, "rollout.at_least", 50),
        weak_up_to=reader.quantity(section, "rollout.weak_up_to", "25%", parse_share),
        requests_per_unit=float(reader.count(section, "rollout.requests_per_unit", 1)),
        keep_incumbent_s=reader.quantity(section, "rollout.keep_incumbent", "7d", parse_limited_s),
        alpha=_alpha(reader, section),
        needs_peak=_peak(reader, section),
        freeze=_freeze(reader, section),
        errors_at_most=_errors_at_most(reader, section),
        calm_s=reader.quantity(section, "rollout.calm", "60m", parse_limited_s),
        metrics=_metrics(reader, section),
    )


def _metrics(reader: Reader, section: Mapping[str, Any]) -> tuple[MetricSpec, ...]:
    """Business metrics that guard: `{orders: {direction: higher, margin: 10%}}`."""
    value = section.get("metrics", {})
    if not isinstance(value, Mapping):
        reader.blame("rollout.metrics", "must be a mapping of names", METRIC_HINT)
        return ()
    return tuple(_metric(reader, str(name), one) for name, one in value.items())


def _metric(reader: Reader, name: str, value: Any) -> MetricSpec:
    path = f"rollout.metrics.{name}"
    section = reader.section(value, path, ("direction", "margin"))
    direction = section.get("direction")
    if direction not in {"higher", "lower"}:
        reader.blame(f"{path}.direction", "must be `higher` or `lower`: which is better", METRIC_HINT)
    if name in KNOWN:
        reader.blame(path, "is the name of a guard", "choose another name here and under control.metrics")
    margin = reader.quantity(section, f"{path}.margin", "10%", parse_share)
    if margin > MOST_MARGIN:
        reader.blame(f"{path}.margin", f"must be at most {MOST_MARGIN:.0%}, is {margin:.0%}", METRIC_HINT)
    return MetricSpec(name, direction == "higher", min(margin, MOST_MARGIN))


def _alpha(reader: Reader, section: Mapping[str, Any]) -> float:
    alpha = reader.quantity(section, "rollout.alpha", "1%", parse_share)
    if not 0.0 < alpha <= MOST_ALPHA:
        reader.blame(
            "rollout.alpha", f"must be above 0 and at most {MOST_ALPHA:.0%}, is {alpha:.2%}", "alpha: 1%"
        )
    return alpha


def _errors_at_most(reader: Reader, section: Mapping[str, Any]) -> float:
    share = reader.quantity(section, "rollout.errors_at_most", "2%", parse_share)
    if share > MOST_ERRORS:
        said = f"must be at most {MOST_ERRORS:.0%}, is {share:.0%}"
        reader.blame("rollout.errors_at_most", said, "errors_at_most: 2%")
    return share


def _peak(reader: Reader, section: Mapping[str, Any]) -> bool:
    value = section.get("peak", "required")
    if value not in {"required", "not required"}:
        reader.blame("rollout.peak", "must be `required` or `not required`")
    return bool(value == "required")


def _freeze(reader: Reader, section: Mapping[str, Any]) -> tuple[FreezeWindow, ...]:
    zone = section.get("zone", "UTC")
    try:
        ZoneInfo(str(zone))
    except (ZoneInfoNotFoundError, ValueError):
        reader.blame("rollout.zone", f"unknown time zone {zone!r}", "zone: Europe/Berlin")
        zone = "UTC"
    windows = []
    for text in reader.names(section, "freeze", (), "rollout"):
        found = _WINDOW.fullmatch(text)
        if found is None:
            reader.blame("rollout.freeze", f"{text!r} is no window", 'freeze: ["Fri 15:00 - Mon 08:00"]')
            continue
        day_a, hour_a, minute_a, day_b, hour_b, minute_b = found.groups()
        begin = (_DAYS.index(day_a) * 24 + int(hour_a)) * 60 + int(minute_a)
        end = (_DAYS.index(day_b) * 24 + int(hour_b)) * 60 + int(minute_b)
        if begin == end:
            reader.blame("rollout.freeze", f"{text!r} has no length", 'freeze: ["Fri 15:00 - Mon 08:00"]')
            continue
        windows.append(FreezeWindow(begin, end, str(zone), text))
    return tuple(windows)


def _stages(reader: Reader, section: Mapping[str, Any]) -> tuple[float, ...]:
    value = section.get("stages", ["1%", "5%", "25%", "50%", "100%"])
    if not isinstance(value, list) or not value:
        reader.blame("rollout.stages", "must be a list of shares", "stages: [1%, 5%, 25%, 50%, 100%]")
        return (1.0,)
    stages = tuple(
        reader.quantity({str(i): item}, f"rollout.stages.{i}", None, parse_share)
        for i, item in enumerate(value)
    )
    is_rising = all(low < high for low, high in zip((0.0, *stages), stages, strict=False))
    if not is_rising or stages[-1] != 1.0:
        reader.blame("rollout.stages", "must rise and end at 100%", "stages: [1%, 5%, 25%, 50%, 100%]")
    return stages
