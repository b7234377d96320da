"""Faults put into the simulated clouds on purpose, by cloud and model, at a rate, repeatable under a seed."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from crossfade.sim.config import CLOUDS, ModelConfig
from crossfade.sim.draws import draw

FOREVER_MS = 3_600_000.0  # a stall without a length outlasts every caller


class FaultKind(StrEnum):
    """What goes wrong."""

    ERRORS = "errors"  # an HTTP error before any content; `status` chooses it
    SLOW = "slow"  # the first token comes `delay_ms` later
    STALL = "stall"  # bytes stop for `delay_ms` after `after_chunks` chunks
    CUT = "cut"  # the connection breaks after `after_chunks` chunks
    EXCEPTION = "exception"  # an error inside a 200 stream after `after_chunks` chunks
    THROTTLE = "throttle"  # 429 whatever the capacity
    DEAD = "dead"  # the connection closes without an answer
    GARBAGE = "garbage"  # bytes that are not the dialect
    EMPTY = "empty"  # 200 without any content
    FILTERED = "filtered"  # the provider's filter ends the answer after `after_chunks` chunks
    ERROR_IN_200 = "error_in_200"  # an error document where the answer should be


class Fault(BaseModel):
    """One fault as the admin API takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    rate: float = Field(default=1.0, ge=0, le=1)
    delay_ms: float | None = Field(default=None, ge=0)
    after_chunks: int = Field(default=0, ge=0)
    status: int | None = Field(default=None, ge=400, le=599)
    capacity: str = Field(default="all", pattern="^(all|provisioned|on-demand)$")


class Faults:
    """The faults in force: one for each (cloud, model); `*` stands for every cloud or model."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._faults: dict[tuple[str, str], Fault] = {}
        self._asked: dict[tuple[str, str], int] = {}

    def put(self, cloud: str, model: str, fault: Fault) -> None:
        """Set the fault of a target; its sequence of draws starts anew."""
        self._faults[cloud, model] = fault
        self._asked[cloud, model] = 0

    def clear(self, cloud: str, model: str) -> int:
        """Remove what matches, where `*` matches everything; returns how many were removed."""
        gone = [
            key
            for key in self._faults
            if cloud in {"*", key[0]} and (model in {"*", key[1]} or names(key[1], model))
        ]
        for key in gone:
            del self._faults[key]
        return len(gone)

    def listed(self) -> list[dict[str, Any]]:
        """Every fault in force."""
        return [
            {"cloud": cloud, "model": model, **fault.model_dump(mode="json", exclude_none=True)}
            for (cloud, model), fault in sorted(self._faults.items())
        ]

    def strike(self, model: ModelConfig) -> Fault | None:
        """The fault that hits this request, if any; the nearest target wins."""
        for key in self._targets(model):
            fault = self._faults[key]
            if fault.capacity != "all" and (fault.capacity == "provisioned") != model.is_provisioned:
                continue
            self._asked[key] += 1
            if draw("fault", self._seed, *key, fault.kind, self._asked[key]) < fault.rate:
                return fault
        return None

    def of_tokens(self) -> Fault | None:
        """The fault of the token endpoints, which have no models."""
        return self._faults.get(("tokens", "*"))

    def _targets(self, model: ModelConfig) -> list[tuple[str, str]]:
        matching = [
            key
            for key in self._faults
            if key[0] in {"*", model.cloud} and (key[1] == "*" or names(model.id, key[1]))
        ]
        return sorted(matching, key=lambda key: (key[1] == "*", key[0] == "*"))


def names(model_id: str, wanted: str) -> bool:
    """Whether `wanted` names the model: its whole id, or what follows the id's last slash."""
    return wanted in {model_id, model_id.rpartition("/")[2]}


def is_cloud(name: str) -> bool:
    """Whether `name` is a cloud or the wildcard."""
    return name in {"*", "tokens", *CLOUDS}
