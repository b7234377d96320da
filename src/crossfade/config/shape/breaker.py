"""The shape of an endpoint's `breaker:`."""

from __future__ import annotations

from pydantic import Field

from crossfade.config.quantity import DurationS, Share
from crossfade.config.shape.section import Section
from crossfade.domain.policy import BreakerPolicy


class BreakerSection(Section):
    """When an endpoint's breaker opens, and how it comes back."""

    consecutive_hard: int = Field(5, ge=1, description="Failures in a row that open it …")
    distinct_requests: int = Field(3, ge=1, description="… over at least so many requests.")
    hard_share: float = Field(0.10, gt=0, lt=1, description="Failure share whose lower bound opens it.")
    confidence: float = Field(0.999, gt=0.5, lt=1, description="Confidence of that bound.")
    min_hard: int = Field(4, ge=1, description="Failures needed at least.")
    windows: tuple[DurationS, ...] = Field((10.0, 30.0, 120.0), description="Windows looked at.")
    open: DurationS = Field(5.0, description="First time open; doubles.")
    open_cap: DurationS = Field(30.0, description="Longest of the first openings.")
    long_open: DurationS = Field(300.0, description="Time open after many openings.")
    long_open_after: int = Field(6, ge=1, description="How many are many.")
    jitter: float = Field(0.2, ge=0, lt=1, description="Spread of the time open.")
    probe_successes: int = Field(3, ge=1, description="Successful probes before the ramp.")
    ramp_shares: tuple[float, ...] = Field((0.02, 0.05, 0.10, 0.25, 0.50), description="Levels of the ramp.")
    ramp_outcomes: tuple[int, ...] = Field((5, 5, 10, 20, 40), description="Outcomes needed at each level.")
    ramp_dwell: DurationS = Field(10.0, description="Shortest time at a level.")
    ramp_patience: DurationS = Field(120.0, description="After this, little traffic is enough.")
    ramp_hard_share: float = Field(0.05, ge=0, lt=1, description="Failure share that still lets it climb.")

    slow_share: float = Field(0.30, gt=0, lt=1, description="Share of slow answers whose lower bound …")
    slow_confidence: float = Field(0.99, gt=0.5, lt=1, description="… at this confidence sheds load.")
    min_slow: int = Field(6, ge=1, description="Answers needed at least for that.")
    slow_windows: tuple[DurationS, ...] = Field((30.0, 120.0), description="Of `windows`, those looked at.")
    slow_entry_share: float = Field(0.25, gt=0, lt=1, description="Level a slow endpoint drops to.")
    ramp_slow_share: float = Field(0.15, ge=0, lt=1, description="Slow share that still lets it climb.")
    down_slow_share: float = Field(0.30, gt=0, le=1, description="Slow share that takes it down a level.")
    down_overload_share: float = Field(0.20, gt=0, le=1, description="Share of full answers that does.")
    ramp_dwell_cap: DurationS = Field(80.0, description="Each step down doubles the dwell, up to this.")
    shortage_share: float = Field(0.5, gt=0, le=1, description="Share of full answers that is a shortage …")
    shortage_min: int = Field(20, ge=1, description="… of at least so many attempts …")
    shortage_window: DurationS = Field(60.0, description="… within this time …")
    shortage_used_share: float = Field(0.6, gt=0, le=1, description="… while we use less of the capacity.")
    probe_hedge: DurationS = Field(1.0, description="A probe's caller goes on to a backup after this.")
    canary_after: DurationS = Field(10.0, description="Without a request to probe with, one is made up.")
    forgive: DurationS = Field(
        60.0, gt=0, description="Closed for so long takes back one doubling of `open`."
    )
    ramp_hard_run: int = Field(3, ge=1, description="Failures in a row at a level that open it again.")
    ramp_confidence: float = Field(0.99, gt=0.5, lt=1, description="Confidence of the bound at a level.")
    ramp_patient_outcomes: int = Field(3, ge=1, description="After `ramp_patience`, so many are enough.")

    quarantine_after: int = Field(2, ge=1, description="Refusals of our credential or model id …")
    quarantine_within: DurationS = Field(10.0, gt=0, description="… within this time quarantine it …")
    quarantine: DurationS = Field(60.0, gt=0, description="… for so long; then one request tries again.")
    pushback: DurationS = Field(1.0, gt=0, description='Wait after a "too much" that does not say how long.')
    pushback_cap: DurationS = Field(300.0, gt=0, description="No provider's wait is believed beyond this.")
    group_openings: int = Field(2, ge=2, description="So many endpoints of a provider, region or model …")
    group_within: DurationS = Field(30.0, gt=0, description="… that open within this time …")
    group_traffic: Share = Field(0.6, gt=0, description="… and had this share of its traffic …")
    group_share: Share = Field(0.10, gt=0, description="… take its other endpoints down to this level …")
    group_cleared_share: Share = Field(0.25, gt=0, description="… until one is back at this level.")

    def policy(self) -> BreakerPolicy:
        """The same as a value of the snapshot."""
        return BreakerPolicy(
            consecutive_hard=self.consecutive_hard,
            distinct_requests=self.distinct_requests,
            hard_share=self.hard_share,
            confidence=self.confidence,
            min_hard=self.min_hard,
            windows_s=tuple(int(window) for window in self.windows),
            open_s=self.open,
            open_cap_s=self.open_cap,
            long_open_s=self.long_open,
            long_open_after=self.long_open_after,
            jitter=self.jitter,
            probe_successes=self.probe_successes,
            ramp_shares=self.ramp_shares,
            ramp_outcomes=self.ramp_outcomes,
            ramp_dwell_s=self.ramp_dwell,
            ramp_patience_s=self.ramp_patience,
            ramp_hard_share=self.ramp_hard_share,
            slow_share=self.slow_share,
            slow_confidence=self.slow_confidence,
            min_slow=self.min_slow,
            slow_windows_s=tuple(int(window) for window in self.slow_windows),
            slow_entry_share=self.slow_entry_share,
            ramp_slow_share=self.ramp_slow_share,
            down_slow_share=self.down_slow_share,
            down_overload_share=self.down_overload_share,
            ramp_dwell_cap_s=self.ramp_dwell_cap,
            shortage_share=self.shortage_share,
            shortage_min=self.shortage_min,
            shortage_window_s=int(self.shortage_window),
            shortage_used_share=self.shortage_used_share,
            probe_hedge_ms=round(self.probe_hedge * 1000),
            canary_after_s=self.canary_after,
            forgive_s=self.forgive,
            ramp_hard_run=self.ramp_hard_run,
            ramp_confidence=self.ramp_confidence,
            ramp_patient_outcomes=self.ramp_patient_outcomes,
            quarantine_after=self.quarantine_after,
            quarantine_within_s=self.quarantine_within,
            quarantine_s=self.quarantine,
            pushback_ms=round(self.pushback * 1000),
            pushback_cap_s=self.pushback_cap,
            group_openings=self.group_openings,
            group_within_s=self.group_within,
            group_traffic=self.group_traffic,
            group_share=self.group_share,
            group_cleared_share=self.group_cleared_share,
        )
