"""The console of a control that cannot read its log: what gateways tell, and the way back from the page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from assumed import assume_evidence
from browser import Browser
from deployment import ENVIRONMENT, Clouds, Deployment, call, running_deployment
from page_types import check_types

from crossfade.config.load import load_config
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.state_dir import StateDir

CONFIG = """
providers:
  lab: {{kind: openai-compatible, base_url: '{clouds.openai}', auth: {{method: api-key, env: SIM_KEY}}}}
  bedrock-sim: {{kind: bedrock, base_url: '{clouds.bedrock}', auth: {{method: default-chain}}}}
endpoints:
  old-1: {{provider: bedrock-sim, region: us-east-1, model: us.anthropic.claude-haiku-4-5}}
  new-1: {{provider: lab, model: gpt-sim}}
pools: {{old: {{endpoints: [old-1]}}, new: {{endpoints: [new-1]}}}}
features: {{recap: [old]}}
"""
SPEC = {
    "migration": "move", "features": ["recap"], "incumbent": "old", "candidate": "new",
    "rollout": {"stages": ["50%", "100%"], "bake": "10h", "guards": ["errors"]},
}  # fmt: skip


@pytest.fixture
def moving(clouds: Clouds, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment whose migration has reached its first stage."""
    with running_deployment(tmp_path, CONFIG.format(clouds=clouds), ENVIRONMENT) as running:
        asyncio.run(_assume(running))
        call(f"{running.control}/api/v1/migrations", "POST", {"actor": "owner", "spec": SPEC}, running.own())
        yield running


async def _assume(running: Deployment) -> None:
    folder = StateDir(running.state)
    log = await EventLog.open(f"sqlite:///{folder.database}")
    await assume_evidence(log, folder, load_config(running.config, secrets=False).config, "move", "recap")
    await log.close()


@contextlib.contextmanager
def started_without_its_log(running: Deployment) -> Iterator[None]:
    """Control's process dies, and its successor finds no database until the block ends."""
    database = StateDir(running.state).database
    os.kill(running.control_pid, signal.SIGKILL)
    kept = database.parent / "kept"
    kept.mkdir()
    for file in database.parent.glob(f"{database.name}*"):
        file.rename(kept / file.name)
    database.mkdir()  # none can be opened here
    try:
        running.command.wait_for(waits="control")
        yield
    finally:
        database.rmdir()
        for file in kept.iterdir():
            file.rename(database.parent / file.name)


def first_document(running: Deployment) -> dict:
    """What the page is told first."""
    request = urllib.request.Request(f"{running.control}/api/v1/events", headers=running.own())
    with urllib.request.urlopen(request, timeout=60) as answer:
        for line in answer:
            if line.startswith(b"data: {") and len(line) > len(b"data: {}\n"):
                found: dict = json.loads(line.removeprefix(b"data: "))
                return found
    raise AssertionError("the stream ended")


def test_the_way_back_is_on_the_page_of_a_control_that_has_no_log(
    browser: Browser, moving: Deployment, tmp_path: Path
):
    press = (
        "document.querySelector('.way-back').open = true; document.querySelector('.way-back button').click()"
    )
    with browser.page(moving.page()) as page:
        page.wait_for_text("#migration-move", "50 % on the candidate")
        with started_without_its_log(moving):
            page.wait_for_text("#now", "Control cannot read its event log.")
            page.wait_for_text("#migration-move", "50 % on the candidate now")
            page.wait_for_text("#migration-move", f"curl -X PUT {moving.admin}/admin/kill/recap")
            page.wait("document.title.startsWith('Log not read')")
            assert "who signed" in page.text("#unknown")
            assert "Whether callers see errors is not known here." in page.text("#now")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            check_types(first_document(moving), "Unread", tmp_path)
            page.evaluate(press)
            page.wait_for_text(".way-back", "Kill switches were pulled on gateway-1.")
            page.wait_for_text("#migration-move", "0 % on the candidate now")
            page.wait_for_text("#migration-move", "The log gets it once it can be read")
            with browser.page(moving.page()) as other:
                other.wait_for_text("#migration-move", "Rolled back at")
        page.wait_for_text("header", "live")
        page.wait_for_text("#migrations", "rolled back")
