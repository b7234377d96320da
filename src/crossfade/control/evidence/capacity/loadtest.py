"""An open-loop load test: requests are sent when they are due, whatever the answers do.

Latency counts from the intended send time, so a slow server cannot slow down its own test. A probe
whose generator lagged says nothing and is void.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from crossfade.control.evidence.capacity.profile import Arrival
from crossfade.control.evidence.gateway_client import GatewayClient, Measured
from crossfade.domain.evidence import Verdict
from crossfade.domain.route import JsonScalar
from crossfade.stats.clopper import lower_bound, upper_bound

LAG_SHARE_OF_SLO = 0.05  # a p99 schedule lag beyond 5 % of the tightest limit voids a probe
ALPHA = 0.05
GENERATOR = "crossfade.control.evidence.capacity.generator"
PEOPLE = ("Ana and Bo", "Chen and Dina", "Eli and Farah")
BYTES_PER_TOKEN = 4  # of English text, for every tokenizer in use within a tenth


@dataclass(frozen=True, slots=True)
class Limit:
    """`share` of requests must end (`is_whole`), or have their first token, within `within_ms`."""

    name: str
    within_ms: float
    share: float
    is_whole: bool

    def is_kept(self, measured: Measured) -> bool:
        """Whether this call kept it."""
        took_ms = measured.total_ms if self.is_whole else measured.ttft_ms
        return measured.ok and took_ms is not None and took_ms <= self.within_ms


@dataclass(frozen=True, slots=True)
class Slo:
    """Every limit must be kept; overflow at most so much."""

    limits: tuple[Limit, ...]
    overflow_at_most: float


def slo_of(slo_ms: Mapping[str, float], attainment: float | None, overflow_at_most: float) -> Slo:
    """The objective of a migration file: `ttft_p95` is the first token's, `e2e_p95` the whole answer's."""
    limits = tuple(
        Limit(
            name, limit_ms, attainment or int(name.rpartition("_p")[2]) / 100, is_whole=name.startswith("e2e")
        )
        for name, limit_ms in slo_ms.items()
    )
    return Slo(limits, overflow_at_most)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe. `verdict` inconclusive where neither bound clears its limit. `attained`: kept every limit.

    `is_void`: the generator lagged, so the probe says nothing.
    """

    units: int
    verdict: Verdict
    reason: str
    sent: int
    attained: int
    overflowed: int
    failed: int
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    lag_p99_ms: float
    is_void: bool = False


async def run_probe(
    client: GatewayClient,
    endpoint: str,
    arrivals: tuple[Arrival, ...],
    parameters: Mapping[str, JsonScalar],
) -> list[Measured]:
    """Send every arrival at its time to the pinned endpoint, from a process of its own; wait for all answers.

    `parameters`: what the candidate overrides in every request.

    Raises:
        LookupError: the generator ended without answers.
    """
    requests = [
        {"due_s": arrival.at_s, "body": with_parameters(body_of(arrival), parameters)} for arrival in arrivals
    ]
    plan = {**asdict(client.address), "key": client.key, "endpoint": endpoint, "requests": requests}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        GENERATOR,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        answers, problems = await process.communicate(json.dumps(plan).encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        said = problems.decode(errors="replace").strip().splitlines()[-1:]
        raise LookupError(f"the load generator ended with {process.returncode}: {''.join(said)}")
    return [Measured(**answer) for answer in json.loads(answers)]


def body_of(arrival: Arrival) -> dict[str, Any]:
    """A request of about the recorded size, made of short sentences as real sources are."""
    text = "Summarise."
    for number in itertools.count(round(1000 * arrival.at_s)):  # no two alike: caches must not help
        if len(text) >= BYTES_PER_TOKEN * arrival.input_tokens:
            break
        text += (
            f" {PEOPLE[number % len(PEOPLE)]} agreed on point {number} of the plan for the coming quarter."
        )
    body = {"model": arrival.feature, "messages": [{"role": "user", "content": text}]}
    return body if arrival.max_output_tokens is None else {**body, "max_tokens": arrival.max_output_tokens}


def with_parameters(body: dict[str, Any], parameters: Mapping[str, JsonScalar]) -> dict[str, Any]:
    """The request as the candidate would be asked. There is one limit of the answer, whatever its name."""
    if "max_completion_tokens" in parameters:
        body = {name: value for name, value in body.items() if name != "max_tokens"}
    asked = {**body, **parameters}
    prompt = asked.pop("system", None)  # no field of a chat request: its first message
    if prompt is not None:
        others = [message for message in body["messages"] if message["role"] != "system"]
        asked["messages"] = [{"role": "system", "content": prompt}, *others]
    return asked


def judge_probe(units: int, measured: list[Measured], slo: Slo) -> ProbeResult:
    """Does this number of units meet the objective? Exact one-sided 95 % bounds on every share."""
    sent = len(measured)
    kept = {limit: sum(1 for m in measured if limit.is_kept(m)) for limit in slo.limits}
    attained = sum(1 for m in measured if all(limit.is_kept(m) for limit in slo.limits))
    overflowed = sum(1 for m in measured if m.overload)
    failed = sum(1 for m in measured if not m.ok and not m.overload)
    first = sorted(m.ttft_ms for m in measured if m.ttft_ms is not None)
    lags = sorted(m.lag_ms for m in measured) or [0.0]
    lag = lags[min(len(lags) - 1, int(0.99 * len(lags)))]

    def result(verdict: Verdict, reason: str, *, is_void: bool = False) -> ProbeResult:
        p50, p95 = (first[min(len(first) - 1, int(q * len(first)))] if first else None for q in (0.5, 0.95))
        return ProbeResult(units, verdict, reason, sent, attained, overflowed, failed, p50, p95, lag, is_void)

    if lag > LAG_SHARE_OF_SLO * min(limit.within_ms for limit in slo.limits):
        reason = f"void: the generator lagged {lag:.0f} ms at p99"
        return result(Verdict.INCONCLUSIVE, reason, is_void=True)
    if sent < 30:
        return result(Verdict.INCONCLUSIVE, f"only {sent} requests")
    if lower_bound(overflowed, sent, alpha=ALPHA) > slo.overflow_at_most:
        return result(Verdict.FAIL, f"{overflowed} of {sent} were refused as too much")
    for limit, count in kept.items():
        if upper_bound(count, sent, alpha=ALPHA) < limit.share:
            said = "were whole in time" if limit.is_whole else "had their first token in time"
            return result(Verdict.FAIL, f"only {count} of {sent} {said} ({limit.name})")
    over_high = upper_bound(overflowed, sent, alpha=ALPHA)
    is_met = all(
        lower_bound(count, sent, alpha=ALPHA) >= limit.share - 3.0 / sent for limit, count in kept.items()
    )
    if over_high <= max(slo.overflow_at_most, 3.0 / sent) and is_met:
        return result(Verdict.PASS, f"{attained} of {sent} in time, {overflowed} refused")
    return result(
        Verdict.INCONCLUSIVE, f"{attained} of {sent} in time, {overflowed} refused: too close to call"
    )
