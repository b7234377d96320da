from __future__ import annotations

import pytest

from crossfade.control.migration.report.backing import how_sure
from crossfade.domain.evidence import Evidence, EvidenceKind, Verdict


def record(kind, observed):
    return Evidence("e1", kind, "move", "new", "print", "c", "m", observed, Verdict.PASS, 0.0, 1.0, None, "c")


@pytest.mark.parametrize(
    ("kind", "observed", "said"),
    [
        (EvidenceKind.SIGNOFF, {"role": "legal"}, ""),
        (EvidenceKind.POSTURE, {"checks": [{"ok": True}, {"ok": False}]}, "1 of 2 machine checks hold"),
        (
            EvidenceKind.CAPACITY_MAPPING,
            {"interval": [4, 5], "unit": "MU", "probes": [{}, {}]},
            "4 to 5 MU needed, 2 probes",
        ),
        (EvidenceKind.CAPACITY_MAPPING, {"interval": None}, ""),
        (
            EvidenceKind.SHADOW_CONFIRMATION,
            {"requests": 299, "errors": 0},
            "at most 1.0% fail (95 % bound, 0 of 299 did)",  # the rule of three
        ),
        (
            EvidenceKind.QUALITY_PARITY,
            {"metrics": [{"name": "rubric", "estimate": -0.01, "lower": -0.04, "margin": 0.05}]},
            "rubric -0.010, at least -0.040, margin -0.050",
        ),
        (
            EvidenceKind.LATENCY_PARITY,
            {"metrics": [{"name": "ttft_p50", "ratio": 1.02, "upper": 1.08}]},
            "ttft_p50 x1.02, at most x1.08",
        ),
        (EvidenceKind.DRILL, {"seconds_to_zero": 0.62}, "share 0 after 0.62 s"),
    ],
)
def test_a_record_says_how_sure_it_is(kind, observed, said):
    assert how_sure(record(kind, observed)) == said
