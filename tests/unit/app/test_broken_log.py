"""A control whose log was changed says so and waits; it neither ends nor believes the rows."""

from __future__ import annotations

import sqlite3

import pytest

from crossfade.app.wiring import control_parts, early_parts
from crossfade.config.load import load_config
from crossfade.control.store.eventlog import StoreError
from crossfade.control.store.state_dir import StateDir

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
