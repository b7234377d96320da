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
from crossfade.app.demo.story import Story
from crossfade.client import Client

ACTOR = "release-owner"
FAULT_AT = 0.25
FAULT = {"kind": "errors", "rate": 0.5, "status": 500}
LOOK_S = 0.3
NEEDS_A_PERSON = "needs a person"
REAL_ENDPOINT = "smollm2"
SHOWN = 400  # characters of a text

Tell = Callable[[str, str], None]  # step, text


class DemoError(Exception):
    """The story cannot go on; the message says where it stands."""


@dataclass(slots=True)
class Seen:
    """What the story measured on its way. `refused`: the gate that ended it, with its reason."""

    before_signoffs: int | None = None
    signed_by: list[str] = field(default_factory=list)
    labels: int = 0
    fault_unix_s: float | None = None
    fault_share: float | None = None
    approvals: list[str] = field(default_factory=list)
    refused: str | None = None


class Walk:
    """One migration, watched to its end."""

    def __init__(self, client: Client, stage: Stage, story: Story, pace: Pace, tell: Tell) -> None:
        self._client = client
        self._story = story
        self._path = f"/migrations/{story.migration}"
        self._stage = stage
        self._pace = pace
        self._tell = tell
        self._said: tuple[Any, ...] = ()
        self._mended = self._resumed = False
        self._clouds = httpx2.AsyncClient(base_url=stage.clouds, timeout=30)
        self.seen = Seen()

    async def to_the_end(self) -> Seen:
        """Follow the migration until it is closed, or refused where the story allows it.

        Raises:
            DemoError: it is not closed in time, or stands where nobody in the story can help.
        """
        within_s = self._story.within_s
        try:
            async with asyncio.timeout(within_s):
                while True:
                    status = await self._get(self._path)
                    self._narrate(status)
                    if status["state"] == "closed" or self._is_refused(status):
                        return self.seen
                    await self._react(status)
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            status = await self._get(self._path)
            where = f"{status['state']}: {status['next_action']}: {status['next_reason']}"
            raise DemoError(
                f"the migration is not closed after {within_s:.0f} s; it stands at {where}"
            ) from None
        finally:
            await self._clouds.aclose()

    def _is_refused(self, status: dict[str, Any]) -> bool:
        failed = next(
            (gate for step in status["steps"] for gate in step["gates"] if gate["verdict"] == "fail"), None
        )
        if failed is None:
            return False
        reason = f"the gate {failed['name']} fails: {failed['reason']}"
        if not (self._story.has_real_model and self.seen.signed_by):
            raise DemoError(reason)
        self.seen.refused = reason
        self._tell("refused", reason)
        return True

    def _narrate(self, status: dict[str, Any]) -> None:
        line = (status["state"], status["next_action"], status["next_reason"])
        if line != self._said and status["next_action"] != "none":
            self._said = line
            self._tell(status["state"], f"{status['next_action'].replace('_', ' ')}: {status['next_reason']}")

    async def _react(self, status: dict[str, Any]) -> None:
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
        self.seen.before_signoffs = await self._reached_candidate()
        self._tell(
            "compliance", f"before the sign-offs {self.seen.before_signoffs} requests reached the candidate"
        )
        gate = next(g for step in status["steps"] for g in step["gates"] if g["name"] == "compliance")
        roles = [role.strip() for role in gate["needs"].removeprefix("sign-offs:").split(",")]
        self.seen.signed_by = await asyncio.to_thread(sign_all, self._client, self._story.migration, roles)
        self._tell("compliance", f"signed by {', '.join(self.seen.signed_by)}")

    async def _reached_candidate(self) -> int:
        """Requests the candidate has seen, as the cloud counts them; of a model without bills, as we do."""
        if self._story.has_real_model:
            lines = await self._get("/cost")
            return sum(line["attempts"] for line in lines if line["endpoint"] == REAL_ENDPOINT)
        bills = (await self._clouds.get("/bills")).json()["clouds"]["bedrock"]
        return int(next(bill for model, bill in bills.items() if "provisioned" in model)["requests"])

    async def _rate(self) -> None:
        rated = await asyncio.to_thread(rate_all, self._client, self._story.migration, self._pace.seed)
        if rated and not self.seen.labels:
            self._tell("quality", f"raters label blind pairs; each errs in {RATER_ERROR:.0%} of answers")
            if self._story.has_real_model:
                self._show(rated[0])
        self.seen.labels += len(rated)

    def _show(self, pair: dict[str, Any]) -> None:
        """One pair as raters see it: which of the two is the candidate's is not said."""
        for part in ("prompt", "answer_x", "answer_y"):
            self._tell("quality", f"{part.replace('_', ' ')}: {' '.join(pair[part].split())[:SHOWN]}")

    async def _watch_rollout(self, status: dict[str, Any]) -> None:
        share = status["share"]
        has_fault = not self._story.has_real_model
        if has_fault and share == FAULT_AT and self.seen.fault_unix_s is None:
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
        await asyncio.to_thread(self._client.post, f"{self._path}/{verb}", body)
        await asyncio.sleep(1.0)  # the next turn acts on it

    async def _get(self, path: str) -> Any:
        return await asyncio.to_thread(self._client.get, path)
