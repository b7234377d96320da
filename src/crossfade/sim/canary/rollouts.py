"""Whole rollouts through the playbook's own guards: false rollbacks, harm before true ones, incidents.

Every guard of a rollout is looked at again and again at every stage, the last without a control
included, and its totals go through the same `decide_guards` as live ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from crossfade.control.migration.guard.plans import LIMIT_QUANTILES
from crossfade.control.migration.guard.verdict import decide_guards
from crossfade.control.migration.rollout import baseline_share
from crossfade.control.migration.spec.parse import parse_spec
from crossfade.domain.migration import GuardCount, MigrationState, StageCounts

GUARDS = ("errors", "schema", "refusals", "ttft", "tpot", "judge", "thumbs", "cost")
# Bad-event rates of an ordinary feature; those beyond a frozen quantile follow from it.
RATES = {"errors": 0.005, "schema": 0.01, "refusals": 0.003, "judge": 0.12, "thumbs": 0.08}
MEASURED = {"judge": 0.05, "thumbs": 0.02}  # share of requests a sparse guard sees
STAGE_REQUESTS = 20_000  # of the whole feature: at 11 requests a second, a bake of half an hour
LOOKS = 12  # a stage, evenly

Rate = Callable[[str, float], tuple[float, float]]  # (guard, share) -> bad rate of (candidate, control)


@dataclass(frozen=True, slots=True)
class Ending:
    """`share`, `guard`: where and by whom it was rolled back, null if it was not.

    `harmed`: bad answers of the crossing guard that the candidate served until then.
    """

    share: float | None
    guard: str | None
    harmed: int
    candidate_requests: int


def base_rate(guard: str) -> float:
    """Bad rate of an ordinary control."""
    return RATES[guard] if guard in RATES else 1.0 - LIMIT_QUANTILES[guard]


def equal(guard: str, _: float) -> tuple[float, float]:
    """An identical candidate."""
    return base_rate(guard), base_rate(guard)


def run_rollout(rate: Rate, seed: int, looks: int = LOOKS) -> Ending:
    """One rollout over all stages, looked at `looks` times a stage."""
    draw = np.random.default_rng(seed)
    state = _state()
    requests = 0
    for share in state.spec.rollout.stages:
        state = replace(state, share=share, counts=(*state.counts, StageCounts(share, baseline_share(share))))
        for _ in range(looks):
            counts = _more(state.counts[-1], rate, draw, STAGE_REQUESTS // looks)
            state = replace(state, counts=(*state.counts[:-1], counts))
            crossed = decide_guards(state).crossed
            if crossed is not None:
                name = crossed.plan.name
                harmed = sum(c.candidate_bad for s in state.counts for c in s.guards if c.guard == name)
                total = requests + counts.candidate_requests
                return Ending(share, name, harmed, total)
        requests += state.counts[-1].candidate_requests
    return Ending(None, None, 0, requests)


def _state() -> MigrationState:
    document = {
        "migration": "simulated",
        "features": ["recap"],
        "incumbent": "old",
        "candidate": "new",
        "rollout": {"guards": [name for name in GUARDS if name != "judge"]},
    }
    spec = parse_spec(document)
    spec = replace(spec, rollout=replace(spec.rollout, guards=GUARDS))
    return MigrationState(spec, "salt", 0.0, "simulation", 1)


def _more(counts: StageCounts, rate: Rate, draw: np.random.Generator, requests: int) -> StageCounts:
    """The stage after `requests` more of the whole feature's."""
    known = {count.guard: count for count in counts.guards}
    candidate = int(draw.binomial(requests, counts.share))
    rest = requests - candidate
    control = (
        int(draw.binomial(rest, counts.baseline_share / (1.0 - counts.share))) if counts.share < 1 else 0
    )
    guards = []
    for name in GUARDS:
        seen = MEASURED.get(name, 1.0)
        ours, theirs = (int(draw.binomial(n, seen)) for n in (candidate, control))
        ours_bad, theirs_bad = rate(name, counts.share)
        before = known.get(name, GuardCount(name))
        guards.append(
            GuardCount(
                guard=name,
                candidate_measured=before.candidate_measured + ours,
                candidate_bad=before.candidate_bad + int(draw.binomial(ours, ours_bad)),
                control_measured=before.control_measured + theirs,
                control_bad=before.control_bad + int(draw.binomial(theirs, theirs_bad)),
            )
        )
    return replace(
        counts,
        candidate_requests=counts.candidate_requests + candidate,
        control_requests=counts.control_requests + control,
        guards=tuple(guards),
    )
