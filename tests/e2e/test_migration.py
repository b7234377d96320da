"""A real migration under live traffic: control dies in the middle of a stage, the database is locked, then
both at once, and a person rolls back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import string
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from deployment import (
    ENVIRONMENT,
    Command,
    call,
    free_ports,
    running_clouds,
    running_deployment,
    wait_until_served,
)

from crossfade.app.demo import people, traffic
from crossfade.client import ApiError, Client
from crossfade.control.store.state_dir import StateDir

SEED = 7
REACHES_WITHIN_S = 180
STREAMS = (traffic.Stream("recap", rate=20.0, streamed=0.7, max_tokens=120),)
SPEC = {
    "migration": "move",
    "features": ["recap"],
    "incumbent": "sagemaker-haiku",
    "candidate": "bedrock-haiku",
    "compliance": {"signoffs": ["legal", "security", "fedramp"]},
    "capacity": {"warmup": "1s", "probe": "3s"},  # no lever: what is there is probed
    "quality": {
        "margins": {"rubric": "10pt"},
        "latency": {"ttft_p50": "80%"},
        "judges": ["judge-a"],
        "labels": {"rate": "100%"},
        "shadow": "60%",
    },
    "rollout": {"stages": ["50%", "100%"], "bake": "1h", "guards": ["errors"], "at_least": 10},
}


def scene(name: str, **values: object) -> str:
    text = (resources.files("crossfade.app.demo") / "scene" / name).read_text()
    return string.Template(text).safe_substitute({key: str(value) for key, value in values.items()})


async def until_served(tally: traffic.Tally, count: int) -> None:
    async with asyncio.timeout(60):
        while sum(tally.served.values()) < count:  # noqa: ASYNC110 - callers count, they do not signal
            await asyncio.sleep(0.1)


async def until_share(client: Client, share: float) -> dict:
    """Sign and label as asked until the candidate has `share`; the status then."""
    signed = False
    async with asyncio.timeout(REACHES_WITHIN_S):
        while True:
            status = await asyncio.to_thread(client.get, "/migrations/move")
            if status["share"] == share:
                return status
            if status["next_action"] == "ask" and not signed:
                signed = True
                await asyncio.to_thread(people.sign_all, client, "move", list(people.SIGNERS))
            if status["state"] == "quality":
                await asyncio.to_thread(people.rate_all, client, "move", SEED)
            await asyncio.sleep(0.2)


async def test_control_dies_in_a_stage_and_a_rollback_under_load_takes_every_gateway_to_zero(tmp_path):
    (tmp_path / "clouds.yaml").write_text(scene("clouds.yaml", seed=SEED, clouds_port=0, time_scale=0.25))
    (tmp_path / "contract.yaml").write_text(scene("contract.yaml"))
    with running_clouds(tmp_path, "--config", str(tmp_path / "clouds.yaml")) as clouds:
        values = {"sagemaker_url": clouds.sagemaker, "bedrock_url": clouds.bedrock, "sts_url": clouds.sts}
        config = scene(
            "crossfade.yaml", openai_url=clouds.openai, contract=tmp_path / "contract.yaml", **values
        )
        config = re.sub(r"^(gateway|control):.*\n", "", config, flags=re.MULTILINE)
        secrets = {**ENVIRONMENT, "CROSSFADE_DEMO_KEY": "sk-sim"}
        with (
            running_deployment(tmp_path, config, secrets) as deployment,
            control_of(deployment) as client,
        ):
            await walk(deployment, client)


def control_of(deployment) -> Client:
    return Client(deployment.control, StateDir(deployment.state).api_token())


async def walk(deployment, client: Client) -> None:
    tally, stop = traffic.Tally(), asyncio.Event()
    calls = asyncio.create_task(traffic.run(deployment.url, STREAMS, SEED, tally, stop))
    try:
        await until_served(tally, 60)  # a profile to replay
        await asyncio.to_thread(client.post, "/migrations", {"actor": "owner", "spec": SPEC})
        before = await until_share(client, 0.5)

        os.kill(deployment.control_pid, signal.SIGKILL)
        control = await asyncio.to_thread(deployment.command.wait_for, ready="control")
        after = await until_share(client, 0.5)
        advances = [p for p in after["timeline"] if p["share"] > 0]
        assert (after["stage"], after["epoch"]) == (before["stage"], before["epoch"])
        assert len(advances) == 1, "the restart did nothing twice"

        await outages(deployment, tally, control["pid"])
        await asyncio.to_thread(deployment.command.wait_for, ready="control")
        after = await until_share(client, 0.5)
        assert (after["stage"], after["epoch"]) == (before["stage"], before["epoch"])

        back = await asyncio.to_thread(deployment.cli, "migration", "rollback", "move", "--reason", "test")
        assert back.returncode == 0, back.stderr
        assert re.search(r"share 0 on 1 gateways after \d+\.\d+ s", back.stdout)
        overview = await asyncio.to_thread(client.overview)
        assert {f["name"]: f["candidate_share"] for f in overview["features"]}["recap"] == 0.0
    finally:
        stop.set()
        await calls
    assert tally.errors == []


async def outages(deployment, tally: traffic.Tally, control_pid: int) -> None:
    """The database locked, then control killed under the lock: callers and the kill switch need neither."""
    with locked(StateDir(deployment.state).database):
        await kill_and_release(deployment, tally)
        os.kill(control_pid, signal.SIGKILL)
        await kill_and_release(deployment, tally)


@contextlib.contextmanager
def locked(database: Path):
    """Nobody else can write."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as held:
        held.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            held.execute("ROLLBACK")


