"""What came of what the controller did: on the gateways, in a rollback, in a collection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from crossfade.control.evidence.gateway_admin import AdminError
from crossfade.control.migration import rollout
from crossfade.control.migration.gates import GateInput
from crossfade.control.migration.guard.verdict import decide_guards
from crossfade.control.migration.ports import Candidate, CollectError, GatewayAdmin, Task
from crossfade.domain.evidence import SignedEvidence
from crossfade.domain.migration import (
    Action,
    Advance,
    Collect,
    GateVerdict,
    GatewayView,
    MigrationState,
    RollBack,
    StageCounts,
)
from crossfade.domain.overlay import FeatureOverlay

LOGGED_WITHIN_S = 2.0  # a database or a disk that takes longer is not waited for by a rollback
_STAGES = TypeAdapter(list[StageCounts])  # `asdict` costs ten times as much

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RollBackResult:
    """`seconds` until every gateway in sight showed share 0 (`is_zero`), or until waiting ended.

    `cut`: by gateway, calls under way that a hard rollback cut; `uncut`: gateways where it did not cut all.
    `unlogged`: why the log could not be written or read; then the kill switches of `killed` were pulled
    instead, and the log gets it later if it `is_set_aside`.
    """

    is_zero: bool
    seconds: float
    gateways: tuple[str, ...]
    missing: tuple[str, ...]
    version: int
    cut: dict[str, int] = field(default_factory=dict)
    uncut: tuple[str, ...] = ()
    unlogged: str = ""
    killed: tuple[str, ...] = ()
    is_set_aside: bool = False


async def pull_kill_switches(
    admin: GatewayAdmin, features: tuple[str, ...], why: str, views: Sequence[GatewayView]
) -> RollBackResult:
    """The way back that needs no log: each gateway's own switch, which holds until a person releases it.

    A gateway in sight that sends traffic to the candidate, and whose admin port is not known, is missing.
    """
    known = tuple(admin.names())
    unknown = [
        view.name
        for view in views
        if view.name not in known and any(effect.candidate_share for effect in view.effects)
    ]
    # At once: one that does not answer delays no other.
    pulled = await asyncio.gather(*(is_pulled(admin, name, features) for name in known))
    killed = tuple([name for name, is_done in zip(known, pulled, strict=True) if is_done])
    missing = (*unknown, *(name for name in known if name not in killed))
    is_zero = bool(killed) and not missing
    return RollBackResult(is_zero, 0.0, (*killed, *missing), missing, 0, unlogged=why, killed=killed)


async def is_pulled(admin: GatewayAdmin, gateway: str, features: Iterable[str]) -> bool:
    """Pull a gateway's switches of these features, at once; whether its engine shows share 0 of each then."""

    async def pull(feature: str) -> bool:
        try:
            await admin.kill(gateway, feature, is_killed=True)
            return not await admin.share(gateway, feature)
        except AdminError as error:
            log.warning("kill switch of %s on gateway %s was not pulled: %s", feature, gateway, error)
            return False

    return all(await asyncio.gather(*(pull(feature) for feature in features)))


def counted(state: MigrationState, stages: tuple[StageCounts, ...]) -> dict[str, Any]:
    """Live counts as a line of the log, with the guard nearest to a rollback."""
    nearest = decide_guards(replace(state, counts=stages)).nearest
    return {
        "epoch": state.epoch,
        "share": state.share,
        "guard": nearest.plan.name,
        "e_value": min(nearest.e_value, 1e300),  # JSON has no infinity
        "limit": 1.0 / nearest.plan.alpha,
        "stages": _STAGES.dump_python(list(stages)),
    }


