"""Quality and latency parity from pairs: judged, corrected by labels, tested with a margin."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from crossfade.control.evidence.pairs import Pair
from crossfade.control.evidence.scorers import SCORERS
from crossfade.domain.evidence import Verdict
from crossfade.stats.parity import decide_parity
from crossfade.stats.ppi import PairedSample
from crossfade.stats.quantile import Arm, QuantileTest, decide_quantile_parity

Labels = dict[str, tuple[float, float]]  # pair id -> (incumbent's score, candidate's score)


def worst(verdicts: list[Verdict]) -> Verdict:
    """All must pass; one failure fails."""
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts and all(v is Verdict.PASS for v in verdicts) else Verdict.INCONCLUSIVE


def clusters_of(pairs: list[Pair]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Integer id of each pair's sticky unit."""
    ids: dict[str, int] = {}
    return np.array([ids.setdefault(pair.unit, len(ids)) for pair in pairs], dtype=np.int64)


def rubric_parity(
    pairs: list[Pair], grades: list[tuple[float, float]], labels: Labels, margin: float
) -> dict[str, Any]:
    """The human-corrected test. `grades`: the judge's (incumbent, candidate) of each pair."""
    judged = np.array([candidate - incumbent for incumbent, candidate in grades], dtype=np.float64)
    human = np.array(
        [labels[p.pair_id][1] - labels[p.pair_id][0] if p.pair_id in labels else np.nan for p in pairs]
    )
    result = decide_parity(PairedSample(judged, human, clusters_of(pairs)), margin=margin)
    passed = [float(np.mean([pair[side] for pair in grades])) if grades else 0.0 for side in (0, 1)]
    return {"name": "rubric", **asdict(result), "judge_pass_rates": passed}


def scorer_parity(name: str, pairs: list[Pair], margin: float) -> dict[str, Any]:
    """A deterministic metric: every pair is its own label."""
    score = SCORERS[name]
    difference = np.array([score(p.candidate) - score(p.incumbent) for p in pairs], dtype=np.float64)
    sample = PairedSample(np.zeros_like(difference), difference, clusters_of(pairs))
    return {"name": name, **asdict(decide_parity(sample, margin=margin))}


def latency_parity(pairs: list[Pair], metric: str, margin: float) -> dict[str, Any]:
    """`ttft_p50` and the like: ratio of quantiles, blocks of equal time (a minute at most)."""
    timed = [p for p in pairs if p.incumbent_ttft_ms and p.candidate_ttft_ms]
    span = max(timed[-1].unix_s - timed[0].unix_s, 1.0) if timed else 1.0
    block_s = min(60.0, span / 40)
    blocks = np.array([int((p.unix_s - timed[0].unix_s) / block_s) for p in timed], dtype=np.int64)
    arms = [
        Arm(np.array(values, dtype=np.float64), blocks)
        for values in ([p.incumbent_ttft_ms for p in timed], [p.candidate_ttft_ms for p in timed])
    ]
    probability = int(metric.rpartition("_p")[2]) / 100
    result = decide_quantile_parity(arms[0], arms[1], QuantileTest(probability=probability, margin=margin))
    return {"name": metric, **asdict(result), "block_s": block_s}
