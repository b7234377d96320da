"""Live traffic as callers see it: open-loop arrivals, and a strict reader of what came back.

An answer counts as good only when it is complete: status 200 and, on a stream, the closing
marker without an error event. Anything else is a caller-visible error, kept with its text.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2

TOPICS = (
    "the release of the mobile client",
    "the outage of the search cluster",
    "the budget for the spring campaign",
    "hiring for the data team",
    "the move to the new office",
    "feedback of the pilot customers",
    "the security review of the login page",
    "the schedule of the training week",
)
VERBS = ("proposed", "confirmed", "postponed", "questioned", "approved", "summarised")
PEOPLE = ("Ana", "Bo", "Chen", "Dina", "Eli", "Farah", "Goran", "Hana")


@dataclass(frozen=True, slots=True)
class Stream:
    """Poisson arrivals of one feature: `rate` requests/s, a share of them streamed."""

    feature: str
    rate: float
    streamed: float
    max_tokens: int


@dataclass(slots=True)
class Tally:
    """What callers saw. `errors` holds the first 50 texts."""

    served: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def fail(self, feature: str, text: str) -> None:
        """Count a caller-visible error."""
        self.failed[feature] += 1
        if len(self.errors) < 50:
            self.errors.append(f"{feature}: {text[:300]}")


def channel_messages(draw: random.Random, lines: int) -> str:
    """A channel's worth of messages: what a recap feature is asked to summarise."""
    return "\n".join(
        f"{draw.choice(PEOPLE)} {draw.choice(VERBS)} {draw.choice(TOPICS)} (item {draw.randrange(100, 999)})."
        for _ in range(lines)
    )


def request_body(stream: Stream, draw: random.Random) -> dict[str, Any]:
    """One chat request of the feature."""
    body: dict[str, Any] = {
        "model": stream.feature,
        "max_tokens": stream.max_tokens,
        "user": f"user-{draw.randrange(2000)}",
        "messages": [
            {"role": "system", "content": "Summarise the channel for a reader who was away."},
            {"role": "user", "content": channel_messages(draw, draw.randrange(6, 16))},
        ],
    }
    if draw.random() < stream.streamed:
        body["stream"] = True
    return body


async def send(client: httpx2.AsyncClient, body: dict[str, Any], tally: Tally) -> None:
    """One call, judged as a careful caller would."""
    feature = body["model"]
    try:
        if body.get("stream"):
            problem = await _read_stream(client, body)
        else:
            problem = _read_answer(await client.post("/v1/chat/completions", json=body))
    except httpx2.HTTPError as error:
        problem = f"{type(error).__name__}: {error}"
    if problem is None:
        tally.served[feature] += 1
    else:
        tally.fail(feature, problem)


def _read_answer(answer: httpx2.Response) -> str | None:
    if answer.status_code != 200:
        return f"status {answer.status_code}: {answer.text}"
    choice = answer.json()["choices"][0]
    return None if choice["message"]["content"] and choice["finish_reason"] else f"incomplete: {answer.text}"


async def _read_stream(client: httpx2.AsyncClient, body: dict[str, Any]) -> str | None:
    finished = done = False
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            return f"status {answer.status_code}: {(await answer.aread()).decode(errors='replace')}"
        async for line in answer.aiter_lines():
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                done = True
                continue
            event = json.loads(line[6:])
            if "error" in event:
                return f"error event: {line}"
            finished = finished or any(choice.get("finish_reason") for choice in event["choices"])
    return None if finished and done else "the stream ended without its closing marker"


async def run(url: str, streams: tuple[Stream, ...], seed: int, tally: Tally, stop: asyncio.Event) -> None:
    """Send every stream's arrivals until `stop`; then wait for what is still on its way."""
    limits = httpx2.Limits(max_connections=400, max_keepalive_connections=100)
    async with (
        httpx2.AsyncClient(base_url=url, timeout=90, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):
        for index, stream in enumerate(streams):
            group.create_task(_arrivals(client, stream, random.Random(seed * 1000 + index), tally, stop))


async def _arrivals(
    client: httpx2.AsyncClient, stream: Stream, draw: random.Random, tally: Tally, stop: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    async with asyncio.TaskGroup() as calls:
        while not stop.is_set():
            due += draw.expovariate(stream.rate)
            try:
                await asyncio.wait_for(stop.wait(), max(0.0, due - loop.time()))
            except TimeoutError:
                calls.create_task(send(client, request_body(stream, draw), tally))
