"""What protects callers while the log cannot be reached: the guards by memory alone, and people.

Without the log no share is raised and nothing is published. Taking a harmful candidate's traffic away
waits for nothing: the gateways report to memory, the guards decide by what is there or a person does, it is
written aside on this machine, and the gateways' own kill switches are pulled. Once the log is back it
gets the line, and the share follows; the switches stay until a person releases them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from crossfade.control.migration import history, playbook
from crossfade.control.migration.controller import ACTOR, Controller
from crossfade.control.migration.effects import RollBackResult, cut_calls, keep_aside, pull_kill_switches
from crossfade.control.migration.history import Kind
from crossfade.control.migration.ports import Ports
from crossfade.control.migration.unread import Asked, epoch_of
from crossfade.domain.migration import Advance, MigrationState, RollBack

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Alone:
    """`decided`: epochs of migrations that were rolled back so, until the log has it."""

    ports: Ports
    decided: set[tuple[str, int]] = field(default_factory=set)

    async def protect(self, controller: Controller) -> None:
        """Pull the kill switches if the guards say so, and again while it lasts: a gateway may restart."""
        state = controller.folded
        if state is None or not _is_live(state):
            return
        place = (controller.name, state.epoch)
        if place not in self.decided:
            action = harm_in_memory(controller, state)
            if action is None:
                return
            log.error("migration %s: rolled back without the log: %s", controller.name, action.reason)
            reason = f"{action.reason} (decided while the log could not be reached)"
            await self.set_aside(controller, state, actor=ACTOR, reason=reason)
        features = state.spec.features
        views = self.ports.counters.views(features)
        await pull_kill_switches(self.ports.admin, features, "the log cannot be reached", views)

    async def roll_back(
        self, controller: Controller, state: MigrationState, asked: Asked, *, why: str
    ) -> RollBackResult:
        """What a person asks for where the log does not take it (`why`): kept aside first, then done."""
        kept = await self.set_aside(
            controller, state, actor=asked.actor, reason=asked.said, is_hard=asked.hard
        )
        admin, features = self.ports.admin, state.spec.features
        result = await pull_kill_switches(admin, features, why, self.ports.counters.views(features))
        if asked.hard:
            cut, uncut = await cut_calls(admin, dict.fromkeys(admin.names(), features), result.gateways)
            result = replace(result, cut=cut, uncut=uncut)
        return replace(result, is_set_aside=kept)

    async def settle(self, controllers: Mapping[str, Controller]) -> None:
        """Give the log what was set aside. A line that it cannot be given stops neither others nor turns."""
        for number, line in self.ports.aside.unsettled():
            controller = controllers.get(str(line.get("migration")))
            epoch = epoch_of(line)
            if controller is None or epoch is None:
                continue
            try:
                await self._tell(controller, line, epoch)
                await asyncio.to_thread(self.ports.aside.settle, number)
            except Exception:
                log.exception("migration %s: what was set aside is not settled yet", controller.name)
            else:
                self.decided.discard((controller.name, epoch))

    async def _tell(self, controller: Controller, line: Mapping[str, Any], epoch: int) -> None:
        """A line about what has changed since is not told to the log, and a person is told so."""
        state = await controller.read()
        if past := _why_past(line, epoch, state):
            log.warning(
                "migration %s: a rollback that was set aside (%s) is not logged: %s (hint: its kill switches "
                "stay pulled until DELETE /admin/kill/FEATURE on each gateway's admin port)",
                controller.name,
                line.get("reason"),
                past,
            )
        elif state.rolled_back is None:  # also where a flag has only lowered the share
            action = RollBack(str(line.get("reason")))
            payload = {**history.encode_action(action), "aside": dict(line)}
            stream, actor = history.stream_of(controller.name), str(line.get("actor", ACTOR))
            # Without an expected place: nothing may win against a rollback.
            await self.ports.log.append(stream, Kind.ACTION, payload, actor=actor, reason=action.reason)

    async def set_aside(
        self,
        controller: Controller,
        state: MigrationState,
        *,
        actor: str,
        reason: str,
        is_hard: bool = False,
    ) -> bool:
        """Keep a rollback for the log before it is done, and hold to it meanwhile; whether it is kept."""
        line = {
            "migration": controller.name,
            "epoch": state.epoch,
            "salt": state.salt,
            "actor": actor,
            "reason": reason,
            "unix_s": self.ports.clock(),
            "counts": [asdict(counts) for counts in controller.tally.counts],
            "hard": is_hard,
        }
        self.decided.add((controller.name, state.epoch))
        writing = asyncio.create_task(asyncio.to_thread(self.ports.aside.write, line))
        return await keep_aside(writing, controller.name)


def harm_in_memory(controller: Controller, state: MigrationState) -> RollBack | None:
    """What the guards say of what the gateways have reported, the log being as it was last read."""
    trouble = controller.trouble_of(state)
    controller.count(state, controller.now(), is_paused=trouble is not None and trouble.is_shielded)
    counted = replace(state, counts=controller.tally.counts)
    return playbook.decide_harm(counted, controller.beside[1].compared())


def _why_past(line: Mapping[str, Any], epoch: int, state: MigrationState) -> str:
    """Why a line is no longer about this migration; empty if it is. The log may be an older copy."""
    if line.get("salt", state.salt) != state.salt:
        return "the migration was started anew under its name"
    if epoch < state.epoch:
        return "the migration was resumed"
    if state.closed_unix_s is not None and state.rolled_back is None:
        return "the migration is closed"
    return ""


def _is_live(state: MigrationState) -> bool:
    """Whether real requests may be reaching the candidate, and no way back has begun."""
    is_back = state.rolled_back is not None or isinstance(state.pending, RollBack)
    if is_back or state.closed_unix_s is not None:
        return False
    return state.share > 0.0 or isinstance(state.pending, Advance)
