"""The gateways' admin ports: what works when control's own way to them does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from crossfade.control import outgoing
from crossfade.control.records.own_turns import OwnTurns

ANSWERS_WITHIN_S = 5.0


class AdminError(Exception):
    """A gateway's admin port refused or could not be reached; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class HttpGatewayAdmin:
    """`ports.GatewayAdmin` over HTTP. `urls`: gateway name to the base URL of its admin port.

    `own`: told of each switch that is turned here.
    """

    urls: Mapping[str, str]
    own: OwnTurns

    def names(self) -> tuple[str, ...]:
        """Gateways whose admin address is known."""
        return tuple(self.urls)

    async def kill(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """Pull or release the local kill switch. Raises `AdminError`."""
        self.own.note(gateway, feature, is_killed=is_killed)  # before: a report may be faster than the answer
        await self._call("PUT" if is_killed else "DELETE", gateway, f"/admin/kill/{feature}")

    async def cut(self, gateway: str, feature: str) -> int:
        """Cut calls under way at the candidate; how many there were. Raises `AdminError`."""
        return int((await self._call("PUT", gateway, f"/admin/cut/{feature}"))["cut"])

    async def share(self, gateway: str, feature: str) -> float:
        """The candidate's share as the engine has it now. Raises `AdminError`."""
        state = await self._call("GET", gateway, "/admin/state")
        return next((float(e["candidate_share"]) for e in state["effects"] if e["feature"] == feature), 0.0)

    async def _call(self, method: str, gateway: str, path: str) -> Any:
        url = f"{self.urls[gateway].rstrip('/')}{path}"
        try:
            async with outgoing.client(ANSWERS_WITHIN_S) as client:
                answer = await client.request(method, url)
        except httpx2.HTTPError as error:
            raise AdminError(
                f"{method} {url}: {error} (hint: is that gateway's admin port right?)"
            ) from error
        if answer.status_code >= 300:
            raise AdminError(
                f"{method} {url} answered {answer.status_code} (hint: check that gateway's admin port)"
            )
        return answer.json()