async def kill_and_release(deployment, tally: traffic.Tally) -> None:
    """Requests go on being served, and the gateway's own switch takes the share to 0 and back."""
    for method, killed, share in (("PUT", True, 0.0), ("DELETE", False, 0.5)):
        await asyncio.to_thread(call, f"{deployment.admin}/admin/kill/recap", method)
        effect = await asyncio.to_thread(effect_of, deployment)
        assert (effect["killed"], effect["candidate_share"]) == (killed, share)
        await until_served(tally, sum(tally.served.values()) + 40)
    assert tally.errors == []


def effect_of(deployment) -> dict:
    state = call(f"{deployment.admin}/admin/state")
    return next(effect for effect in state["effects"] if effect["feature"] == "recap")


def test_a_migration_without_signoffs_sends_the_candidate_nothing(deployment, clouds, client):
    spec = {
        **SPEC,
        "migration": "unsigned",
        "features": ["summary"],
        "incumbent": "gpt",
        "candidate": "haiku-sm",
        "quality": {},  # its judge is no feature here
    }
    before = count_of(clouds)
    with control_of(deployment) as control:
        control.post("/migrations", {"actor": "owner", "spec": spec})
        with pytest.raises(ApiError, match="no stage to advance from"):
            control.post("/migrations/unsigned/advance", {"actor": "owner", "reason": "hurry"})
        for number in range(20):
            messages = [{"role": "user", "content": f"Bo proposed plan {number}."}]
            client.chat.completions.create(model="summary", messages=messages, max_tokens=40)

        assert control.get("/migrations/unsigned")["state"] == "compliance"
    assert count_of(clouds) == before


def count_of(clouds) -> int:
    return call(f"{clouds.admin}/bills")["clouds"]["sagemaker"]["haiku-sm"]["requests"]


def test_a_rollback_without_the_database_reaches_a_second_gateway_too(config, tmp_path):
    with running_deployment(tmp_path, config, ENVIRONMENT) as first, second_gateway(first) as admin:
        with control_of(first) as control:
            spec = {**SPEC, "incumbent": "haiku-sm", "candidate": "claude", "quality": {}}
            control.post("/migrations", {"actor": "owner", "spec": spec})
        with locked(StateDir(first.state).database):
            back = first.cli("migration", "rollback", "move", "--reason", "test", "--json")
            assert sorted(json.loads(back.stdout)["killed"]) == ["g2", "gateway-1"]
            effects = [effect_of(first), effect_of(replace(first, admin=admin))]
            assert [effect["killed"] for effect in effects] == [True, True]


@contextlib.contextmanager
def second_gateway(deployment):
    """On the same state folder; yields its admin address."""
    port = free_ports(2)
    shared = ["--config", str(deployment.config), "--state", str(deployment.state), "--json"]
    at = ["--name", "g2", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{port + 1}"]
    command = Command(["gateway", *at, *shared], deployment.config.parent, ENVIRONMENT)
    try:
        command.wait_for(ready="gateway")
        wait_until_served(f"http://127.0.0.1:{port}/health/readiness")
        yield f"http://127.0.0.1:{port + 1}"
    finally:
        command.stop()
