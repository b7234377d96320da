"""The rollback drill: the way back is walked on every gateway before it is needed.

Share 0, then a small share, 0 without the flag system, the local kill switch of each gateway, one
gateway that control can neither tell nor hear, all of them at once (what a dead control looks like),
then 0 again, timed. Each step is read back from the gateways' engines. The small share is live for as
long as the drill takes (some seconds); every gate before the drill has passed by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from crossfade.control.migration.ports import (
    Clock,
    CollectError,
    CountersPort,
    GatewayAdmin,
    Pause,
    Published,
    PublisherPort,
    Task,
)
from crossfade.control.migration.rollout import live_rollout
from crossfade.domain.evidence import Verdict
from crossfade.domain.overlay import FeatureOverlay
from crossfade.version import __version__

DRILL_SHARE = 0.01
ZERO_WITHIN_S = 5.0  # slower than this, a rollback is not a rollback
SEEN_WITHIN_S = 5.0  # counters come every second
LOOK_S = 0.05
ACTOR = "drill"


class Isolation(Protocol):
    """Keeps control from telling and hearing gateways, as a broken network would."""

    def cut_off(self, gateways: Collection[str]) -> None:
        """From now on nothing reaches these from control, and nothing they say arrives."""
        ...

    def heal(self) -> None:
        """The network is whole again."""
        ...


class FlagIsolation(Protocol):
    """Keeps control from reading the flag system, if there is one."""

    def bound(self, migration: str) -> object | None:
        """Null where there is none."""
        ...

    def cut_off(self) -> None:
        """It cannot be reached."""
        ...

    def heal(self) -> None:
        """It can again."""
        ...


@dataclass(frozen=True, slots=True)
class DrillParts:
    """What a drill moves and reads."""

    publisher: PublisherPort
    counters: CountersPort
    admin: GatewayAdmin
    isolation: Isolation
    flags: FlagIsolation
    clock: Clock
    pause: Pause


@dataclass(frozen=True, slots=True)
class DrillResult:
    """`observed` as in `EvidenceKind.DRILL`."""

    verdict: Verdict
    observed: dict[str, Any]


@dataclass(slots=True)
class Walk:
    """What has been done so far."""

    shares: list[dict[str, Any]] = field(default_factory=list)
    kill_switch_s: dict[str, float] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, said: str) -> None:
        """A case that was walked and held."""
        self.cases.append({"name": name, "said": said})


async def run_drill(parts: DrillParts, task: Task) -> DrillResult:
    """Walk it; whatever happens, the network is healed and the last thing published is share 0.

    Raises:
        CollectError: if a gateway did not follow in time, or not as it must when control is away.
    """
    gateways = tuple(view.name for view in parts.counters.views(task.spec.features))
    if not gateways:
        raise CollectError("no gateway is in sight (hint: start one)")
    walk = Walk()
    try:
        walk.shares.append(await _set_share(parts, task, 0.0))
        task.report(f"at {DRILL_SHARE:.0%} on {len(gateways)} gateways")
        walk.shares.append(await _set_share(parts, task, DRILL_SHARE))
        await _walk_cases(parts, task, walk, [name for name in parts.admin.names() if name in gateways])
    finally:
        parts.isolation.heal()
        parts.flags.heal()
        last = await _set_share(parts, task, 0.0)
    walk.shares.append(last)
    seconds = float(last["seconds"])
    is_fast = seconds <= ZERO_WITHIN_S
    observed = {
        "software": __version__,
        "seconds_to_zero": seconds,
        "gateways": list(gateways),
        "kill_switch_s": walk.kill_switch_s,
        "kill_switch_unreached": sorted(set(gateways) - set(walk.kill_switch_s)),
        "cases": walk.cases,
        "shares": walk.shares,
        "reason": f"zero on {len(gateways)} gateways after {seconds:.3f} s, {len(walk.cases)} cases",
        "needs": f"zero within {ZERO_WITHIN_S:g} s",
        "has": f"{seconds:.3f} s",
    }
    return DrillResult(Verdict.PASS if is_fast else Verdict.FAIL, observed)


async def _walk_cases(parts: DrillParts, task: Task, walk: Walk, reached: list[str]) -> None:
    """From the small share: kill switches, one gateway cut off, control away from all of them.

    `reached`: gateways in sight whose admin port is known.
    """
    if parts.flags.bound(task.spec.name) is not None:
        parts.flags.cut_off()
        walk.shares += [await _set_share(parts, task, 0.0), await _set_share(parts, task, DRILL_SHARE)]
        parts.flags.heal()
        walk.add("flag system unreachable", "share 0 on every gateway without it")
    for name in reached:
        walk.kill_switch_s[name] = await _pull_kill_switch(parts, task, name)
    if not reached:
        return
    walk.add("kill switch", f"share 0 at once on {', '.join(reached)}")
    task.report(f"{reached[0]} cut off from control")
    await _cut_off_one(parts, task, reached[0])
    walk.add("one gateway cut off", f"{reached[0]}: reported as missing, killed locally, caught up")
    task.report("control away from every gateway")
    walk.shares.append(await _set_share(parts, task, DRILL_SHARE))
    parts.isolation.cut_off(reached)
    for name in reached:
        await _kill_locally(parts, task, name)
    parts.isolation.heal()
    walk.add("control dead", f"served on at {DRILL_SHARE:.0%}, killed locally, on {', '.join(reached)}")


async def _cut_off_one(parts: DrillParts, task: Task, gateway: str) -> None:
    """It must be missed by a rollback, serve on as before, obey its own switch, and catch up."""
    parts.isolation.cut_off([gateway])
    published = await _publish(parts, task, 0.0)
    if published.verified or gateway not in published.missing:
        raise CollectError(f"{gateway} was cut off and not missed (hint: is another control its master?)")
    await _kill_locally(parts, task, gateway)
    parts.isolation.heal()
    deadline = parts.clock() + SEEN_WITHIN_S
    while await parts.admin.share(gateway, task.spec.features[0]):
        if parts.clock() >= deadline:
            raise CollectError(f"{gateway} did not catch up after it was cut off (hint: see its log)")
        await parts.pause(LOOK_S)


async def _kill_locally(parts: DrillParts, task: Task, gateway: str) -> None:
    """Asked of the gateway itself: it serves on, its switch takes the share away and gives it back."""
    for feature in task.spec.features:
        shares = [await parts.admin.share(gateway, feature)]
        try:
            await parts.admin.kill(gateway, feature, is_killed=True)
            shares.append(await parts.admin.share(gateway, feature))
        finally:
            await parts.admin.kill(gateway, feature, is_killed=False)
        if shares != [DRILL_SHARE, 0.0]:
            said = " then ".join(f"{share:.0%}" for share in shares)
            raise CollectError(
                f"{gateway} without control: {feature} at {said}, not {DRILL_SHARE:.0%} then 0%"
            )


async def _set_share(parts: DrillParts, task: Task, share: float) -> dict[str, Any]:
    began = parts.clock()
    published = await _publish(parts, task, share)
    if not published.verified:
        missing = ", ".join(published.missing) or "a gateway"
        raise CollectError(f"{missing} did not follow to share {share:.0%} (hint: check that gateway)")
    return {"share": share, "seconds": parts.clock() - began, "version": published.version}


async def _publish(parts: DrillParts, task: Task, share: float) -> Published:
    live = live_rollout(task.spec.name, task.epoch, task.salt, share, task.spec.target)
    overlay = FeatureOverlay(rollout=live, shadow=None, extra_eligible=task.endpoints)
    change: dict[str, FeatureOverlay | None] = dict.fromkeys(task.spec.features, overlay)
    publishing = parts.publisher.publish(change, actor=ACTOR, reason=f"drill: share {share:.0%}")
    return await asyncio.shield(asyncio.create_task(publishing))


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
