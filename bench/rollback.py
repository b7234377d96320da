"""How fast a rollback is on three gateways under load, and what the controller's loop costs.

`make measure-rollback [ARGS="--rounds 30"]`. Three real gateways and a real control (its API, log,
publisher, guards and controller) on this machine; a load of two arms at 50 % through all three. Every
round raises the share and takes it back: by a person, or because the candidate begins to fail.

Share zero is what each gateway's own admin port says of its engine, polled from a thread of its own
every few milliseconds: not what control believes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import free_port, wait_for
from rollback_load import FEATURES
from rollback_setting import config_of, document_of, give_evidence, serving, started

from crossfade.app.gateway_process import PROGRAM

ROOT = Path(__file__).parent.parent
LOAD = Path(__file__).with_name("rollback_load.py")
GATEWAYS = 3
POLL_S = 0.004
FAILING = 0.08  # of the candidate's answers in an automatic round: too few for the gateway's own fast path
BARS = {"share_zero_p99_s": 1.0, "decision_p99_s": 1.0, "loop_share_of_a_core": 0.01}
WITHIN_S = 60.0


class Poller:
    """Asks one gateway's admin port for its share of `f0`, again and again; remembers every change."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.changes: list[tuple[float, float]] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.stopped.wait(POLL_S):
            link.request("GET", "/admin/state")
            effects = json.loads(link.getresponse().read())["effects"]
            share = next((e["candidate_share"] for e in effects if e["feature"] == "f0"), 0.0)
            if not self.changes or self.changes[-1][1] != share:
                self.changes.append((time.time(), share))

    def zero_after(self, since: float) -> float | None:
        """When it first showed share 0 after `since`."""
        return next((at for at, share in self.changes if at >= since and share == 0.0), None)


