"""A judge grades one answer against its source: pointwise, one rubric, blind to the arm."""

from __future__ import annotations

import asyncio
import json
import re

from crossfade.control.evidence.gateway_client import GatewayClient

IN_FLIGHT = 8
MAX_TOKENS = 200
_JSON = re.compile(r"\{.*\}", re.DOTALL)

PROMPT = """You grade a summary. It passes if it is faithful (nothing in it contradicts the source or is \
invented) and complete (it covers the source's key point). Answer with JSON only: \
{{"pass": true or false, "why": "one sentence"}}.

<source>
{source}
</source>

<answer>
{answer}
</answer>
"""


class JudgeError(Exception):
    """The judge could not be used; the message says why."""


def check_judge(name: str) -> None:
    """Raises JudgeError for a judge whose version could change unnoticed."""
    if "latest" in name:
        raise JudgeError(f"judge {name} is not pinned (hint: name a version)")


async def grade(client: GatewayClient, judge: str, items: list[tuple[str, str]]) -> list[float]:
    """1 or 0 for each (source, answer), in order. The same judge for both answers of a pair.

    Raises:
        JudgeError: the judge does not answer, or not with a verdict.
    """
    check_judge(judge)
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(source: str, answer: str) -> float:
        async with slots:
            try:
                said = await client.ask(judge, PROMPT.format(source=source, answer=answer), MAX_TOKENS)
            except LookupError as error:
                raise JudgeError(f"judge {judge}: {error}") from error
        return read_verdict(judge, said)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(source, answer)) for source, answer in items]
    return [task.result() for task in tasks]


def read_verdict(judge: str, said: str) -> float:
    """The verdict in a judge's answer."""
    found = _JSON.search(said)
    try:
        verdict = json.loads(found[0])["pass"] if found else None
    except (ValueError, KeyError, TypeError):
        verdict = None
    if not isinstance(verdict, bool):
        raise JudgeError(f"judge {judge} gave no verdict: {said[:120]!r}")
    return float(verdict)
