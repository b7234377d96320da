"""What becomes of the launcher where there is no gateway to become."""

from __future__ import annotations

import json
import os

from typer.testing import CliRunner

from crossfade.app import gateway_process
from crossfade.app.cli.main import app


def test_a_program_that_is_not_there_is_named_and_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "crossfade.yaml").write_text(
        "endpoints: {a: openai/gpt-5-mini, b: openai/gpt-5-nano}\nfeatures: {f: [a, b]}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # this process keeps its standard input
    monkeypatch.setattr(gateway_process, "PROGRAM", tmp_path / "none")

    found = CliRunner().invoke(app, ["gateway", "--json"])

    said = json.loads(found.stdout)["error"]["message"]
    assert found.exit_code == 1
    assert f"{tmp_path / 'none'} cannot be run: No such file" in said
    assert "(hint: reinstall crossfade" in said
