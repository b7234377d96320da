"""The way back of a control that has not read its log: its gateways tell it what it must know.

Each gateway says at its admin port which migration's split of which feature it carries, with the salt that
only this start of the migration has, and the epoch. So a rollback by name pulls its kill switches there, and
is set aside by salt and epoch: once the log is back it gets the line (`Alone.settle`), but not about a
migration that was resumed, or started anew under its name, meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crossfade.control.evidence.gateway_admin import AdminError
from crossfade.control.migration.effects import RollBackResult, cut_calls, is_pulled
from crossfade.control.migration.ports import AsidePort, Clock, GatewayAdmin, Pause
from crossfade.domain.snapshot import Rollout

HEARD_WITHIN_S = 5.0  # a gateway asks again two seconds after it asked in vain, and may take two to connect
WATCH_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A rollback that a person asks for. `hard`: calls under way at the candidate are cut, too."""

    migration: str
    actor: str
    reason: str
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """One gateway: the splits it carries, by feature, and whether it shows share 0 of the one in question."""

    rollouts: dict[str, Rollout]
    is_zero: bool


@dataclass(slots=True)
class Unread:
    """`heard_s`: when, by `steady`, each gateway that can reach control has told where its admin port is."""

    admin: GatewayAdmin
    aside: AsidePort
    clock: Clock
    steady: Clock
    pause: Pause
    heard_s: float

    async def roll_back(self, asked: Asked, *, why: str) -> RollBackResult:
        """Pull the kill switches wherever the migration is carried. `why`: the log cannot be read.

        Raises:
            LookupError: every gateway was asked, and none carries it.
        """
        began_s = self.steady()
        seen = await self._pull(asked.migration)
        if (left_s := self.heard_s - self.steady()) > 0.0:
            await self.pause(left_s)
            seen = await self._pull(asked.migration)  # those that were heard meanwhile, too
        result = _result_of(asked.migration, seen, why)
        if asked.hard and result.killed:
            features = {feature for one in seen.values() for feature in _carried(one, asked.migration)}
            cut, uncut = await cut_calls(self.admin, tuple(sorted(features)), result.gateways)
            result = replace(result, cut=cut, uncut=uncut)
        kept = await self._set_aside(asked, seen, result)
        return replace(result, seconds=self.steady() - began_s, is_set_aside=kept)

    async def keep_watch(self) -> None:
        """For ever: what was set aside is held to until the log has it; a gateway that restarts forgets."""
        while True:
            await self.hold()
            await self.pause(WATCH_S)

    async def hold(self) -> None:
        """Pull again what is not at share 0, also on gateways that were heard since."""
        lines = [line for _, line in self.aside.unsettled()]
        if lines:
            await asyncio.gather(*(self._hold_one(gateway, lines) for gateway in self.admin.names()))

    async def _hold_one(self, gateway: str, lines: list[dict[str, Any]]) -> None:
        try:
            carried = await self.admin.rollouts(gateway)
            held = [name for name, rollout in carried.items() if any(_is_of(line, rollout) for line in lines)]
            loose = [feature for feature in held if await self.admin.share(gateway, feature)]
        except AdminError as error:
            log.debug("gateway %s is not held to a rollback: %s", gateway, error)
            return
        await is_pulled(self.admin, gateway, loose)

    async def _pull(self, migration: str) -> dict[str, Seen | None]:
        """By gateway in sight; null where it is not known what it carries."""
        names = sorted(self.admin.names())
        seen = await asyncio.gather(*(self._pull_one(name, migration) for name in names))
        return dict(zip(names, seen, strict=True)) | dict.fromkeys(self.admin.uncallable())

    async def _pull_one(self, gateway: str, migration: str) -> Seen | None:
        try:
            seen = Seen(await self.admin.rollouts(gateway), is_zero=False)
        except AdminError as error:
            log.warning("it is not known which migrations gateway %s carries: %s", gateway, error)
            return None
        return replace(seen, is_zero=await is_pulled(self.admin, gateway, _carried(seen, migration)))

    async def _set_aside(self, asked: Asked, seen: Mapping[str, Seen | None], result: RollBackResult) -> bool:
        """A line for each start of the migration that is carried; whether all are kept."""
        epochs: dict[str, int] = {}
        for one in seen.values():
            for rollout in _carried(one, asked.migration).values():
                epochs[rollout.salt] = max(rollout.epoch, epochs.get(rollout.salt, 0))
        said = f"asked by {asked.actor}: {asked.reason} (while the log could not be reached)"
        line = {
            "migration": asked.migration,
            "actor": asked.actor,
            "reason": said,
            "unix_s": self.clock(),
            "killed": list(result.killed),
            "cut": result.cut,
        }
        try:
            for salt, epoch in epochs.items():
                await asyncio.to_thread(self.aside.write, {**line, "salt": salt, "epoch": epoch})
        except OSError:
            log.exception("the rollback of %s could not be set aside either; it is done", asked.migration)
            return False
        return bool(epochs)


def _result_of(migration: str, seen: Mapping[str, Seen | None], why: str) -> RollBackResult:
    """Raises LookupError: every gateway was asked, and none carries it."""
    killed = tuple([name for name, one in seen.items() if one is not None and _carried(one, migration)])
    missing = tuple([name for name, one in seen.items() if one is None or not one.is_zero])
    killed = tuple([name for name in killed if name not in missing])
    if not seen:
        missing = ("a gateway (none has asked this control yet)",)
    if not killed and not missing:
        carried = {r.migration for one in seen.values() if one is not None for r in one.rollouts.values()}
        raise LookupError(
            f"no gateway carries a split of migration {migration!r}, so no request reaches its candidate; "
            f"what the log says of it cannot be read (hint: {', '.join(seen)} carry "
            f"{', '.join(sorted(carried)) or 'none'}; when the database is back, roll back again)"
        )
    return RollBackResult(not missing, 0.0, tuple(seen), missing, 0, unlogged=why, killed=killed)


def _carried(seen: Seen | None, migration: str) -> dict[str, Rollout]:
    rollouts = seen.rollouts if seen is not None else {}
    return {feature: rollout for feature, rollout in rollouts.items() if rollout.migration == migration}


def _is_of(line: Mapping[str, Any], rollout: Rollout) -> bool:
    """Whether a line set aside is about this split: of the same start, and not resumed since."""
    is_same = rollout.migration == line.get("migration") and rollout.salt == line.get("salt", rollout.salt)
    return is_same and rollout.epoch <= int(line.get("epoch", 0))
