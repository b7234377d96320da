from __future__ import annotations

import pytest

from crossfade.domain.attempt import ArmKind, AttemptRecord, OutcomeClass, Role, Timings


@pytest.fixture
def record() -> AttemptRecord:
    return AttemptRecord(
        attempt_id="r.0", request_id="r", index=0, gateway="g", snapshot_version=1, started_unix_ms=0,
        feature="recap", caller=None, unit="u", arm=ArmKind.CANDIDATE, arm_name="move", share=0.5,
        endpoint="new-1", provider="two", region=None, model="b", capacity_class="on-demand",
        served_tier=None, role=Role.FIRST, reason="", next_reason=None, stream=True,
        outcome=OutcomeClass.OK, error_kind=None, error_detail=None, http_status=200,
        provider_request_id=None, pushback_ms=None, committed=True, final=True, caller_error=False,
        timings=Timings(0.0, None, None, 100.0, None, None, 200.0), usage=None, stop_reason="stop",
        max_output_tokens=None, content=None,
    )  # fmt: skip
