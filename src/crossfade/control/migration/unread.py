"""The way back of a control that has not read its log: its gateways tell it what it must know.

Each gateway says at its admin port which migration's split of which feature it carries, with the salt that
only this start of the migration has, and the epoch. So a rollback by name is set aside by salt and epoch, and
pulls its kill switches there: once the log is back it gets the line (`Alone.settle`), but not about a
migration that was closed, resumed, or started anew under its name, meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crossfade.control.evidence.gateway_admin import AdminError
from crossfade.control.migration.effects import RollBackResult, cut_calls, is_pulled, keep_aside
from crossfade.control.migration.ports import AsidePort, Clock, GatewayAdmin, Pause
from crossfade.domain.snapshot import Rollout

HEARD_WITHIN_S = 5.0  # a gateway asks again two seconds after it asked in vain, and may take two to connect
WATCH_S = 1.0

_PERHAPS_CLOSED = (
    "its candidate had all requests: if the migration is closed, which no gateway can tell, the log takes no "
    "rollback, and the incumbent may be gone: then release the switches"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A rollback that a person asks for. `hard`: calls under way at the candidate are cut, too."""

    migration: str
    actor: str
    reason: str
    hard: bool = False

    @property
    def said(self) -> str:
        """The reason as the log will have it."""
        return f"asked by {self.actor}: {self.reason} (while the log could not be reached)"


@dataclass(frozen=True, slots=True)
class Seen:
    """One gateway: the splits it carries, by feature, and whether it shows share 0 of the one in question."""

    rollouts: dict[str, Rollout]
    is_zero: bool


@dataclass(slots=True)
class Unread:
    """`heard_s`: when, by `steady`, gateways whose old connection to control broke have said where they are.

    `writing`: lines on their way to the disk, by migration, salt and epoch.
    """

    admin: GatewayAdmin
    aside: AsidePort
    clock: Clock
    steady: Clock
    pause: Pause
    heard_s: float = 0.0
    writing: dict[tuple[str, str, int], asyncio.Task[None]] = field(default_factory=dict)

    def begin_to_hear(self) -> None:
        """From now on gateways can ask."""
        self.heard_s = self.steady() + HEARD_WITHIN_S

    def is_heard(self) -> bool:
        """Whether a gateway whose old connection broke has had the time to ask."""
        return self.steady() >= self.heard_s

    async def roll_back(self, asked: Asked, *, why: str) -> RollBackResult:
        """Pull the kill switches wherever the migration is carried. `why`: the log cannot be read.

        Raises:
            LookupError: every gateway was asked, and none carries it.
        """
        began_s = self.steady()
        seen = await self._pull(asked)
        if began_s < self.heard_s:  # also where that took until now: one that hangs hides no other
            await self.pause(max(0.0, self.heard_s - self.steady()))
            seen = await self._pull(asked)  # those that were heard meanwhile, too
        result = _result_of(asked.migration, seen, why)
        carried = {
            name: rollouts for name, one in seen.items() if (rollouts := _carried(one, asked.migration))
        }
        if asked.hard:
            cut, uncut = await cut_calls(self.admin, carried, result.missing)
            result = replace(result, cut=cut, uncut=uncut)
        splits = [rollout for rollouts in carried.values() for rollout in rollouts.values()]
        is_kept = bool(splits) and all(self._has(rollout) for rollout in splits)
        return replace(result, seconds=self.steady() - began_s, is_set_aside=is_kept)

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

    async def _pull(self, asked: Asked) -> dict[str, Seen | None]:
        """By gateway in sight; null where it is not known what it carries."""
        names = sorted(self.admin.names())
        seen = await asyncio.gather(*(self._pull_one(name, asked) for name in names))
        return dict(zip(names, seen, strict=True)) | dict.fromkeys(self.admin.uncallable())

    async def _pull_one(self, gateway: str, asked: Asked) -> Seen | None:
        try:
            seen = Seen(await self.admin.rollouts(gateway), is_zero=False)
        except AdminError as error:
            log.warning("it is not known which migrations gateway %s carries: %s", gateway, error)
            return None
        carried = _carried(seen, asked.migration)
        for rollout in carried.values():
            await self._set_aside(asked, rollout)
        return replace(seen, is_zero=await is_pulled(self.admin, gateway, carried))

    async def _set_aside(self, asked: Asked, rollout: Rollout) -> None:
        """A line for this start and epoch of the migration, unless there is one."""
        place = (rollout.migration, rollout.salt, rollout.epoch)
        if place not in self.writing and not self._has(rollout):
            line = {
                "migration": asked.migration,
                "epoch": rollout.epoch,
                "salt": rollout.salt,
                "actor": asked.actor,
                "reason": asked.said,
                "unix_s": self.clock(),
                "hard": asked.hard,
            }
            self.writing[place] = asyncio.create_task(asyncio.to_thread(self.aside.write, line))
            self.writing[place].add_done_callback(lambda _: self.writing.pop(place))
        if (writing := self.writing.get(place)) is not None:
            await keep_aside(writing, asked.migration)

    def _has(self, rollout: Rollout) -> bool:
        return any(_is_of(line, rollout) for _, line in self.aside.unsettled())


def _result_of(migration: str, seen: Mapping[str, Seen | None], why: str) -> RollBackResult:
    """Raises LookupError: every gateway was asked, and none carries it."""
    missing = tuple([name for name, one in seen.items() if one is None or not one.is_zero])
    killed = tuple([name for name, one in seen.items() if name not in missing and _carried(one, migration)])
    if not seen:
        missing = ("a gateway (none has asked this control yet)",)
    if not killed and not missing:
        carried = {r.migration for one in seen.values() if one is not None for r in one.rollouts.values()}
        raise LookupError(
            f"no gateway carries a split of migration {migration!r}, so its candidate answers no caller, "
            "though copies of requests may reach it; what the log says of it cannot be read "
            f"(hint: {', '.join(seen)} carry {', '.join(sorted(carried)) or 'none'}; when the database is "
            "back, roll back again; until then PUT /admin/force/ENDPOINT, open, on each gateway ends copies)"
        )
    if any(rollout.share == 1.0 for one in seen.values() for rollout in _carried(one, migration).values()):
        why = f"{why}; {_PERHAPS_CLOSED}"
    return RollBackResult(not missing, 0.0, tuple(seen), missing, 0, unlogged=why, killed=killed)


def _carried(seen: Seen | None, migration: str) -> dict[str, Rollout]:
    rollouts = seen.rollouts if seen is not None else {}
    return {feature: rollout for feature, rollout in rollouts.items() if rollout.migration == migration}


def _is_of(line: Mapping[str, Any], rollout: Rollout) -> bool:
    """Whether a line set aside is about this split: of the same start, and not resumed since."""
    is_same = rollout.migration == line.get("migration") and rollout.salt == line.get("salt", rollout.salt)
    epoch = epoch_of(line)
    return is_same and epoch is not None and rollout.epoch <= epoch


def epoch_of(line: Mapping[str, Any]) -> int | None:
    """The epoch that a line set aside is about; null if it says none: somebody changed the file."""
    epoch = line.get("epoch")
    return epoch if isinstance(epoch, int) else None
