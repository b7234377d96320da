"""The story: what its people do when the playbook asks, and the fault that comes at 25 %.

The playbook itself is driven by control. This module only watches its status, as a release owner
at the console would, and does what a person (or bad luck) does at each point.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from crossfade.app.demo.people import RATER_ERROR, rate_all, sign_all
from crossfade.app.demo.stage import Pace, Stage
from crossfade.client import Client

MIGRATION = "recap-to-bedrock"
ACTOR = "release-owner"
FAULT_AT = 0.25
FAULT = {"kind": "errors", "rate": 0.5, "status": 500}
LOOK_S = 0.3
NEEDS_A_PERSON = "needs a person"

Tell = Callable[[str, str], None]  # step, text


class DemoError(Exception):
    """The story cannot go on; the message says where it stands."""


@dataclass(slots=True)
class Seen:
    """What the story measured on its way."""

    before_signoffs: int | None = None
    signed_by: list[str] = field(default_factory=list)
    labels: int = 0
    fault_unix_s: float | None = None
    fault_share: float | None = None
    approvals: list[str] = field(default_factory=list)


class Walk:
    """One migration, watched to its end."""

    def __init__(self, client: Client, stage: Stage, pace: Pace, tell: Tell) -> None:
        self._client = client
        self._stage = stage
        self._pace = pace
        self._tell = tell
        self._said: tuple[Any, ...] = ()
        self._mended = self._resumed = False
        self._clouds = httpx2.AsyncClient(base_url=stage.clouds, timeout=30)
        self.seen = Seen()

    async def to_the_end(self, within_s: float) -> Seen:
        """Follow the migration until it is closed.

        Raises:
            DemoError: it is not closed within `within_s`, or stands where nobody in the story can help.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    status = await self._get(f"/migrations/{MIGRATION}")
                    self._narrate(status)
                    if status["state"] == "closed":
                        return self.seen
                    await self._react(status)
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            status = await self._get(f"/migrations/{MIGRATION}")
            where = f"{status['state']}: {status['next_action']}: {status['next_reason']}"
            raise DemoError(
                f"the migration is not closed after {within_s:.0f} s; it stands at {where}"
            ) from None
        finally:
            await self._clouds.aclose()

    def _narrate(self, status: dict[str, Any]) -> None:
        line = (status["state"], status["next_action"], status["next_reason"])
        if line != self._said and status["next_action"] != "none":
            self._said = line
            self._tell(status["state"], f"{status['next_action'].replace('_', ' ')}: {status['next_reason']}")

    async def _react(self, status: dict[str, Any]) -> None:
        failed = next(
            (gate for step in status["steps"] for gate in step["gates"] if gate["verdict"] == "fail"), None
        )
        if failed is not None:
            raise DemoError(f"the gate {failed['name']} fails: {failed['reason']}")
        if status["next_action"] == "ask" and not self.seen.signed_by:
            await self._sign(status)
        elif status["state"] == "quality":
            await self._rate()
        elif status["state"] == "rolled_back" and self.seen.fault_unix_s is not None:
            await self._mend()
        elif status["state"] == "rollout":
            await self._watch_rollout(status)
        elif status["state"] == "promoted":
            await self._command("close", "the demo is over")

    async def _sign(self, status: dict[str, Any]) -> None:
        bills = (await self._clouds.get("/bills")).json()["clouds"]["bedrock"]
        candidate = next(bill for model, bill in bills.items() if "provisioned" in model)
        self.seen.before_signoffs = candidate["requests"]
        self._tell(
            "compliance", f"before the sign-offs {candidate['requests']} requests reached the candidate"
        )
        gate = next(g for step in status["steps"] for g in step["gates"] if g["name"] == "compliance")
        roles = [role.strip() for role in gate["needs"].removeprefix("sign-offs:").split(",")]
        self.seen.signed_by = await asyncio.to_thread(sign_all, self._client, MIGRATION, roles)
        self._tell("compliance", f"signed by {', '.join(self.seen.signed_by)}")

    async def _rate(self) -> None:
        rated = await asyncio.to_thread(rate_all, self._client, MIGRATION, self._pace.seed)
        if rated and not self.seen.labels:
            self._tell("quality", f"raters label blind pairs; each errs in {RATER_ERROR:.0%} of answers")
        self.seen.labels += rated

    async def _watch_rollout(self, status: dict[str, Any]) -> None:
        share = status["share"]
        if share == FAULT_AT and self.seen.fault_unix_s is None:
            await asyncio.sleep(1.5 / self._pace.speed)
            answer = await self._clouds.put("/faults/bedrock/*", json=FAULT)
            answer.raise_for_status()
            self.seen.fault_unix_s, self.seen.fault_share = time.time(), share
            self._tell("fault", f"half of all calls to Bedrock now fail (the candidate has {share:.0%})")
        elif status["next_action"] == "hold" and NEEDS_A_PERSON in status["next_reason"]:
            verb = "promote" if share == 1.0 else "advance"
            self.seen.approvals.append(f"{verb} at {share:.0%}")
            await self._command(verb, f"looked at the arms at {share:.0%}: no sign of harm")

    async def _mend(self) -> None:
        """Take the fault away, and go on once the breakers let probes through."""
        if not self._mended:
            (await self._clouds.delete("/faults/*")).raise_for_status()
            self._mended = True
            self._tell("mend", "the fault is mended; the breakers still rest")
        elif not self._resumed and not await self._is_any_open():
            self._resumed = True
            await self._command("resume", "the fault in Bedrock is mended")

    async def _is_any_open(self) -> bool:
        return any(row["state"] == "open" for row in (await self._get("/overview"))["endpoints"])

    async def _command(self, verb: str, reason: str) -> None:
        self._tell(verb, f"{ACTOR}: {reason}")
        body = {"actor": ACTOR, "reason": reason}
        await asyncio.to_thread(self._client.post, f"/migrations/{MIGRATION}/{verb}", body)
        await asyncio.sleep(1.0)  # the next turn acts on it

    async def _get(self, path: str) -> Any:
        return await asyncio.to_thread(self._client.get, path)
