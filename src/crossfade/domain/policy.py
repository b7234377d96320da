"""The numbers by which an endpoint's health is judged and a request's attempts are bounded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Trip, probe and ramp rules of one endpoint (`docs/concepts/breaker.md`)."""

    consecutive_hard: int
    distinct_requests: int
    hard_share: float
    confidence: float
    min_hard: int
    windows_s: tuple[int, ...]
    open_s: float
    open_cap_s: float
    long_open_s: float
    long_open_after: int
    jitter: float
    probe_successes: int
    ramp_shares: tuple[float, ...]
    ramp_outcomes: tuple[int, ...]
    ramp_dwell_s: float
    ramp_patience_s: float
    ramp_hard_share: float
    slow_share: float
    slow_confidence: float
    min_slow: int
    slow_windows_s: tuple[int, ...]
    slow_entry_share: float
    ramp_slow_share: float
    down_slow_share: float
    down_overload_share: float
    ramp_dwell_cap_s: float
    shortage_share: float
    shortage_min: int
    shortage_window_s: int
    shortage_used_share: float
    probe_hedge_ms: int
    canary_after_s: float
    forgive_s: float  # closed for so long takes back one of the openings that lengthen the next
    ramp_hard_run: int
    ramp_confidence: float  # a little less strict than for a closed breaker: it has failed before
    ramp_patient_outcomes: int
    quarantine_after: int
    quarantine_within_s: float
    quarantine_s: float
    pushback_ms: int  # the wait of whoever says "too much" without saying for how long
    pushback_cap_s: float
    group_openings: int
    group_within_s: float
    group_traffic: float
    group_share: float
    group_cleared_share: float


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Per attempt, except `total_ms`: the request's own. None outlives the request's remainder."""

    connect_ms: int
    header_ms: int
    first_content_ms: int  # the longest; learnt baselines shorten it to factor x p99, not below the floor
    first_content_floor_ms: int
    first_content_factor: float
    baseline_answers: int  # so many show what is normal
    liveness_ms: int
    progress_ms: int
    ping_progress_ms: int  # the same while the provider sends keep-alives
    total_ms: int


@dataclass(frozen=True, slots=True)
class Attempts:
    """Budget of one request, and the retry budget of its feature and endpoint."""

    max_attempts: int
    same_endpoint_retries: int
    retry_within_ms: int
    retry_ratio: float
    retry_reserve_per_s: float
    retry_ttl_s: float
    pushback_wait_ms: int
    trickle_per_s: float  # while every endpoint is open; or a share of the demand, if that is more
    trickle_share: float
