"""The commands against the routes, over loopback HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from typer.testing import CliRunner

from crossfade.app.cli import evidence, login, migration, person
from crossfade.config.schema import PersonSection
from crossfade.control.api.access import person_of
from crossfade.control.api.app import create_api
from crossfade.control.api.parts import ControlParts
from crossfade.control.login.sessions import Sessions
from crossfade.control.store.keys import create_key

FILE = """\
migration: move
features: [recap]
incumbent: old
candidate: new
compliance: {signoffs: [legal]}
rollout: {guards: [errors], stages: [1%, 25%, 100%], bake: 10s, soak: 10s, at_least: 20, weak_up_to: 100%}
"""


CONFIG = """\
providers: {{lab: {{kind: openai-compatible, base_url: "http://127.0.0.1:9/v1", auth: {{method: none}}}}}}
endpoints: {{one: {{provider: lab, model: m}}}}
features: {{recap: [one]}}
control: {{listen: "127.0.0.1:{port}"}}
"""


PEOPLE = {
    name: (*create_key(name.lower(), "pepper"), roles)
    for name, roles in (
        ("Vic", ("viewer",)),
        ("Op", ("operator",)),
        ("Rel", ("releaser",)),
        ("Com", ("compliance",)),
        ("Bo", ("compliance", "releaser")),
        ("Root", ("admin",)),
    )
}


@pytest.fixture
async def cli(world, tmp_path, monkeypatch):
    mine = {"migrations", "gateway_token", "api_token", "config_error", "person_of", "sessions", "publisher"}
    unused = dict.fromkeys(name for name in ControlParts.__dataclass_fields__ if name not in mine)
    people = {name: PersonSection(hash=hashed, roles=roles) for name, (_, hashed, roles) in PEOPLE.items()}
    parts = ControlParts(
        **unused,
        migrations=world.service,
        sessions=Sessions("k" * 64, world.clouds.clock),
        publisher=SimpleNamespace(config=SimpleNamespace(people=people)),
        gateway_token="g",
        api_token="secret",
        person_of=lambda bearer: person_of(bearer, "secret", people, "pepper"),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_api(parts), log_level="error", lifespan="off"))
    serving = asyncio.create_task(server._serve(sockets=[listener]))

    (tmp_path / "crossfade.yaml").write_text(CONFIG.format(port=listener.getsockname()[1]))
    (tmp_path / "move.yaml").write_text(FILE)
    (tmp_path / "bad.yaml").write_text(FILE.replace("bake: 10s", "bake: 10"))
    (tmp_path / "approved.md").write_text("I approve.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSFADE_API_TOKEN", "secret")
    runner = CliRunner()

    async def run(app, *arguments):
        return await asyncio.to_thread(runner.invoke, app, [str(argument) for argument in arguments])

    yield run
    server.should_exit = True
    await serving


async def test_a_migration_by_the_commands_alone(world, cli):
    started = await cli(migration.app, "start", "move.yaml")
    assert started.exit_code == 0, started.output
    assert "warning: move.yaml: quality.judges names nobody" in started.output
    for role, signer in (("legal", "Ann"), ("security", "Bo")):
        signed = await cli(
            migration.app,
            "sign",
            "move",
            "--as",
            role,
            "--name",
            signer,
            "--statement",
            "approved.md",
        )
        assert signed.exit_code == 0, signed.output
    shown = await cli(migration.app, "status", "move")
    assert "next: none" in shown.output
    await world.until_share(0.25)
    shown = await cli(migration.app, "status", "move")
    assert "candidate at 25% of recap" in shown.output
    back = await cli(migration.app, "rollback", "move", "--reason", "test")
    assert back.exit_code == 0
    assert "share 0 on 1 gateways after" in back.output
    listed = json.loads((await cli(evidence.app, "list", "--json")).stdout)
    assert {row["kind"] for row in listed} >= {"signoff", "posture", "drill"}
    assert (await cli(evidence.app, "verify", "--migration", "move")).exit_code == 0
    for verb in ("verify", "list"):
        none = await cli(evidence.app, verb, "--migration", "moove")
        assert (none.exit_code, none.stdout) == (2, ""), "nothing is no proof of anything"
        assert "no migration 'moove'" in none.stderr
    assert (await cli(evidence.app, "show", listed[0]["id"])).exit_code == 0
    assert (await cli(evidence.app, "export", "out")).exit_code == 0
    assert await asyncio.to_thread(Path("out/move/artefacts", "ab" * 32).read_bytes) == b"I approve.\r\n"
    assert json.loads(await asyncio.to_thread(Path("out/move/keys.json").read_text)).keys() == {"Ann"}
    page = Path("report.html")
    assert (await cli(migration.app, "report", "move", "--html", page)).exit_code == 0
    text = await asyncio.to_thread(page.read_text)
    assert "<svg" in text
    assert "asked by" in text
    said = (await cli(migration.app, "report", "move")).output
    assert re.search(r"\n  candidate requests: \d+\n", said)
    assert re.search(
        r"\n  rolled back from 25% to 0%: \S+ \S+ by \S+: asked by .+; took effect after \S+ s\n", said
    )
    assert not set(said) & set("{}[]")


async def test_a_gateway_that_does_not_follow_makes_rollback_fail_loudly(world, cli):
    await cli(migration.app, "start", "move.yaml")
    world.clouds.deaf = True
    back = await cli(migration.app, "rollback", "move")
    assert back.exit_code == 1
    assert "g1 did not show it" in back.output
    hard = await cli(migration.app, "rollback", "move", "--hard")
    assert hard.exit_code == 1
    assert "NOT cut on g1" in hard.output


async def test_a_hard_rollback_by_command_says_how_many_calls_it_cut_and_status_names_the_page(world, cli):
    await world.signed()
    await world.until_share(0.25)
    back = await cli(migration.app, "rollback", "move", "--hard", "--reason", "it leaks")
    assert back.exit_code == 0, back.output
    assert "share 0 on 1 gateways after" in back.output
    assert "3 calls under way cut" in back.output
    await world.turns(2)
    said = (await cli(migration.app, "status", "move")).output
    assert "what to do: docs/on-call/rolled-back.md" in said
    assert re.search(r"rolled back at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", said)


async def test_a_rollback_without_the_log_promises_no_more_of_it_than_holds(world, cli):
    await world.signed()
    await world.until_share(0.25)
    world.log.is_away = True
    back = await cli(migration.app, "rollback", "move")
    assert back.exit_code == 0, back.output
    assert "the kill switches were pulled on g1 (hint: when the database is back, it is logged" in back.output
    assert (
        "unless the migration was closed or resumed meanwhile; then DELETE /admin/kill/FEATURE" in back.output
    )


async def test_wrong_use_is_2_and_a_no_is_1_each_with_a_hint(world, cli, monkeypatch):
    refused = await cli(migration.app, "start", "bad.yaml")
    assert refused.exit_code == 2
    assert "bad.yaml:6:54 rollout.bake" in refused.output
    assert (await cli(migration.app, "start", "none.yaml")).exit_code == 2
    assert (await cli(migration.app, "status", "unknown")).exit_code == 2
    await cli(migration.app, "start", "move.yaml")
    again = await cli(migration.app, "start", "move.yaml")
    assert again.exit_code == 1
    assert "hint" in again.output
    assert (await cli(migration.app, "advance", "move")).exit_code == 1
    assert (await cli(migration.app, "waive", "move")).exit_code == 2
    assert (await cli(migration.app, "rehearse", "none.yaml")).exit_code == 2
    monkeypatch.setenv("CROSSFADE_API_TOKEN", "wrong")
    assert (await cli(migration.app, "hold", "move")).exit_code == 1


SIGN = ("sign", "move", "--as", "legal", "--statement", "approved.md", "--name")


@pytest.mark.parametrize(
    ("who", "arguments", "role"),
    [
        ("Op", ("start", "move.yaml"), "releaser"),
        ("Vic", ("hold", "move"), "operator"),
        ("Rel", ("rollback", "move"), "operator"),
        ("Vic", ("drill", "move"), "operator"),
        ("Op", ("advance", "move"), "releaser"),
        ("Com", ("promote", "move"), "releaser"),
        ("Op", ("resume", "move"), "releaser"),
        ("Com", ("close", "move"), "releaser"),
        ("Rel", (*SIGN, "Rel"), "compliance"),
        ("Op", ("waive", "move", "--gate", "drill", "--reason", "x", "--name", "Op"), "compliance"),
    ],
)
async def test_every_refusal_names_the_missing_role(world, cli, monkeypatch, who, arguments, role):
    await cli(migration.app, "start", "move.yaml")
    before = len(world.log.lines)
    monkeypatch.setenv("CROSSFADE_API_TOKEN", PEOPLE[who][0])
    refused = await cli(migration.app, *arguments)

    assert refused.exit_code == 1
    assert f"this needs the role {role}; {who} has {PEOPLE[who][2][0]}" in refused.output
    assert f"people.{who}.roles" in refused.output
    assert len(world.log.lines) == before, "nothing was done"


async def test_people_act_under_their_own_name_and_sign_for_nobody_else(world, cli, monkeypatch):
    monkeypatch.setenv("CROSSFADE_API_TOKEN", PEOPLE["Rel"][0])
    assert (await cli(migration.app, "start", "move.yaml")).exit_code == 0
    assert world.log.lines[-1].actor == "Rel"
    monkeypatch.setenv("CROSSFADE_API_TOKEN", PEOPLE["Com"][0])
    refused = await cli(migration.app, *SIGN, "Bo")
    assert refused.exit_code == 1
    assert "Com cannot sign for Bo" in refused.output
    assert (await cli(migration.app, *SIGN, "Com")).exit_code == 0
    monkeypatch.setenv("CROSSFADE_API_TOKEN", PEOPLE["Op"][0])
    assert (await cli(migration.app, "rollback", "move", "--reason", "x")).exit_code == 0
    monkeypatch.setenv("CROSSFADE_API_TOKEN", PEOPLE["Root"][0])
    assert (await cli(migration.app, "hold", "move")).exit_code == 0
    assert world.log.lines[-1].actor == "Root"
    monkeypatch.setenv("CROSSFADE_API_TOKEN", "cf-nobody_00")
    refused = await cli(migration.app, "hold", "move")
    assert refused.exit_code == 1
    assert "the token is missing or wrong" in refused.output


async def test_a_persons_token_is_shown_once_and_the_config_has_its_hash(tmp_path, cli):
    roles = ("--role", "releaser", "--role", "operator")
    made = await cli(person.app, "create", "Ann Example", *roles, "--state", tmp_path / "s")
    assert made.exit_code == 0, made.output
    token, line = made.output.splitlines()[0], made.output.splitlines()[-1]
    assert token.startswith("cf-ann-example-")
    assert token.rpartition("_")[2] not in line
    config = tmp_path / "crossfade.yaml"
    config.write_text(config.read_text() + f"people:\n{line}\n")
    listed = await cli(person.app, "list", "--json")
    assert json.loads(listed.stdout) == {"Ann Example": ["releaser", "operator"]}
    assert (await cli(person.app, "create", "!!", "--role", "viewer")).exit_code == 2
    assert (await cli(person.app, "create", "Ann", "--role", "king")).exit_code == 2


async def test_login_prints_a_link_of_this_control_for_the_administrator_or_a_person(cli):
    said = await cli(login.app)
    assert said.exit_code == 0, said.output
    assert said.output.startswith("http://127.0.0.1:")
    assert "/login?code=" in said.output
    assert json.loads((await cli(login.app, "--person", "Rel", "--json")).output)["url"]
    unknown = await cli(login.app, "--person", "Nobody")
    assert unknown.exit_code == 1
    assert "hint: there is Vic, Op, Rel" in unknown.output
