"""How many units carry a profile: probes through the gateway, moved along by `mapping`'s search.

Where software can buy units (a lever), the smallest number that meets the objective is searched.
Where it cannot, or where nothing is bought (on-demand), what is there is probed once, with the
headroom on top of the load instead of on top of the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from crossfade.control.evidence.capacity import mapping, profile
from crossfade.control.evidence.capacity.loadtest import ProbeResult, Slo, judge_probe, run_probe
from crossfade.control.evidence.gateway_client import GatewayClient
from crossfade.domain.evidence import Verdict
from crossfade.domain.route import JsonScalar

MOST_UNITS = 64
FIRST_GUESS = 4
MOST_VOID = 4  # probes in a row that the generator itself spoiled

Report = Callable[[str], None]
Move = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is measured: `factor` times the recorded profile, sent to `endpoint`, against `slo`.

    `bought`: units and their name, null for on-demand. `headroom`: what the answer must leave free.
    `per_unit_tpm`: input and output tokens a minute that a unit is said to carry, a first guess only.
    `parameters`: request fields that the candidate overrides.
    """

    endpoint: str
    recorded: profile.Profile
    factor: float
    slo: Slo
    warmup_s: float
    probe_s: float
    headroom: float
    bought: tuple[int, str] | None
    per_unit_tpm: tuple[float, float] | None
    parameters: dict[str, JsonScalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """The verdict, and `observed` as in `EvidenceKind.CAPACITY_MAPPING`."""

    verdict: Verdict
    observed: dict[str, Any]


async def search_units(client: GatewayClient, plan: LoadPlan, move: Move, report: Report) -> Measured:
    """The smallest number of units that meets the objective; afterwards the bought number stands again.

    Raises:
        LookupError: the generator cannot keep its schedule here.
    """
    bought, unit = plan.bought or (FIRST_GUESS, "unit")
    rate = plan.recorded.rate * plan.factor
    guess = bought
    if plan.per_unit_tpm is not None:
        guess = mapping.fluid_units(rate, plan.recorded.mean_tokens, plan.per_unit_tpm)
    search = mapping.Search(first_guess=min(guess, MOST_UNITS), most=MOST_UNITS)
    probes: list[ProbeResult] = []
    try:
        while isinstance(step := mapping.next_probe(search), mapping.Probe):
            report(f"probe {len(probes) + 1}: {step.units} {unit} at {rate:.1f} requests/s")
            await move(step.units)
            result = await _probe(client, plan, plan.factor, step.units)
            probes.append(result)
            if result.is_void:
                _give_up_on_lag(probes)
                continue  # said nothing about the units: measured again
            refused = result.overflowed / max(1, result.sent)
            search = mapping.after(search, step.units, result.verdict, refused)
    finally:
        await move(bought)
    observed = {
        "units": step.units,
        "unit": unit,
        "interval": list(step.interval),
        **_seen(probes, rate),
        "reason": f"{step.units or f'not even {MOST_UNITS}'} {unit} carry {rate:.1f} requests/s",
    }
    return Measured(Verdict.PASS if step.units is not None else Verdict.FAIL, observed)


async def probe_what_is_there(client: GatewayClient, plan: LoadPlan, report: Report) -> Measured:
    """One verdict on the capacity as it is, at the profile's load plus the headroom.

    Raises:
        LookupError: the generator cannot keep its schedule here.
    """
    factor = plan.factor * (1.0 + plan.headroom)
    rate = plan.recorded.rate * factor
    probes: list[ProbeResult] = []
    while not probes or probes[-1].is_void:
        _give_up_on_lag(probes)
        report(f"probe {len(probes) + 1}: {plan.endpoint} as it is at {rate:.1f} requests/s")
        probes.append(await _probe(client, plan, factor, plan.bought[0] if plan.bought else 0))
    last = probes[-1]
    observed = {
        "units": plan.bought[0] if plan.bought else None,
        "unit": plan.bought[1] if plan.bought else None,
        "interval": None,
        **_seen(probes, rate),
        "reason": f"{plan.endpoint} at {rate:.1f} requests/s, headroom included: {last.reason}",
    }
    return Measured(last.verdict, observed)


async def _probe(client: GatewayClient, plan: LoadPlan, factor: float, units: int) -> ProbeResult:
    arrivals = profile.replay(plan.recorded, factor, plan.warmup_s + plan.probe_s, seed=units)
    answers = await run_probe(client, plan.endpoint, arrivals, plan.parameters)
    judged = [
        answer for arrival, answer in zip(arrivals, answers, strict=True) if arrival.at_s >= plan.warmup_s
    ]
    return judge_probe(units, judged, plan.slo)


def _give_up_on_lag(probes: list[ProbeResult]) -> None:
    """A generator that always lags measures its own machine, and says nothing about units.

    Raises:
        LookupError: the last MOST_VOID probes were all void.
    """
    latest = probes[-MOST_VOID:]
    if len(latest) == MOST_VOID and all(probe.is_void for probe in latest):
        raise LookupError(f"{latest[-1].reason} (hint: this machine is too busy to measure a load)")


def _seen(probes: list[ProbeResult], rate: float) -> dict[str, Any]:
    return {
        "binding": "overflow" if any(probe.overflowed for probe in probes) else "first-token latency",
        "rate": rate,
        "probes": [asdict(probe) for probe in probes],
    }
