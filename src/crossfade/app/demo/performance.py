"""The whole demo: set the stage, let callers call, walk the migration, sum up what was measured."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from crossfade.app.demo import summary, traffic
from crossfade.app.demo.stage import Pace, Stage, running, write_stage
from crossfade.app.demo.story import Story
from crossfade.app.demo.truth import Books, read_books, true_units
from crossfade.app.demo.walk import ACTOR, Seen, Walk
from crossfade.client import Client
from crossfade.config.load import load_config
from crossfade.config.quantity import parse_profile
from crossfade.control.migration.spec.parse import load_spec
from crossfade.control.store.state_dir import StateDir
from crossfade.sim.config import load_clouds

BOOKS_WITHIN_S = 30.0

Print = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """`ends`: stop after the summary instead of leaving the console open."""

    pace: Pace
    story: Story
    ends: bool
    folder: Path | None
    as_json: bool


async def perform(options: Options, say: Print) -> int:
    """Returns the exit code: 0 when every promise was kept. SIGTERM and Ctrl-C stop the children first."""
    performing = asyncio.ensure_future(_perform(options, say))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, performing.cancel)
    try:
        return await performing
    except asyncio.CancelledError:
        return 0 if not options.ends else 1


async def _perform(options: Options, say: Print) -> int:
    folder = options.folder or Path(tempfile.mkdtemp(prefix="crossfade-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def tell(step: str, text: str) -> None:
        if not options.as_json:
            say(f"{time.monotonic() - began:6.1f} s  {step:<12} {text}")

    stage = write_stage(folder, options.pace, options.story)
    tell("stage", f"files, state and logs in {folder}")
    async with running(stage):
        tell("stage", f"one endpoint at {stage.gateway}/v1, console at {await _console(stage)}")
        facts = await _play(options, stage, tell, began)
        _conclude(options, facts, say)
        if not options.ends:
            say(
                f"\nconsole: {await _console(stage)}#migration-{options.story.migration}  "
                "(traffic goes on; Ctrl-C ends the demo)"
            )
            await traffic.run(
                stage.gateway, options.story.streams, options.pace.seed + 1, traffic.Tally(), asyncio.Event()
            )
    return 0 if all(promise.is_kept for promise in summary.promises_of(facts)) else 1


async def _console(stage: Stage) -> str:
    """Where one browser is logged in to the console, once."""
    with Client(stage.control, StateDir(stage.state).api_token()) as client:
        return await asyncio.to_thread(client.login_url)


async def _play(options: Options, stage: Stage, tell: Any, began: float) -> summary.Facts:
    tally, stop, story = traffic.Tally(), asyncio.Event(), options.story
    client = Client(stage.control, StateDir(stage.state).api_token())
    await _until_ready(stage, story)
    opening = await _open_books(stage, client)
    calls = asyncio.create_task(traffic.run(stage.gateway, story.streams, options.pace.seed, tally, stop))
    try:
        seen = await _migrate(options, stage, tell, client)
    finally:
        stop.set()
        await calls
    tell("books", "traffic has ended; holding the ledger against the clouds' bills")
    costs, books = await _close_books(stage, client, opening)
    report = await asyncio.to_thread(client.get, f"/migrations/{story.migration}/report")
    audit = await asyncio.to_thread(client.get, "/audit")
    return summary.Facts(
        tally=tally,
        seen=seen,
        report=report["facts"],
        closed=report["state"] == "closed" and report["timeline"][-1]["share"] == 1.0,
        true_units=await asyncio.to_thread(_true_units, stage, options),
        costs=costs,
        books=books,
        audit_ok=audit["ok"],
        took_s=time.monotonic() - began,
    )


def _true_units(stage: Stage, options: Options) -> int | None:
    """What the simulator knows of the steepest profile; null of a true model, which nobody knows."""
    if options.story.has_real_model:
        return None
    metered = next(m for m in load_clouds(stage.folder / "clouds.yaml").models if m.id.startswith("arn:"))
    spec = load_spec(stage.migration.read_text(), str(stage.migration)).capacity
    steepest = max(map(parse_profile, spec.profiles))
    recap = options.story.streams[0]
    return true_units(metered, recap, steepest, spec.overflow_at_most, options.pace.seed)


async def _migrate(options: Options, stage: Stage, tell: Any, client: Client) -> Seen:
    rates = ", ".join(f"{s.feature} {s.rate:g}/s" for s in options.story.streams)
    tell("traffic", f"{rates}, served by the incumbent")
    await asyncio.sleep(options.story.first_traffic_s)
    document = yaml.safe_load(stage.migration.read_text())
    await asyncio.to_thread(client.post, "/migrations", {"actor": ACTOR, "spec": document})
    return await Walk(client, stage, options.story, options.pace, tell).to_the_end()


async def _until_ready(stage: Stage, story: Story) -> None:
    """A gateway is ready when its first snapshot and credentials have come."""
    async with httpx2.AsyncClient(base_url=stage.gateway, timeout=10) as http, asyncio.timeout(30):
        # Not recap's: its profile must not begin with a pause.
        body = traffic.request_body(story.streams[1], random.Random(0))
        while True:
            try:
                ready = (await http.get("/health/readiness")).status_code == 200
                if ready and (await http.post("/v1/chat/completions", json=body)).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass  # not listening yet
            await asyncio.sleep(0.1)


async def _read_books(stage: Stage, client: Client) -> tuple[list[dict[str, Any]], list[Books]]:
    config = load_config(stage.config, secrets=False).config
    models = {name: endpoint.model for name, endpoint in config.endpoints.items()}
    async with httpx2.AsyncClient(base_url=stage.clouds, timeout=30) as http:
        bills, costs = await asyncio.gather(http.get("/bills"), asyncio.to_thread(client.get, "/cost"))
    return costs, read_books(costs, models, bills.json())


async def _open_books(stage: Stage, client: Client) -> list[Books]:
    """Both books before the first traffic, once the record of the first request has come."""
    async with asyncio.timeout(BOOKS_WITHIN_S):
        while True:
            _, books = await _read_books(stage, client)
            if all(book.ours.tokens == book.theirs.tokens for book in books):
                return books
            await asyncio.sleep(0.2)


async def _close_books(
    stage: Stage, client: Client, opening: list[Books]
) -> tuple[list[dict[str, Any]], list[Books]]:
    """Both books since the opening, once the last records have come; after a while, as they are."""
    deadline = time.monotonic() + BOOKS_WITHIN_S
    while True:
        costs, closing = await _read_books(stage, client)
        books = [last.since(first) for last, first in zip(closing, opening, strict=True)]
        if all(b.are_equal(summary.USD_TOLERANCE) for b in books) or time.monotonic() > deadline:
            return costs, books
        await asyncio.sleep(1.0)


def _conclude(options: Options, facts: summary.Facts, say: Print) -> None:
    if options.as_json:
        kept = {promise.text: promise.is_kept for promise in summary.promises_of(facts)}
        tally = {  # asdict cannot copy a Counter
            "served": dict(facts.tally.served),
            "failed": dict(facts.tally.failed),
            "errors": facts.tally.errors,
        }
        say(json.dumps({**asdict(facts), "tally": tally, "promises": kept}, default=str))
        return
    say("")
    for text in facts.tally.errors[:5]:
        say(f"caller-visible error: {text}")
    for line in summary.lines_of(facts):
        say(line)
