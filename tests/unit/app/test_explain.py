"""The story of a request says how it ended only when that is recorded."""

from __future__ import annotations

import pytest

from crossfade.app.cli.explain import tell


def attempt(index: int, endpoint: str, outcome: str = "ok", **more):
    failed = outcome not in {"ok", "cancelled"}
    return {
        "request_id": "r1", "index": index, "feature": "recap", "unit": "u1", "arm": "main", "arm_name": None,
        "snapshot_version": 3, "endpoint": endpoint, "model": f"model of {endpoint}", "role": "first",
        "reason": "primary", "next_reason": None, "outcome": outcome,
        "error_kind": "server_error" if failed else None, "error_detail": "sorry" if failed else None,
        "http_status": 500 if failed else 200, "committed": True,
        "final": True, "caller_error": False, "usage": None,
        "timings": {"total_ms": 12.0, "first_content_ms": 3.0},
    } | more  # fmt: skip


FAILED = attempt(0, "one", "hard", final=False, next_reason="failover: one failed with server_error")
SERVED_BY_ONE = "The caller was served by one (model of one)."


@pytest.mark.parametrize(("attempts", "end"), [
    ([FAILED, attempt(1, "two", role="failover")], "The caller was served by two (model of two)."),
    ([attempt(0, "one"), attempt(1, "two", "hard", final=False)], SERVED_BY_ONE),
    ([attempt(0, "one", "cancelled")], "The caller left."),
    ([attempt(0, "one", "hard", caller_error=True, committed=False)], "The caller saw an error."),
    ([attempt(0, "one", "hard", caller_error=True)], "The caller saw an error in the middle of the answer."),
])  # fmt: skip
def test_the_end_is_told_by_the_attempt_that_ended_the_request(attempts, end):
    assert tell(attempts)[-1] == end


def test_a_failure_whose_successor_is_not_recorded_yet_served_nobody():
    story = tell([FAILED])

    assert not any("served by" in line for line in story)
    assert "still under way" in story[-1]


def test_a_shadow_alone_is_no_story():
    assert tell([attempt(0, "one", role="shadow")]) == ["Only a shadow of this request was recorded."]
