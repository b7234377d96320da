"""What the controller saw this moment, as a value: the playbook's only view of the world."""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.domain.attempt import FeatureEffect


@dataclass(frozen=True, slots=True)
class GatewayView:
    """One gateway: seconds since its last report, and what it really does with our features."""

    name: str
    silent_s: float
    effects: tuple[FeatureEffect, ...]


@dataclass(frozen=True, slots=True)
class Observations:
    """`fingerprint`: of the candidate's endpoints, computed now. `purchased_units`: null if unknown."""

    fingerprint: str
    required_roles: tuple[str, ...]
    gateways: tuple[GatewayView, ...]
    purchased_units: float | None = None
