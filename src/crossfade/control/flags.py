"""An external flag system as an upper bound of a migration's share, and as its kill switch.

The flag `crossfade.MIGRATION` is a boolean, a number in [0, 1] or a percentage such as `25%`. It is read
every second and remembered: a flag system that cannot be read, or has no such flag, leaves the share as
it is and lets nothing be raised. It is never on the way of a request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import yaml

from crossfade.config.quantity import parse_share
from crossfade.config.shape.control import FlagsSection
from crossfade.control import outgoing
from crossfade.domain.migration import FlagBound

LOOK_S = 1.0
ANSWERS_WITHIN_S = 2.0
NOTED_WITHIN_S = 2.0
PREFIX = "crossfade."
NOT_READ = "it was not read yet"

log = logging.getLogger(__name__)


class FlagError(Exception):
    """A flag that cannot be read; the message says why and how to mend it."""


Read = Callable[[str], Awaitable[Any]]  # a flag's name to its value; raises `FlagError`
Note = Callable[[str, FlagBound], Awaitable[object]]  # a migration's bound, when it has changed, to the log


def share_of_flag(name: str, value: Any) -> float:
    """The bound that a flag's value means. Raises `FlagError` for anything else."""
    if isinstance(value, bool):
        return float(value)
    try:
        share = float(value) if isinstance(value, int | float) else parse_share(value)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise FlagError(f"{name} is {value!r} (hint: true, false, a number from 0 to 1, or 25%)")
    return share


@dataclass(slots=True)
class FlagBook:
    """`ports.FlagsPort`: the bounds as last read. `read`: null = no flag system is configured.

    `back_after_s`: handed on with a bound that is lost. `steady`: seconds that nobody sets. `note`: what
    of each was last `noted` is told once; a log that cannot be reached is told later and delays no look.
    """

    read: Read | None
    back_after_s: float | None = None
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    steady: Callable[[], float] = time.monotonic
    bounds: dict[str, FlagBound] = field(default_factory=dict)
    lost_since: dict[str, float] = field(default_factory=dict)
    note: Note | None = None
    noted: dict[str, tuple[float | None, bool]] = field(default_factory=dict)
    is_cut_off: bool = False

    def bound(self, migration: str) -> FlagBound | None:
        """What the flag allows a migration; null where there is no flag system."""
        if self.read is None:
            return None
        return self.bounds.setdefault(migration, FlagBound(None, NOT_READ))

    def cut_off(self) -> None:
        """For a drill: the flag system cannot be reached."""
        self.is_cut_off = True

    def heal(self) -> None:
        """It can be reached again."""
        self.is_cut_off = False

    async def look(self) -> None:
        """Read the flag of every migration that was asked for; what fails keeps its last bound."""
        if self.read is None:
            return
        for migration in tuple(self.bounds):
            name, last = f"{PREFIX}{migration}", self.bounds[migration]
            read = _cut_off if self.is_cut_off else self.read
            try:
                self.bounds[migration] = FlagBound(share_of_flag(name, await read(name)))
                self.lost_since.pop(migration, None)
            except FlagError as error:
                if last.lost != str(error):
                    log.warning("flag %s: %s", name, error)
                lost_s = self.steady() - self.lost_since.setdefault(migration, self.steady())
                self.bounds[migration] = FlagBound(last.at_most, str(error), lost_s, self.back_after_s)
            await self._tell(migration, self.bounds[migration])

    async def _tell(self, migration: str, bound: FlagBound) -> None:
        said = bound.at_most, bound.lost is not None
        if self.note is None or self.is_cut_off or self.noted.get(migration) == said:
            return
        try:
            await asyncio.wait_for(self.note(migration, bound), NOTED_WITHIN_S)
        except Exception as error:  # noqa: BLE001 - whatever ails the log, the flags are read on
            log.warning("the change of flag %s%s is not in the log yet: %r", PREFIX, migration, error)
            return
        self.noted[migration] = said

    async def run(self) -> None:
        """Look every second, for ever."""
        while self.read is not None:
            await self.look()
            await self.pause(LOOK_S)


def reader_of(flags: FlagsSection | None) -> Read | None:
    """How the configured flag system is read; null where none is."""
    if flags is None:
        return None
    if flags.file is not None:
        path = Path(flags.file)
        return lambda name: asyncio.to_thread(_read_file, path, name)
    url = str(flags.ofrep).rstrip("/")
    return lambda name: _read_ofrep(url, name)


async def _cut_off(_: str) -> Any:
    raise FlagError("cut off by a drill")


def _read_file(path: Path, name: str) -> Any:
    """A JSON or YAML mapping of flag names to values."""
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise FlagError(f"{path}: {error.strerror} (hint: control.flags.file)") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FlagError(f"{path} is neither JSON nor YAML (hint: {{{name}: 25%}})") from error
    if not isinstance(found, Mapping) or name not in found:
        raise FlagError(f"{path} has no flag {name} (hint: {name}: 25%)")
    return found[name]


async def _read_ofrep(url: str, name: str) -> Any:
    """OpenFeature Remote Evaluation Protocol, which flagd and others serve."""
    where = f"{url}/ofrep/v1/evaluate/flags/{name}"
    try:
        async with outgoing.client(ANSWERS_WITHIN_S) as client:
            answer = await client.post(where, json={"context": {"targetingKey": name}})
            found = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise FlagError(f"{where}: {type(error).__name__} (hint: control.flags.ofrep)") from error
    if answer.status_code != 200 or not isinstance(found, Mapping) or "value" not in found:
        said = found.get("errorCode", "") if isinstance(found, Mapping) else ""
        raise FlagError(f"{where} answered {answer.status_code} {said} (hint: create the flag {name})")
    return found["value"]
