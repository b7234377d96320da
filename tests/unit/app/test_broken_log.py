"""A control whose log was changed says so and waits; it neither ends nor believes the rows."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager

import pytest

from crossfade.app import wiring
from crossfade.app.wiring import control_parts, early_login, early_parts
from crossfade.config.load import load_config
from crossfade.control.store.eventlog import StoreError
from crossfade.control.store.keys import hash_key
from crossfade.control.store.state_dir import StateDir
from crossfade.domain.people import Role

CONFIG = """
providers: {p: {kind: openai-compatible, base_url: 'http://127.0.0.1:9/v1', auth: {method: none}}}
endpoints: {e: {provider: p, model: m}}
features: {recap: [e]}
"""


async def test_the_way_back_without_the_log_is_the_same_before_it_was_read_and_after(tmp_path):
    config, folder = tmp_path / "crossfade.yaml", StateDir(tmp_path / "state")
    config.write_text(CONFIG)
    folder.root.mkdir()
    early = early_parts(load_config(config).config, folder)
    early.unread.begin_to_hear()
    assert early.unread.heard_s > early.unread.steady(), "gateways have time to say where they are"
    async with control_parts(config, folder, early) as parts:
        assert parts.migrations._unread is early.unread


@pytest.mark.parametrize("payload", ["{}", "[]", '{"version": "many", "change": 1}', "not JSON"])
async def test_a_row_that_cannot_be_read_is_told_as_a_log_that_does_not_hold(tmp_path, payload):
    config, folder = tmp_path / "crossfade.yaml", StateDir(tmp_path / "state")
    config.write_text(CONFIG)
    folder.root.mkdir()
    early = early_parts(load_config(config).config, folder)
    async with control_parts(config, folder, early):
        pass
    with sqlite3.connect(folder.database) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        [first] = database.execute("SELECT min(seq) FROM events WHERE payload LIKE '%version%'").fetchone()
        database.execute("UPDATE events SET payload = ? WHERE seq = ?", (payload, first))
    database.close()
    with pytest.raises(StoreError, match=f"does not hold: row {first} was changed"):
        async with control_parts(config, folder, early):
            pass


@asynccontextmanager
async def away(config, folder):
    raise StoreError("the database is away")
    yield


async def test_who_may_do_what_is_read_anew_while_the_log_cannot_be_read(tmp_path, monkeypatch):
    config, folder = tmp_path / "crossfade.yaml", StateDir(tmp_path / "state")
    config.write_text(CONFIG)
    folder.root.mkdir()
    early = early_parts(load_config(config).config, folder)
    login = early_login(early, folder)
    monkeypatch.setattr(wiring, "log_of", away)
    hashed = hash_key("cfp_ann", folder.pepper())
    assert login.person_of("cfp_ann") is None
    for people, roles in (
        (f"{{Ann: {{hash: cfh_ann_{hashed}, roles: [operator]}}}}", {Role.OPERATOR}),
        ("{}", None),
    ):
        config.write_text(f"{CONFIG}people: {people}\n")
        with pytest.raises(StoreError):
            async with control_parts(config, folder, early):
                pass
        person = login.person_of("cfp_ann")
        assert (person and person.roles) == roles
