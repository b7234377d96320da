"""A migration as values: what was asked for, what may be done next, and where it stands.

Shares are fractions in [0, 1], times Unix seconds, durations seconds. A state is never stored:
`control.migration.history` folds it from the event log, so that a restart cannot disagree with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeAlias

from crossfade.domain.attempt import FeatureEffect
from crossfade.domain.evidence import EvidenceKind, Verdict
from crossfade.domain.migration_spec import MigrationSpec


class Step(StrEnum):
    """Where a migration stands, as shown to people."""

    DRAFT = "draft"
    COMPLIANCE = "compliance"
    CAPACITY = "capacity"
    QUALITY = "quality"
    DRILL = "drill"
    ROLLOUT = "rollout"
    PROMOTED = "promoted"
    CLOSED = "closed"


class Exposure(StrEnum):
    """What of the features' traffic may reach the candidate. Each level includes the one before."""

    NONE = "none"  # not in any eligible set
    ELIGIBLE = "eligible"  # pinned measurements only
    SHADOW = "shadow"  # copies, answers discarded


@dataclass(frozen=True, slots=True)
class Collect:
    """Measure `kind` about `subject`; the candidate may be exposed as far as `exposure` meanwhile."""

    kind: EvidenceKind
    subject: str
    exposure: Exposure
    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """People in `roles` must act; the playbook cannot."""

    roles: tuple[str, ...]
    kind: EvidenceKind
    reason: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Set the candidate's share of stage `stage` (1 = the first). `weak`: on weak evidence."""

    share: float
    stage: int
    weak: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Change nothing. `reason` is stable while the cause lasts; `detail` may move."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RollBack:
    """Lower the share to `share`. `withdraw`: the candidate also leaves the eligible sets."""

    reason: str
    share: float = 0.0
    stage: int = 0
    withdraw: bool = False


@dataclass(frozen=True, slots=True)
class Promote:
    """The candidate becomes primary, the incumbent its backup."""

    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """Write the evidence bundle and stop driving."""

    reason: str


Action: TypeAlias = Collect | Ask | Advance | Hold | RollBack | Promote | Close


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A gate's answer with what it lacks. `until`: when a passing verdict stops holding."""

    gate: str
    verdict: Verdict
    reason: str
    needs: str = ""
    has: str = ""
    until_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class GuardCount:
    """One guard's measured requests and bad events of both arms in one stage.

    Of a sticky unit at most one bad event a minute is counted.
    """

    guard: str
    candidate_measured: int = 0
    candidate_bad: int = 0
    control_measured: int = 0
    control_bad: int = 0


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Requests and failed requests of both arms since a share was set, over the migration's features.

    A request is bad when its arm's own first attempt ended HARD (also when a backup saved it) or
    the caller saw an error that was not his fault. `guards`: what the guards count. `busiest_per_s`:
    requests per second of all arms in the stage's busiest minute.
    """

    share: float
    baseline_share: float
    candidate_requests: int = 0
    candidate_bad: int = 0
    control_requests: int = 0
    control_bad: int = 0
    guards: tuple[GuardCount, ...] = ()
    busiest_per_s: float = 0.0

    def __hash__(self) -> int:
        """Of the parts that grow: verdicts about counts are remembered, and asked for many times a turn."""
        return hash((self.share, self.candidate_requests, self.control_requests, self.control_bad))


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the incumbent did before the first stage: the line that makes an event bad.

    `limits`: by feature and guard, the control's p90 of ttft and tpot (ms) and p95 of cost (USD).
    `peak_per_s`: the busiest quarter of an hour of the last week, null if it is not known.
    `ordinary`: by feature, the shares `failed` and `bad` of an ordinary time (see `ArmHealth`).
    """

    limits: dict[str, dict[str, float]]
    peak_per_s: float | None = None
    ordinary: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArmHealth:
    """First attempts of one side of a migration, of one feature, over a stretch of time.

    `kept_away`: requests that its breakers sent elsewhere, so that it was not asked; `failed`: asked,
    and it broke or refused. `bad`: of the `answers` looked at, those malformed or refusing. `voices`:
    failed or bad, each sticky unit once a minute.
    """

    requests: int = 0
    kept_away: int = 0
    failed: int = 0
    answers: int = 0
    bad: int = 0
    voices: int = 0

    @property
    def is_spotted(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.kept_away or self.failed or self.bad)


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides' attempts while the incumbent was in trouble: shares that failed, and e-value of harm."""

    e_value: float
    candidate_failed: float
    incumbent_failed: float


