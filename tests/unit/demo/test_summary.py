"""A refused candidate is an ending whose promise is that no caller met it."""

from __future__ import annotations

import pytest

from crossfade.app.demo.summary import Facts, lines_of, promises_of
from crossfade.app.demo.traffic import Tally
from crossfade.app.demo.walk import Seen

REPORT = {"units": None, "unit": None, "rollbacks": [], "candidate_requests_harmed": 0}


@pytest.mark.parametrize("answered", [0, 1])
def test_a_refused_candidate_must_have_answered_nobody(answered):
    seen = Seen(before_signoffs=0, labels=40, refused="the gate quality_parity fails: too bad")
    facts = Facts(
        Tally(),
        seen,
        {**REPORT, "candidate_requests": answered},
        False,
        None,
        [],
        [],
        audit_ok=True,
        took_s=1.0,
    )

    kept = {promise.text: promise.is_kept for promise in promises_of(facts)}

    assert kept["no caller was answered by the refused candidate"] is (answered == 0)
    assert any("quality_parity fails: too bad (40 pairs labelled)" in line for line in lines_of(facts))
