"""The gateways' admin ports: what works when control's own way to them does not."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from crossfade.control import outgoing
from crossfade.control.records.own_turns import OwnTurns
from crossfade.domain.attempt import EndpointHealth, FeatureEffect
from crossfade.domain.snapshot import Rollout

ANSWERS_WITHIN_S = 5.0
LAST_PORT = 65535
_ROLLOUTS = TypeAdapter(dict[str, Rollout])


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What a gateway says of itself. `rollouts`: by feature, as published; `effects`: what it does now."""

    snapshot_version: int
    rollouts: dict[str, Rollout]
    effects: tuple[FeatureEffect, ...]
    health: tuple[EndpointHealth, ...]


_STATE = TypeAdapter(GatewayState)


class AdminError(Exception):
    """A gateway's admin port refused or could not be reached; the message says which and what to do."""


@dataclass(slots=True)
class AdminPorts:
    """Where each gateway's admin port is, as the gateways say when they ask for a snapshot.

    `urls`: by gateway name. `uncallable`: gateways whose port cannot be called from here. In memory: after
    a restart each says it again with its next question, a second or so later.
    """

    urls: dict[str, str] = field(default_factory=dict)
    uncallable: set[str] = field(default_factory=set)

    def tell(self, gateway: str, listens: str | None, peer: str | None) -> None:
        """What a gateway says it listens at (`HOST:PORT`), and the address its question came from."""
        url = _url_from_here(listens, peer) if listens is not None and peer is not None else None
        if url is None:
            self.urls.pop(gateway, None)
            self.uncallable.add(gateway)
        else:
            self.urls[gateway] = url
            self.uncallable.discard(gateway)


def _url_from_here(listens: str, peer: str) -> str | None:
    """Null where it is no address, or loopback of another machine, which here would be somebody else's."""
    host, _, port = listens.rpartition(":")
    try:
        at, caller = ipaddress.ip_address(host.strip("[]")), ipaddress.ip_address(peer)
        number = int(port)
    except ValueError:
        return None
    if not 0 < number <= LAST_PORT or (at.is_loopback and not caller.is_loopback):
        return None
    if at.is_unspecified:
        at = caller
    return f"http://[{at}]:{number}" if at.version == 6 else f"http://{at}:{number}"


@dataclass(frozen=True, slots=True)
class HttpGatewayAdmin:
    """`ports.GatewayAdmin` over HTTP. `own`: told of each switch that is turned here."""

    ports: AdminPorts
    own: OwnTurns

    def names(self) -> tuple[str, ...]:
        """Gateways whose admin address is known."""
        return tuple(self.ports.urls)

    def uncallable(self) -> tuple[str, ...]:
        """Gateways that have asked control, and whose admin port cannot be called from here."""
        return tuple(self.ports.uncallable)

    async def kill(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """Pull or release the local kill switch. Raises `AdminError`."""
        self.own.note(gateway, feature, is_killed=is_killed)  # before: a report may be faster than the answer
        await self._call("PUT" if is_killed else "DELETE", gateway, f"/admin/kill/{feature}")

    async def cut(self, gateway: str, feature: str) -> int:
        """Cut calls under way at the candidate; how many there were. Raises `AdminError`."""
        said = await self._call("PUT", gateway, f"/admin/cut/{feature}")
        with _read(gateway, "how many calls it cut"):
            return int(said["cut"])

    async def share(self, gateway: str, feature: str) -> float:
        """The candidate's share as the engine has it now. Raises `AdminError`."""
        state = await self._state(gateway)
        with _read(gateway, "which share a candidate has"):
            return next(
                (float(e["candidate_share"]) for e in state["effects"] if e["feature"] == feature), 0.0
            )

    async def rollouts(self, gateway: str) -> dict[str, Rollout]:
        """By feature, the split it carries as it was published. Raises `AdminError`."""
        state = await self._state(gateway)
        with _read(gateway, "which migrations it carries"):
            return _ROLLOUTS.validate_python(state["rollouts"])

    async def state(self, gateway: str) -> GatewayState:
        """All that it says of itself. Raises `AdminError`."""
        state = await self._state(gateway)
        with _read(gateway, "what it does"):
            return _STATE.validate_python(state)

    async def _state(self, gateway: str) -> dict[str, Any]:
        """Raises `AdminError`, also where another answers.

        Behind a proxy every question comes from here: a gateway's loopback may be another machine's.
        """
        url = self._url(gateway)
        state: dict[str, Any] = await self._call("GET", gateway, "/admin/state")
        if (named := state.get("gateway")) != gateway:
            raise AdminError(
                f"{url} is the admin port of {named}, not of {gateway} (hint: let "
                "the admin port of each gateway listen where control can call it: gateway.admin)"
            )
        return state

    def _url(self, gateway: str) -> str:
        """Raises `AdminError`: it may have said meanwhile that it listens where it cannot be called."""
        if gateway not in self.ports.urls:
            raise AdminError(f"the admin port of {gateway} is not known (hint: see gateway.admin)")
        return self.ports.urls[gateway]

    async def _call(self, method: str, gateway: str, path: str) -> dict[str, Any]:
        url = f"{self._url(gateway)}{path}"
        try:
            async with outgoing.client(ANSWERS_WITHIN_S) as client:
                answer = await client.request(method, url)
            said = answer.json() if answer.status_code < 300 else None
        except Exception as error:  # whatever one gateway answers, it stops no other
            why = str(error) or type(error).__name__  # a timeout says nothing
            raise AdminError(f"{method} {url}: {why} (hint: is that gateway's admin port right?)") from error
        if not isinstance(said, dict):
            raise AdminError(
                f"{method} {url} answered {answer.status_code} (hint: check that gateway's admin port)"
            )
        return said


@contextmanager
def _read(gateway: str, what: str) -> Iterator[None]:
    """What cannot be read in a gateway's answer is an `AdminError`: it stops no other gateway."""
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise AdminError(
            f"{gateway} does not say {what} (hint: it is of another version: "
            "PUT /admin/kill/FEATURE on its admin port)"
        ) from error