@dataclass(frozen=True, slots=True)
class Incident:
    """Trouble of the incumbent itself; `ended_unix_s`: null while it lasts."""

    reason: str
    began_unix_s: float
    ended_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The latest failed attempt to collect a kind of evidence, and how many in a row."""

    kind: EvidenceKind
    subject: str
    error: str
    count: int
    unix_s: float


@dataclass(frozen=True, slots=True)
class Approvals:
    """What operators asked for and has not been used up yet, by the time of asking."""

    advance_unix_s: float | None = None
    promote_unix_s: float | None = None
    close_unix_s: float | None = None
    drill_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Folded from the event log.

    `share`, `stage`: as last verified on every gateway (a rollback counts from the moment it was
    logged). `pending`: the logged action whose effect has not been logged yet, at `pending_seq`.
    `ahead_s`: by how much the clock was set forward since the migration was last resumed.
    """

    spec: MigrationSpec
    salt: str
    started_unix_s: float
    started_by: str
    last_seq: int
    epoch: int = 1
    share: float = 0.0
    stage: int = 0
    stage_began_unix_s: float | None = None
    rollout_began_unix_s: float | None = None
    held: str | None = None
    rolled_back: str | None = None
    promoted_unix_s: float | None = None
    closed_unix_s: float | None = None
    resumed_unix_s: float = 0.0
    action: Action | None = None
    action_unix_s: float = 0.0
    pending: Action | None = None
    pending_seq: int = 0
    exposure: Exposure = Exposure.NONE
    failures: tuple[Failure, ...] = ()
    approvals: Approvals = Approvals()
    counts: tuple[StageCounts, ...] = field(default=())
    frozen: Frozen | None = None
    incident: Incident | None = None
    latest_unix_s: float = 0.0
    ahead_s: float = 0.0

    def with_counts(self, counts: tuple[StageCounts, ...]) -> MigrationState:
        """The same with these: `replace` takes four times as long, and this is done every turn."""
        values: tuple[Any, ...] = (*_before_counts(self), counts, *_after_counts(self))
        return MigrationState(*values)


_NAMES = tuple(one.name for one in fields(MigrationState))
_before_counts = attrgetter(*_NAMES[: _NAMES.index("counts")])
_after_counts = attrgetter(*_NAMES[_NAMES.index("counts") + 1 :])


@dataclass(frozen=True, slots=True)
class GatewayView:
    """One gateway: seconds since its last report, and what it really does with our features."""

    name: str
    silent_s: float
    effects: tuple[FeatureEffect, ...]


@dataclass(frozen=True, slots=True)
class Lull:
    """An arm nothing is heard of while the other is served: `expected` requests in `silent_s`."""

    arm: str
    expected: float
    silent_s: float


@dataclass(frozen=True, slots=True)
class FlagBound:
    """What an external flag allows. `at_most`: a share, as last read; null before the first reading.

    `lost`: why it cannot be read now, null while it can; `lost_s`: for how long. After `back_after_s` of
    that a share below a half goes back to 0; null = never.
    """

    at_most: float | None
    lost: str | None = None
    lost_s: float = 0.0
    back_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Observations:
    """`fingerprint`: of the candidate's endpoints, computed now. `purchased_units`: null if unknown.

    `incident`: why no share may be raised now although the candidate is not to blame. `beside`: the
    sides' attempts while the incumbent was in trouble, null if it was not. `set_back_s`: by how much the
    clock is behind the log. `flag`: null where no flag system is configured. `unread`: why a business
    metric cannot be read. `watched_s`: since when this process looks, null if always: what it never heard
    may have spoken before. `software`: the version that runs, empty if it does not matter.
    """

    fingerprint: str
    required_roles: tuple[str, ...]
    gateways: tuple[GatewayView, ...]
    purchased_units: float | None = None
    lull: Lull | None = None
    incident: str | None = None
    beside: Compared | None = None
    set_back_s: float = 0.0
    flag: FlagBound | None = None
    unread: str | None = None
    attesting_roles: tuple[str, ...] = ()
    watched_s: float | None = None
    software: str = ""
