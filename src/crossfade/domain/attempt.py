"""What comes up from the gateways: one record per attempt, and counters every second.

`spec/attempt-record.schema.json` and `spec/counters.schema.json` are generated from these classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OutcomeClass(StrEnum):
    """What an attempt's end means, once, for breaker, retry, record and guard alike."""

    OK = "ok"
    HARD = "hard"
    OVERLOAD = "overload"
    CONFIG = "config"
    CALLER = "caller"
    CANCELLED = "cancelled"


class ErrorKind(StrEnum):
    """The one error taxonomy over all providers."""

    RATE_LIMITED = "rate_limited"
    PROVISIONED_FULL = "provisioned_full"
    CAPACITY = "capacity"
    CAPACITY_WARMING = "capacity_warming"
    QUOTA_EXHAUSTED = "quota_exhausted"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    STREAM_INTERRUPTED = "stream_interrupted"
    EMPTY_RESPONSE = "empty_response"
    MALFORMED_OUTPUT = "malformed_output"
    AUTH = "auth"
    CONFIG = "config"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTERED = "content_filtered"
    CONFLICT = "conflict"
    CLIENT_CANCELLED = "client_cancelled"


class ArmKind(StrEnum):
    """Which side of which comparison an attempt served."""

    MAIN = "main"  # the feature's hierarchy, no comparison
    BASELINE = "baseline"  # rollout: the incumbent's equal-size control
    CANDIDATE = "candidate"  # rollout: the new side
    EXPERIMENT = "experiment"
    SHADOW = "shadow"
    PIN = "pin"  # measuring


class Role(StrEnum):
    """Why this attempt was made, in the four words and their kin."""

    FIRST = "first"
    RETRY = "retry"  # same endpoint again
    SPILLOVER = "spillover"  # sibling endpoint, because full
    FAILOVER = "failover"  # sibling or next target, because broken
    PROBE = "probe"  # half-open breaker
    SHADOW = "shadow"
    RESCUE = "rescue"  # goes on with a stream that broke


class UsageSource(StrEnum):
    """Who counted the tokens."""

    PROVIDER = "provider"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, each counted once; `output` includes `reasoning`."""

    input_uncached: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    source: UsageSource


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds since the attempt began; null where the moment never came.

    `gap_p50_ms`, `gap_max_ms`: between content events. `queue_ms`: before the attempt began.
    """

    queue_ms: float
    connect_ms: float | None
    header_ms: float | None
    first_content_ms: float | None
    gap_p50_ms: float | None
    gap_max_ms: float | None
    total_ms: float


@dataclass(frozen=True, slots=True)
class Content:
    """Captured text, only by the feature's content policy or for a shadow pair.

    `request`: the caller's body as JSON text. `response`: the answer's text.
    """

    request: str
    response: str


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try against one endpoint. `attempt_id` = `request_id` + "." + index: the idempotency key.

    `final`: the request ended with this attempt. `committed`: content reached the caller.
    `reason`: why this endpoint was chosen; `next_reason`: why another attempt followed (null: none).
    """

    attempt_id: str
    request_id: str
    index: int
    gateway: str
    snapshot_version: int
    started_unix_ms: int
    feature: str
    caller: str | None
    unit: str
    arm: ArmKind
    arm_name: str | None  # the experiment's arm, the migration, the shadow, or the main arm's rule
    share: float | None  # the candidate's share when the request was assigned
    endpoint: str
    provider: str
    region: str | None
    model: str
    capacity_class: str
    served_tier: str | None
    role: Role
    reason: str
    next_reason: str | None
    stream: bool
    outcome: OutcomeClass
    error_kind: ErrorKind | None
    error_detail: str | None  # redacted
    http_status: int | None
    provider_request_id: str | None
    pushback_ms: int | None
    committed: bool
    final: bool
    caller_error: bool  # the caller saw an error
    timings: Timings
    usage: Usage | None
    stop_reason: str | None
    max_output_tokens: int | None
    content: Content | None


@dataclass(frozen=True, slots=True)
class ArmCount:
    """Requests that ended within one second, by feature and arm.

    `hard`: the caller saw an error that was not its own fault, after all failovers, or the arm's
    own first attempt ended HARD (`first_hard`, also counted when a backup saved the request).
    `bad_units`: of those, the first of each sticky unit in each minute, which is what guards count.
    """

    feature: str
    arm: ArmKind
    arm_name: str | None
    share: float | None
    requests: int
    caller_errors: int
    first_hard: int
    bad_units: int


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """One endpoint's breaker as the gateway sees it; `share` is what the breaker admits."""

    endpoint: str
    state: str  # closed | open | half_open | quarantined
    share: float
    reason: str


@dataclass(frozen=True, slots=True)
class FeatureEffect:
    """What the gateway really does with a feature now, asked of the engine, not of the document."""

    feature: str
    candidate_share: float
    rollout_epoch: int | None
    local_rollback: str | None  # reason, when the gateway itself set the share to 0
    killed: bool


@dataclass(frozen=True, slots=True)
class Counters:
    """Sent every second. `sequence` grows by one; a gap says how many reports were lost."""

    gateway: str
    sequence: int
    unix_ms: int
    snapshot_version: int
    arms: tuple[ArmCount, ...]
    health: tuple[EndpointHealth, ...]
    effects: tuple[FeatureEffect, ...]
    records_dropped: int
    shadows_dropped: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Sent as soon as a snapshot took effect; `effects` are read back from the engine."""

    gateway: str
    snapshot_version: int
    unix_ms: int
    effects: tuple[FeatureEffect, ...]
