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

from crossfade.control.migration import history, playbook
from crossfade.control.migration.controller import ACTOR, Controller
from crossfade.control.migration.effects import pull_kill_switches
from crossfade.control.migration.history import Kind
from crossfade.control.migration.ports import Ports
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

    async def settle(self, controllers: Mapping[str, Controller]) -> None:
        """Give the log what was set aside. Lines about what has changed since are only marked."""
        for number, line in self.ports.aside.unsettled():
            controller = controllers.get(str(line.get("migration")))
            if controller is None:
                continue
            state = await controller.read()
            is_same = state.epoch == line["epoch"] and state.salt == line.get("salt", state.salt)
            if is_same and not _is_given_up(state):
                action = RollBack(str(line["reason"]))
                payload = {**history.encode_action(action), "aside": line}
                stream = history.stream_of(controller.name)
                # Without an expected place: nothing may win against a rollback.
                actor = str(line.get("actor", ACTOR))
                await self.ports.log.append(stream, Kind.ACTION, payload, actor=actor, reason=action.reason)
            await asyncio.to_thread(self.ports.aside.settle, number)
            self.decided.discard((controller.name, int(line["epoch"])))

    async def set_aside(
        self,
        controller: Controller,
        state: MigrationState,
        *,
        actor: str,
        reason: str,
        cut: Mapping[str, int] | None = None,
    ) -> bool:
        """Keep a rollback for the log, and hold to it meanwhile; whether it is kept.

        `cut`: as in `RollBackResult`.
        """
        line = {
            "migration": controller.name,
            "epoch": state.epoch,
            "salt": state.salt,
            "actor": actor,
            "reason": reason,
            "unix_s": self.ports.clock(),
            "counts": [asdict(counts) for counts in controller.tally.counts],
            "cut": dict(cut or {}),
        }
        self.decided.add((controller.name, state.epoch))
        try:
            await asyncio.to_thread(self.ports.aside.write, line)
        except OSError:
            log.exception("the rollback of %s could not be set aside either; it is done", controller.name)
            return False
        return True


def harm_in_memory(controller: Controller, state: MigrationState) -> RollBack | None:
    """What the guards say of what the gateways have reported, the log being as it was last read."""
    trouble = controller.trouble_of(state)
    controller.count(state, controller.now(), is_paused=trouble is not None and trouble.is_shielded)
    counted = replace(state, counts=controller.tally.counts)
    return playbook.decide_harm(counted, controller.beside[1].compared())


def _is_given_up(state: MigrationState) -> bool:
    """Whether it is closed, or a way back has begun."""
    is_back = state.rolled_back is not None or isinstance(state.pending, RollBack)
    return is_back or state.closed_unix_s is not None


def _is_live(state: MigrationState) -> bool:
    """Whether real requests may be reaching the candidate, and no way back has begun."""
    if _is_given_up(state):
        return False
    return state.share > 0.0 or isinstance(state.pending, Advance)