class Meter:
    """CPU of the thread in coroutines' own steps: what others do while these wait is not theirs."""

    def __init__(self) -> None:
        self.cpu_s, self.runs = 0.0, 0

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Its result."""
        self.runs += 1
        return await Stepped(work, self)


class Stepped:
    """A coroutine as an awaitable that times each step."""

    def __init__(self, work: Coroutine[Any, Any, Any], meter: Meter) -> None:
        self.work, self.meter = work, meter

    def __await__(self) -> Generator[Any, Any, Any]:
        go_on, given = self.work.send, None
        while True:
            began = time.thread_time()
            try:
                wanted = go_on(given)
            except StopIteration as done:
                return done.value
            finally:
                self.meter.cpu_s += time.thread_time() - began
            try:
                go_on, given = self.work.send, (yield wanted)
            except BaseException as error:  # noqa: BLE001 - handed on as it came
                go_on, given = self.work.throw, error


class Bench:
    """One run over running parts."""

    def __init__(self, parts: Any, pollers: list[Poller], load: subprocess.Popen[str]) -> None:
        self.parts, self.pollers, self.load = parts, pollers, load
        self.justified: float | None = None
        self.watch_evidence()

    def tell(self, **command: Any) -> None:
        """A command to the upstream and its load."""
        assert self.load.stdin is not None
        self.load.stdin.write(json.dumps(command) + "\n")
        self.load.stdin.flush()

    def watch_evidence(self) -> None:
        """The moment at which what control has been told first justifies a rollback of `move-0`.

        Told by a tally of its own, fed with every report and record as it arrives.
        """
        from crossfade.control.migration.guard.tally import News, Tally  # noqa: PLC0415
        from crossfade.control.migration.guard.verdict import decide_guards  # noqa: PLC0415

        board, samples = self.parts.board, self.parts.feedback._board
        tally, loop = Tally(), asyncio.get_running_loop()

        def look() -> None:
            controller = self.parts.migrations._controllers.get("move-0")
            state = controller.folded if controller is not None else None
            if state is None:
                return
            counted, counts = board.since("move-0", tally.counted)
            sampled, fresh = samples.since("move-0", tally.sampled)
            tally.take(state, News(counted, counts, sampled, fresh), time.time())
            if (
                self.justified is None
                and state.share
                and decide_guards(replace(state, counts=tally.counts)).crossed
            ):
                self.justified = time.time()

        observe = board.observe

        def observed(report: Any) -> None:
            observe(report)
            look()

        board.observe = observed
        self.parts.records.listen(lambda _: loop.call_soon_threadsafe(look))

    async def status(self) -> dict[str, Any]:
        """Of `move-0`."""
        found: dict[str, Any] = await self.parts.migrations.status("move-0")
        return found

    async def until(self, what: str, wanted: Any) -> None:
        """Wait for the status to say so."""
        async with asyncio.timeout(WITHIN_S):
            while (await self.status())[what] != wanted:
                await asyncio.sleep(0.05)

    async def up(self) -> None:
        """At 50 % on every gateway, with the candidate well and measured for a moment."""
        from crossfade.control.migration.history import Verb  # noqa: PLC0415

        self.tell(new=0.0)
        if (await self.status())["rolled_back"] is not None:
            await asyncio.sleep(1.5)
            await self.parts.migrations.command("move-0", Verb.RESUME, actor="bench", reason="again")
        await self.until("share", 0.5)
        await asyncio.sleep(1.0)
        self.justified = None

    async def zero_everywhere(self, since: float) -> float:
        """Seconds until the last gateway's engine showed 0."""
        async with asyncio.timeout(WITHIN_S):
            while any(poller.zero_after(since) is None for poller in self.pollers):
                await asyncio.sleep(0.01)
        return max(poller.zero_after(since) or since for poller in self.pollers) - since

    async def manual(self) -> dict[str, float]:
        """A person's rollback."""
        await self.up()
        began = time.time()
        result = await self.parts.migrations.roll_back("move-0", actor="bench", reason="measured")
        assert result.is_zero, result
        return {"share_zero_s": await self.zero_everywhere(began), "answered_s": result.seconds}

    async def automatic(self) -> dict[str, float]:
        """The candidate begins to fail."""
        await self.up()
        began = time.time()
        self.tell(new=FAILING)
        await self.until("state", "rolled_back")
        lines = self.parts.migrations._controllers["move-0"].lines
        decided = next(line for line in reversed(lines) if line.payload.get("action") == "roll_back")
        assert "guard at" in decided.reason, decided.reason
        assert self.justified is not None
        return {
            "share_zero_s": await self.zero_everywhere(decided.unix_s),
            "decision_s": max(0.0, decided.unix_s - self.justified),
            "failing_for_s": decided.unix_s - began,
        }

    async def loop_cost(self, seconds: float) -> dict[str, float]:
        """CPU of the steps of looks and turns, and of nothing that runs between those steps."""
        from crossfade.control.migration.controller import Controller  # noqa: PLC0415

        await self.up()
        await asyncio.sleep(2.0)
        migrations, looks, turns = self.parts.migrations, Meter(), Meter()
        turn, turn_all = Controller.turn, migrations.turn_all
        Controller.turn = lambda one: turns.run(turn(one))  # type: ignore[method-assign]
        migrations.turn_all = lambda **which: looks.run(turn_all(**which))
        began, cpu = time.monotonic(), time.process_time()
        try:
            await asyncio.sleep(seconds)
        finally:
            Controller.turn, migrations.turn_all = turn, turn_all  # type: ignore[method-assign]
        passed = time.monotonic() - began
        return {
            "loop_share_of_a_core": (looks.cpu_s + turns.cpu_s) / passed,
            "looks_per_s": looks.runs / passed,
            "turns_per_s": turns.runs / passed,
            "ms_a_turn": 1000.0 * turns.cpu_s / max(1, turns.runs),
            "control_share_of_a_core": (time.process_time() - cpu) / passed,
        }


def spread(rows: list[dict[str, float]], name: str) -> dict[str, float]:
    """Median and 99th percentile, by rank."""
    values = sorted(row[name] for row in rows)
    return {
        "p50": statistics.median(values),
        "p99": values[min(len(values) - 1, int(0.99 * len(values)))],
        "n": len(values),
    }


