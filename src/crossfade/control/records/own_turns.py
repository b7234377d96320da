"""Turns of gateways' kill switches that control made itself, until a gateway's report shows them.

A report says that a switch is pulled, not by whom; and control pulls one when the log cannot be written. So
each turn is kept in a file of this machine before it is made: a control that was killed meanwhile knows it
for its own when it is back. A full disk stops no turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from crossfade.control.store.durable import replace_file

UNSEEN_S = 10.0  # reports come every second: what none showed by then was turned back between two

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """One switch, pulled or released; `unix_s`: when."""

    gateway: str
    feature: str
    is_killed: bool
    unix_s: float

    def is_of(self, gateway: str, feature: str) -> bool:
        """Whether it is that switch."""
        return (self.gateway, self.feature) == (gateway, feature)


_KEPT: TypeAdapter[list[Turn]] = TypeAdapter(list[Turn])


@dataclass(slots=True)
class OwnTurns:
    """`turns`: those no report has shown yet, oldest first. `place`: the file; read once, when made."""

    place: Path
    clock: Callable[[], float]
    turns: list[Turn] = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.turns = _KEPT.validate_json(self.place.read_bytes())
        except FileNotFoundError:
            self.turns = []
        except (OSError, ValidationError):
            log.exception("%s cannot be read: control's last turns of switches count as others'", self.place)
            self.turns = []

    def note(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """Control is about to turn it so."""
        turn = Turn(gateway, feature, is_killed, self.clock())
        last = next((one for one in reversed(self.turns) if one.is_of(gateway, feature)), None)
        if last is not None and last.is_killed is is_killed:
            self.turns[self.turns.index(last)] = turn  # once more, as long as the log is away
            return
        self._keep([*self.turns, turn])

    def has(self, gateway: str, feature: str, *, is_killed: bool) -> bool:
        """Whether control turned it so and no report has shown it yet."""
        return any(one.is_of(gateway, feature) and one.is_killed is is_killed for one in self.turns)

    def shown(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """A report shows it: the first such turn is over, and what control did to that switch before."""
        mine = [one for one in self.turns if one.is_of(gateway, feature)]
        first = next((place for place, one in enumerate(mine) if one.is_killed is is_killed), -1)
        self._forget(mine[: first + 1])

    def forget_unseen(self, gateway: str) -> None:
        """This gateway has been looked at: what it should have shown long ago is over."""
        now = self.clock()
        self._forget(
            [one for one in self.turns if one.gateway == gateway and abs(now - one.unix_s) > UNSEEN_S]
        )

    def _forget(self, over: list[Turn]) -> None:
        if over:
            self._keep([one for one in self.turns if one not in over])

    def _keep(self, turns: list[Turn]) -> None:
        """In the event loop's own thread: one small write, in order, before the turn is made.

        Not synced: the way back waits for no disk. After a power cut a turn may count as another's.
        """
        self.turns = turns
        try:
            replace_file(self.place, _KEPT.dump_json(turns), is_synced=False)
        except OSError as error:
            log.warning("turns of kill switches cannot be kept: %s", error)
