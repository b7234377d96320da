"""The commands over the real routes: HTTP is carried in memory, everything else is as shipped."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest
from fastapi import FastAPI, Header, HTTPException
from typer.testing import CliRunner

from crossfade.app.cli import evidence, migration
from crossfade.control.api.migrations import create_migrations_router

FILE = """\
migration: move
features: [recap]
incumbent: old
candidate: new
compliance: {signoffs: [legal]}
rollout: {stages: [1%, 25%, 100%], bake: 10s, soak: 10s, at_least: 20, weak_up_to: 100%}
"""


@pytest.fixture
def cli(world, tmp_path, monkeypatch):
    def authorise(authorization: str = Header(default="")):
        if authorization != "Bearer secret":
            raise HTTPException(401, {"message": "wrong token"})

    api = FastAPI()
    api.include_router(create_migrations_router(world.service, authorise), prefix="/api/v1")

    def request(method, url, *, json, headers, timeout):
        async def send():
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=api)) as client:
                return await client.request(method, url, json=json, headers=headers)

        return asyncio.run(send())

    monkeypatch.setattr(httpx2, "request", request)
    monkeypatch.setenv("CROSSFADE_API_TOKEN", "secret")
    (tmp_path / "move.yaml").write_text(FILE)
    (tmp_path / "approved.md").write_text("I approve.")
    runner = CliRunner()

    def run(app, *arguments):
        return runner.invoke(app, [str(argument) for argument in arguments])

    run.folder = tmp_path
    return run


def test_a_migration_by_the_commands_alone(world, cli):
    started = cli(migration.app, "start", cli.folder / "move.yaml")
    assert started.exit_code == 0, started.output
    for role in ("legal", "security"):
        signed = cli(
            migration.app,
            "sign",
            "move",
            "--as",
            role,
            "--name",
            "Ann",
            "--statement",
            cli.folder / "approved.md",
        )
        assert signed.exit_code == 0, signed.output
    shown = cli(migration.app, "status", "move")
    assert "next: none" in shown.output
    asyncio.run(world.until_share(0.25))
    shown = cli(migration.app, "status", "move")
    assert "candidate at 25% of recap" in shown.output
    back = cli(migration.app, "rollback", "move", "--reason", "test")
    assert back.exit_code == 0
    assert "share 0 on 1 gateways after" in back.output
    listed = json.loads(cli(evidence.app, "list", "--json").output)
    assert {row["kind"] for row in listed} >= {"signoff", "posture", "drill"}
    assert cli(evidence.app, "verify", "--migration", "move").exit_code == 0
    assert cli(evidence.app, "show", listed[0]["id"]).exit_code == 0
    assert cli(evidence.app, "export", cli.folder / "out").exit_code == 0
    page = cli.folder / "report.html"
    assert cli(migration.app, "report", "move", "--html", page).exit_code == 0
    assert "<svg" in page.read_text()
    assert "asked by" in page.read_text()
    assert "candidate requests" in cli(migration.app, "report", "move").output


def test_a_gateway_that_does_not_follow_makes_rollback_fail_loudly(world, cli):
    cli(migration.app, "start", cli.folder / "move.yaml")
    world.clouds.deaf = True
    back = cli(migration.app, "rollback", "move")
    assert back.exit_code == 1
    assert "g1 did not answer" in back.output


def test_wrong_use_is_2_and_a_no_is_1_each_with_a_hint(world, cli, monkeypatch):
    bad = cli.folder / "bad.yaml"
    bad.write_text(FILE.replace("bake: 10s", "bake: 10"))
    refused = cli(migration.app, "start", bad)
    assert refused.exit_code == 2
    assert "bad.yaml:6:36 rollout.bake" in refused.output
    assert cli(migration.app, "start", cli.folder / "none.yaml").exit_code == 2
    assert cli(migration.app, "status", "unknown").exit_code == 2
    cli(migration.app, "start", cli.folder / "move.yaml")
    again = cli(migration.app, "start", cli.folder / "move.yaml")
    assert again.exit_code == 1
    assert "hint" in again.output
    assert cli(migration.app, "advance", "move").exit_code == 1
    assert cli(migration.app, "waive", "move").exit_code == 2
    assert "not available yet" in cli(migration.app, "rehearse", "x.yaml").output
    monkeypatch.setenv("CROSSFADE_API_TOKEN", "wrong")
    assert cli(migration.app, "hold", "move").exit_code == 1
