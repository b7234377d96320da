"""The rollback drill: the way back is walked on every gateway before it is needed.

Share 0, then a small share, the local kill switch of each gateway, then 0 again; each is read
back from the gateways' engines, and the last one is timed. The small share is live for as long as
the drill takes (about a second); every gate before the drill has passed by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

from crossfade.control.migration.ports import (
    Clock,
    CollectError,
    CountersPort,
    Pause,
    PublisherPort,
    Task,
)
from crossfade.control.migration.rollout import live_rollout
from crossfade.domain.evidence import Verdict
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.snapshot import Target

DRILL_SHARE = 0.01
ZERO_WITHIN_S = 5.0  # slower than this, a rollback is not a rollback
SEEN_WITHIN_S = 5.0  # counters come every second
LOOK_S = 0.05
ACTOR = "drill"


class GatewayAdmin(Protocol):
    """The gateways' own admin ports, as far as they are known."""

    def names(self) -> tuple[str, ...]:
        """Gateways whose admin address is known."""
        ...

    async def kill(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """Pull or release the local kill switch. Raises `CollectError` if the gateway refuses."""
        ...


@dataclass(frozen=True, slots=True)
class DrillParts:
    """What a drill moves and reads."""

    publisher: PublisherPort
    counters: CountersPort
    admin: GatewayAdmin
    clock: Clock
    pause: Pause


@dataclass(frozen=True, slots=True)
class DrillResult:
    """`observed` as in `EvidenceKind.DRILL`."""

    verdict: Verdict
    observed: dict[str, Any]


async def run_drill(parts: DrillParts, task: Task) -> DrillResult:
    """Walk it; whatever happens, the last thing published is share 0.

    Raises:
        CollectError: if a gateway did not follow in time.
    """
    gateways = tuple(view.name for view in parts.counters.views(task.spec.features))
    if not gateways:
        raise CollectError("no gateway is in sight (hint: start one)")
    shares: list[dict[str, Any]] = []
    kill_switch_s: dict[str, float] = {}
    try:
        shares.append(await _set_share(parts, task, 0.0))
        task.report(f"at {DRILL_SHARE:.0%} on {len(gateways)} gateways")
        shares.append(await _set_share(parts, task, DRILL_SHARE))
        for name in parts.admin.names():
            kill_switch_s[name] = await _pull_kill_switch(parts, task, name)
    finally:
        last = await _set_share(parts, task, 0.0)
    shares.append(last)
    seconds = float(last["seconds"])
    is_fast = seconds <= ZERO_WITHIN_S
    observed = {
        "seconds_to_zero": seconds,
        "gateways": list(gateways),
        "kill_switch_s": kill_switch_s,
        "kill_switch_unreached": sorted(set(gateways) - set(kill_switch_s)),
        "shares": shares,
        "reason": f"zero on {len(gateways)} gateways after {seconds:.3f} s",
        "needs": f"zero within {ZERO_WITHIN_S:g} s",
        "has": f"{seconds:.3f} s",
    }
    return DrillResult(Verdict.PASS if is_fast else Verdict.FAIL, observed)


async def _set_share(parts: DrillParts, task: Task, share: float) -> dict[str, Any]:
    target = Target(pool=task.spec.candidate, set={})
    live = live_rollout(task.spec.name, task.epoch, task.salt, share, target)
    overlay = FeatureOverlay(rollout=live, shadow=None, extra_eligible=task.endpoints)
    change: dict[str, FeatureOverlay | None] = dict.fromkeys(task.spec.features, overlay)
    began = parts.clock()
    publishing = parts.publisher.publish(change, actor=ACTOR, reason=f"drill: share {share:.0%}")
    published = await asyncio.shield(asyncio.create_task(publishing))
    if not published.verified:
        missing = ", ".join(published.missing) or "a gateway"
        raise CollectError(f"{missing} did not follow to share {share:.0%} (hint: check that gateway)")
    return {"share": share, "seconds": parts.clock() - began, "version": published.version}


async def _pull_kill_switch(parts: DrillParts, task: Task, gateway: str) -> float:
    """Seconds until the gateway's own counters show every feature killed; released afterwards."""
    began = parts.clock()
    try:
        for feature in task.spec.features:
            await parts.admin.kill(gateway, feature, is_killed=True)
        pulled_s = parts.clock() - began
        await _until_killed(parts, task, gateway, is_killed=True)
    finally:
        for feature in task.spec.features:
            await parts.admin.kill(gateway, feature, is_killed=False)
    await _until_killed(parts, task, gateway, is_killed=False)
    return pulled_s


async def _until_killed(parts: DrillParts, task: Task, gateway: str, *, is_killed: bool) -> None:
    deadline = parts.clock() + SEEN_WITHIN_S
    while parts.clock() < deadline:
        states = [
            effect.killed
            for view in parts.counters.views(task.spec.features)
            if view.name == gateway
            for effect in view.effects
        ]
        if states and all(state is is_killed for state in states):
            return
        await parts.pause(LOOK_S)
    wanted = "killed" if is_killed else "released"
    raise CollectError(f"gateway {gateway} does not show the features {wanted} (hint: see its /admin/state)")


@dataclass(frozen=True, slots=True)
class HttpGatewayAdmin:
    """Kill switches over HTTP. `urls`: gateway name to the base URL of its admin port."""

    urls: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """See `GatewayAdmin`."""
        return tuple(self.urls)

    async def kill(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """See `GatewayAdmin`."""
        method = "PUT" if is_killed else "DELETE"
        url = f"{self.urls[gateway].rstrip('/')}/admin/kill/{feature}"
        try:
            async with httpx2.AsyncClient(timeout=SEEN_WITHIN_S) as client:
                answer = await client.request(method, url)
        except httpx2.HTTPError as error:
            raise CollectError(
                f"{method} {url}: {error} (hint: is that gateway's admin port right?)"
            ) from error
        if answer.status_code >= 300:
            raise CollectError(
                f"{method} {url} answered {answer.status_code} (hint: check that gateway's admin port)"
            )
