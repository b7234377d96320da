"""Quantities carry their unit: `90k`, `4s`, `2%`, `16MiB`, `6 MU`. A bare number is refused."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z%]*)\s*")
_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_COUNT = {"": 1, "k": 1_000, "M": 1_000_000}
MOST_SCALE = 100.0


def _scaled(value: Any, units: dict[str, float], what: str) -> float:
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"{value!r} is not {what}")
    return round(float(match[1]) * units[match[2]], 9)


def parse_duration_s(value: Any) -> float:
    """`4s`, `10m`, `90d` in seconds. ValueError for anything without a unit of time."""
    return _scaled(value, _DURATION_S, "a duration (hint: write a unit, such as 4s, 10m or 90d)")


def parse_share(value: Any) -> float:
    """`2%` as a fraction. ValueError without `%` or above 100 %."""
    share = _scaled(value, {"%": 0.01}, "a share (hint: write a percentage, such as 2%)")
    if share > 1:
        raise ValueError(f"{value!r} is more than 100%")
    return share


def parse_profile(value: Any) -> float:
    """By how much a traffic profile scales what was recorded: `recorded` is 1, `recorded*1.3` is 1.3."""
    kind, times, factor = str(value).partition("*")
    try:
        scale = float(factor) if times else 1.0
    except ValueError:
        scale = 0.0
    if kind.strip() != "recorded" or not 0 < scale <= MOST_SCALE:
        raise ValueError(f"{value!r} is not a profile (hint: write recorded, or recorded*1.3)")
    return scale


def parse_bytes(value: Any) -> int:
    """`16MiB` in bytes. ValueError without a unit."""
    return int(_scaled(value, dict(_BYTES), "a size (hint: write a unit, such as 64KiB or 16MiB)"))


def parse_count(value: Any) -> int:
    """`90k`, `2M` or a plain whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return int(_scaled(value, dict(_COUNT), "a count (hint: such as 600, 90k or 2M)"))


def parse_units(value: Any) -> tuple[int, str]:
    """`6 MU` as (6, "MU"). ValueError without the unit's name."""
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if match is None or not match[2] or not match[1].isdigit():
        raise ValueError(f"{value!r} is not a number of units (hint: name the unit, such as 6 MU)")
    return int(match[1]), match[2]


DurationS = Annotated[float, BeforeValidator(parse_duration_s)]
Share = Annotated[float, BeforeValidator(parse_share)]
Bytes = Annotated[int, BeforeValidator(parse_bytes)]
Count = Annotated[int, BeforeValidator(parse_count)]
Units = Annotated[tuple[int, str], BeforeValidator(parse_units)]
