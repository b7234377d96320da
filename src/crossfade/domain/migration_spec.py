"""What a migration file asks for, checked. Shares are fractions in [0, 1], durations seconds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from crossfade.domain.route import JsonScalar, Target


@dataclass(frozen=True, slots=True)
class ComplianceSpec:
    """Roles that must sign, over those of the features' own policies."""

    signoffs: tuple[str, ...]
    expires_s: float


@dataclass(frozen=True, slots=True)
class CapacitySpec:
    """`slo_ms`: metric name (`ttft_p95`) to milliseconds. `lever`: URL that takes `PUT {"units": n}`.

    `attainment`: the share of requests that must keep each limit; null: that of the metric's name.

    A probe sends the profile for `warmup_s + probe_s` and judges what was due in its second part: a
    metered allowance starts full, so its first seconds say nothing about what it can sustain.
    """

    profiles: tuple[str, ...]
    slo_ms: dict[str, float]
    attainment: float | None
    overflow_at_most: float
    headroom: float
    lever: str | None
    warmup_s: float
    probe_s: float


@dataclass(frozen=True, slots=True)
class QualitySpec:
    """Margins are losses that are still parity (fractions); `latency`: quantile to allowed growth."""

    margins: dict[str, float]
    latency: dict[str, float]
    judges: tuple[str, ...]
    label_rate: float
    labels_at_most: int
    shadow_share: float


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """A part of every week, in minutes since Monday 00:00 of `zone`; may wrap around Sunday."""

    begin: int
    end: int
    zone: str
    text: str


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A business metric that guards: events of both arms, counted by `control.metrics.NAME` of the config.

    `is_good`: more are better. `margin`: so much worse (a fraction of the control's rate) is no harm yet.
    """

    name: str
    is_good: bool
    margin: float


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """`at_least`: candidate requests a stage needs before it may end.

    `weak_up_to`: the largest share that may be left on weak evidence without a person's `advance`.
    `requests_per_unit`: requests a sticky unit sends in a stage (design effect of the ratio check).
    `alpha`: probability that all guards together roll an equal candidate back. `needs_peak`: the
    stage before 50 % lasts until it has seen a daily peak of traffic. `freeze`: when no share is raised;
    nor is it while more than `errors_at_most` of the features' callers see an error, nor until the
    incumbent has been without trouble of its own for `calm_s`.
    """

    stages: tuple[float, ...]
    bake_s: float
    guards: tuple[str, ...]
    soak_s: float
    at_least: int
    weak_up_to: float
    requests_per_unit: float
    keep_incumbent_s: float
    alpha: float = 0.01
    needs_peak: bool = True
    freeze: tuple[FreezeWindow, ...] = ()
    errors_at_most: float = 0.02
    calm_s: float = 3600.0
    metrics: tuple[MetricSpec, ...] = ()

    def __hash__(self) -> int:
        """Of what tells two migrations apart at a glance: verdicts are remembered by it."""
        return hash((self.stages, self.guards, self.alpha))

    @property
    def watched(self) -> tuple[str, ...]:
        """Everything that guards, by name."""
        return (*self.guards, *(metric.name for metric in self.metrics))


@dataclass(frozen=True, slots=True)
class MigrationSpec:
    """A checked migration file. `incumbent` and `candidate` are pools.

    `parameters`: request fields that the candidate overrides (top-level OpenAI Chat names, and `system`,
    which stands in place of the caller's system prompt).
    """

    name: str
    features: tuple[str, ...]
    incumbent: str
    candidate: str
    compliance: ComplianceSpec
    capacity: CapacitySpec
    quality: QualitySpec
    rollout: RolloutSpec
    parameters: dict[str, JsonScalar] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """Where the candidate's requests go, and as what."""
        return Target(pool=self.candidate, set=dict(self.parameters))

    @property
    def shown_parameters(self) -> dict[str, JsonScalar]:
        """What pages and reports say of the parameters: of a prompt its hash, for it may be a secret."""
        return {
            name: _hash_of(value) if name == "system" else value for name, value in self.parameters.items()
        }


def _hash_of(prompt: JsonScalar) -> str:
    text = str(prompt)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]} ({len(text)} characters)"