async def cut_calls(
    admin: GatewayAdmin, wanted: Mapping[str, Iterable[str]], gateways: Iterable[str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Cut what is under way at the candidate, at once: how much by gateway, and where not all of it was.

    `wanted`: which features at which gateway; one of `gateways` that is not among them was not reached.
    """

    async def cut(gateway: str, feature: str) -> int | None:
        try:
            return await admin.cut(gateway, feature)
        except AdminError as error:
            log.warning("calls of %s at gateway %s were not cut: %s", feature, gateway, error)
            return None

    pairs = [(gateway, feature) for gateway, features in wanted.items() for feature in features]
    counts = await asyncio.gather(*(cut(gateway, feature) for gateway, feature in pairs))
    done: dict[str, int] = {}
    unreached = [gateway for gateway in gateways if gateway not in wanted]
    for (gateway, _), count in zip(pairs, counts, strict=True):
        if count is None:
            unreached.append(gateway)
        else:
            done[gateway] = done.get(gateway, 0) + count
    return done, tuple(dict.fromkeys(unreached))


async def keep_aside(writing: asyncio.Task[None], migration: str) -> bool:
    """Whether a line is on this machine's disk. A disk that hangs is not waited for: the way back goes on."""
    await asyncio.wait({writing}, timeout=LOGGED_WITHIN_S)
    error = writing.exception() if writing.done() else None
    if writing.done() and error is None:
        return True
    why = repr(error) if error is not None else f"the disk did not take it within {LOGGED_WITHIN_S:.0f} s"
    log.error("the rollback of %s could not be set aside, and is done all the same: %s", migration, why)
    return False


@dataclass(slots=True)
class Progress:
    """The latest line of a collection under way."""

    text: str = "started"

    def say(self, text: str) -> None:
        """Replace the line."""
        self.text = text


def task_of(state: MigrationState, action: Collect, facts: Candidate, progress: Progress) -> Task:
    """What a collection is given."""
    return Task(
        spec=state.spec,
        kind=action.kind,
        subject=action.subject,
        fingerprint=facts.fingerprint,
        endpoints=facts.endpoints,
        since_unix_s=max(state.started_unix_s, state.resumed_unix_s),
        salt=state.salt,
        epoch=state.epoch,
        report=progress.say,
    )


@dataclass(slots=True)
class Running:
    """A collection under way. `seq`: the logged action it belongs to."""

    seq: int
    task: asyncio.Task[SignedEvidence]
    progress: Progress


@dataclass(frozen=True, slots=True)
class Look:
    """What the last turn saw, for status pages."""

    state: MigrationState
    action: Action
    verdicts: tuple[GateVerdict, ...]
    step: str
    given: GateInput  # what the gates were given
    progress: str | None


def is_shown(view: GatewayView, share: float, epoch: int) -> bool:
    """Whether a gateway really does what was published, asked of its engine."""
    for effect in view.effects:
        if share == 0.0 and effect.candidate_share == 0.0:
            continue
        is_lowered = effect.local_rollback is not None or effect.killed
        if effect.rollout_epoch != epoch or (effect.candidate_share != share and not is_lowered):
            return False
    return True


def not_at_zero(state: MigrationState, views: Sequence[GatewayView]) -> tuple[str, ...]:
    """Who has not shown share 0: what cannot be heard may still serve the candidate until it says so.

    Nobody in sight of a rollout that was live is no success, either.
    """
    if not views and state.rollout_began_unix_s is not None:
        return ("a gateway (none is in sight)",)
    return tuple(view.name for view in views if not is_shown(view, 0.0, state.epoch))


def shows_all(state: MigrationState, views: Iterable[GatewayView]) -> bool:
    """Whether every gateway in sight shows the share that is wanted."""
    going_up = state.pending if isinstance(state.pending, Advance) else None
    share = going_up.share if going_up is not None else state.share
    if share == 0.0 and not isinstance(state.pending, RollBack):
        return True
    return all(is_shown(view, share, state.epoch) for view in views)


@dataclass(slots=True)
class Wanted:
    """`rollout.wanted_overlay`, remembered: it moves with the log's lines and the config only."""

    place: tuple[int, tuple[str, ...]] | None = None
    found: FeatureOverlay | None = None

    def overlay(self, state: MigrationState, endpoints: tuple[str, ...]) -> FeatureOverlay | None:
        """What must lie over each feature in this state."""
        place = (state.last_seq, endpoints)
        if place != self.place:
            self.place, self.found = place, rollout.wanted_overlay(state, endpoints)
        return self.found


def outcome_of(task: asyncio.Task[SignedEvidence]) -> dict[str, Any]:
    """What a finished collection came to, as a payload.

    A collector's bug must not stop the guards, so any error of its task ends up in the log.
    """
    if task.cancelled():
        return {"error": "cancelled"}
    error = task.exception()
    if error is None:
        record = task.result().evidence
        return {"evidence_id": record.evidence_id, "verdict": record.verdict.value}
    text = str(error) if isinstance(error, CollectError | AdminError) else f"{type(error).__name__}: {error}"
    return {"error": text}