async def measure(rounds: int, rate: float, seconds: float) -> dict[str, Any]:
    """Everything, on loopback."""
    from crossfade.app.garbage import collect_less  # noqa: PLC0415
    from crossfade.app.wiring import control_parts, early_parts  # noqa: PLC0415
    from crossfade.config.load import load_config  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        root, upstream, control = Path(name), free_port(), free_port()
        (root / "crossfade.yaml").write_text(config_of(upstream, control))
        folder = StateDir(root / "state")
        load = stack.enter_context(started([sys.executable, str(LOAD), str(upstream)], stdin=subprocess.PIPE))
        wait_for(upstream)
        folder.prepare()
        early = early_parts(load_config(root / "crossfade.yaml").config, folder)
        async with (
            control_parts(root / "crossfade.yaml", folder, early) as parts,
            serving(parts, control),
        ):
            secrets = {"token": folder.gateway_token(), "pepper": folder.pepper()}
            ports = [(free_port(), free_port()) for _ in range(GATEWAYS)]
            for number, (listen, admin) in enumerate(ports):
                own = root / f"g{number}"
                own.mkdir()
                told = secrets | {
                    "name": f"g{number}", "state_dir": str(own), "control_url": f"http://127.0.0.1:{control}",
                    "listen": f"127.0.0.1:{listen}", "admin": f"127.0.0.1:{admin}",
                }  # fmt: skip
                gateway = started([str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
                with stack.enter_context(gateway).stdin as said:
                    json.dump(told, said)
            async with asyncio.timeout(WITHIN_S):
                while len(parts.board.live()) < GATEWAYS:
                    await asyncio.sleep(0.1)
            collect_less()
            pollers = [Poller(admin) for _, admin in ports]
            bench = Bench(parts, pollers, load)
            bench.tell(load=[listen for listen, _ in ports], rate=rate)
            try:
                return await rounds_of(bench, parts, folder, (rounds, rate, seconds))
            finally:
                for poller in pollers:
                    poller.stopped.set()


async def rounds_of(
    bench: Bench, parts: Any, folder: Any, wanted: tuple[int, float, float]
) -> dict[str, Any]:
    """Manual and automatic rollbacks of one migration, then twenty migrations at once."""
    rounds, rate, seconds = wanted
    await asyncio.sleep(3.0)
    await parts.migrations.start(document_of(0), actor="bench")
    await give_evidence(parts, folder, 0)
    manual = [await bench.manual() for _ in range(rounds)]
    automatic = [await bench.automatic() for _ in range(rounds)]
    both = manual + automatic
    for number in range(1, FEATURES):
        await parts.migrations.start(document_of(number), actor="bench")
        await give_evidence(parts, folder, number)
    async with asyncio.timeout(WITHIN_S):
        while not all(one["share"] for one in await parts.migrations.statuses() if one["name"] != "move-0"):
            await asyncio.sleep(0.5)
    return {
        "gateways": GATEWAYS, "requests_per_s": rate,
        "share_zero_s": spread(both, "share_zero_s"),
        "manual_share_zero_s": spread(manual, "share_zero_s"),
        "automatic_share_zero_s": spread(automatic, "share_zero_s"),
        "manual_answered_s": spread(manual, "answered_s"),
        "decision_s": spread(automatic, "decision_s"),
        "failing_for_s": spread(automatic, "failing_for_s"),
        "migrations": FEATURES,
        **await bench.loop_cost(seconds),
    }  # fmt: skip


def main() -> int:
    """Print the figures; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="manual rollbacks, and as many automatic ones")
    parser.add_argument("--rate", type=float, default=150.0, help="requests/s over the three gateways")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement of the loop")
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds, options.rate, options.seconds))
    print(json.dumps(found, indent=1))
    out = ROOT / "bench/out"
    out.mkdir(exist_ok=True)
    (out / "rollback.json").write_text(json.dumps(found, indent=1))
    seen = {
        "share_zero_p99_s": found["share_zero_s"]["p99"],
        "decision_p99_s": found["decision_s"]["p99"],
        "loop_share_of_a_core": found["loop_share_of_a_core"],
    }
    missed = {name: value for name, value in seen.items() if value > BARS[name]}
    print(f"missed: {missed}" if missed else f"kept: {BARS}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
