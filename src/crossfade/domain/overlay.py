"""What a migration lays over a feature's configured route."""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.domain.snapshot import Rollout, Shadow


@dataclass(frozen=True, slots=True)
class FeatureOverlay:
    """Live rollout and shadow of a feature, and endpoints that are eligible beside its own."""

    rollout: Rollout | None
    shadow: Shadow | None
    extra_eligible: tuple[str, ...]
