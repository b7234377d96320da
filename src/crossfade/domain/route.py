"""Where a feature's requests may go, and by which rules: parts of the snapshot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

JsonScalar: TypeAlias = str | int | float | bool | None
LARGEST_INT = 2**53 - 1  # whole numbers that every JSON reader takes for what they are


def refuse_scalar(value: JsonScalar) -> str:
    """Why a value cannot be sent to a provider as a parameter; empty if it can."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"is no number: {value}"
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        return f"must be a number between -{LARGEST_INT} and {LARGEST_INT}"
    if isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
        return "holds half of a character"
    return ""


# Where a number means something at any provider; a narrower range is the provider's to refuse.
RANGES = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "max_tokens": (1, LARGEST_INT),
    "max_completion_tokens": (1, LARGEST_INT),
}


def refuse_parameter(name: str, value: JsonScalar) -> str:
    """Why a value cannot be meant for this parameter of a request; empty if it can."""
    refusal = refuse_scalar(value)
    if refusal or value is None or name not in RANGES:
        return refusal
    low, high = RANGES[name]
    kinds, what = ((int,), "a whole number") if isinstance(low, int) else ((int, float), "a number")
    if isinstance(value, bool) or not isinstance(value, kinds):
        return f"must be {what}, is {value!r}"
    if low <= value <= high:
        return ""
    return (
        f"must be at least {low}"
        if high == LARGEST_INT
        else f"must be between {low:g} and {high:g}, is {value:g}"
    )


class Choose(StrEnum):
    """How a pool picks among its healthy endpoints (`in-order`: as listed).

    `fastest`: least expected time to first content; `cheapest`: least expected cost; both put bought
    capacity first. `affinity`: whose prompt cache has seen the prompt's stable part.
    """

    IN_ORDER = "in-order"
    WEIGHTED = "weighted"
    FASTEST = "fastest"
    CHEAPEST = "cheapest"
    AFFINITY = "affinity"


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    cache_read: float
    cache_write: float
    output: float


@dataclass(frozen=True, slots=True)
class Pool:
    """Interchangeable endpoints of one model.

    `explore`, `penalty_ms`, `memory_s` are for `fastest`: the share of requests that try another than
    the first, what a failure counts beside the time, and after how long an answer weighs 1/e; of more
    than `compared` endpoints, so many are drawn. `load_bound`, `busy_at` are for `affinity`: how far above
    its share of the requests under way, and of its capacity, an endpoint keeps its prefixes.
    """

    endpoints: tuple[str, ...]
    choose: Choose
    explore: float
    penalty_ms: float
    memory_s: float
    load_bound: float
    busy_at: float
    compared: int


@dataclass(frozen=True, slots=True)
class Target:
    """A pool and the request fields it overrides (`set`, top-level OpenAI Chat names)."""

    pool: str
    set: dict[str, JsonScalar]


@dataclass(frozen=True, slots=True)
class Span:
    """A range of whole numbers, both ends included; null = open."""

    at_least: int | None
    at_most: int | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a request looks like; null does not matter. `media`: an image, sound or file in the prompt.

    A request that does not limit its output may write any number of tokens.
    """

    input_tokens: Span | None
    output_tokens: Span | None
    tools: bool | None
    media: bool | None
    stream: bool | None


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests of this shape go to this hierarchy instead of the feature's own."""

    when: Shape
    hierarchy: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Signal:
    """What control has measured of an endpoint: until then only `share` of a feature's requests ask it first.

    The others ask it last, so no request is lost by it; where no other is well nothing changes. It is not
    for a rollout's or experiment's requests, which stay where they were assigned.
    """

    endpoint: str
    share: float
    until_unix_s: int
    reason: str
