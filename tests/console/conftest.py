from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

from browser import Browser
from deployment import ENVIRONMENT, Clouds, Deployment, running_clouds, running_deployment

CONFIG = """
providers:
  lab: {{kind: openai-compatible, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  bedrock-sim: {{kind: bedrock, base_url: '{clouds.bedrock}', auth: {{method: default-chain}}}}
endpoints:
  gpt: {{provider: lab, model: gpt-sim}}
  claude: {{provider: bedrock-sim, region: us-east-1, model: us.anthropic.claude-haiku-4-5}}
features:
  summary: [gpt, claude]
"""

MIGRATION = """
migration: summary-to-claude
features: [summary]
incumbent: gpt
candidate: claude
compliance: {signoffs: [legal, security]}
"""


@pytest.fixture(scope="session")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no chromium (hint: apt-get install chromium)"
        if os.environ.get("CROSSFADE_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def browser(chromium: str):
    made = Browser(chromium)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory):
    with running_clouds(tmp_path_factory.mktemp("clouds"), "--time-scale", "0.05") as running:
        yield running


@pytest.fixture(scope="session")
def deployment(clouds: Clouds, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("deployment")
    with running_deployment(folder, CONFIG.format(clouds=clouds), ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="session")
def migration(deployment: Deployment):
    """A migration that waits for its sign-offs; returns how to sign for a role."""
    path = deployment.config.parent / "move.yaml"
    path.write_text(MIGRATION)
    statement = deployment.config.parent / "approved.md"
    statement.write_text("I approve.")
    started = deployment.cli("migration", "start", str(path))
    assert started.returncode == 0, started.stderr

    def sign(role: str) -> None:
        arguments = ("--as", role, "--name", f"Ann {role}", "--statement", str(statement))
        signed = deployment.cli("migration", "sign", "summary-to-claude", *arguments)
        assert signed.returncode == 0, signed.stderr

    return sign
