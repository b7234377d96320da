"""What must survive: control killed, a config that does not check, a full disk for records."""

from __future__ import annotations

import os
import signal
import time
import urllib.error

import pytest
from deployment import ENVIRONMENT, Deployment, call, running_deployment, wait_until_served

SIGNED_WITHIN_S = 30  # a quarantine lasts for 60
MESSAGES = [{"role": "user", "content": "Chen approved the schedule of the training week."}]


@pytest.fixture
def own_deployment(config, tmp_path):
    with running_deployment(tmp_path, config, ENVIRONMENT) as running:
        yield running


def test_a_killed_control_is_restarted_and_no_request_fails_meanwhile(own_deployment):
    openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
    with openai.OpenAI(base_url=f"{own_deployment.url}/v1", api_key="unused", max_retries=0) as client:
        os.kill(own_deployment.control_pid, signal.SIGKILL)
        for _ in range(20):
            assert (
                client.chat.completions.create(model="summary", messages=MESSAGES).choices[0].message.content
            )

        again = own_deployment.command.wait_for(ready="control")

        assert again["pid"] != own_deployment.control_pid
        assert client.chat.completions.create(model="summary", messages=MESSAGES).choices[0].message.content


def test_up_stops_cleanly_on_sigterm(config, tmp_path):
    with running_deployment(tmp_path, config, ENVIRONMENT) as running:
        assert running.command.stop() == 0


def test_a_config_that_does_not_check_starts_nothing_and_says_where(tmp_path):
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    path = tmp_path / "crossfade.yaml"
    path.write_text("endpoints:\n  a: {provider: nowhere, model: m}\nfeetures:\n  x: [a]\n")
    done = subprocess.run(
        [sys.executable, "-m", "crossfade", "up", "--config", str(path), "--state", str(tmp_path / "state")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert f"{path}:3:1" in done.stderr
    assert "features" in done.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "more", ["", "free: {provider: free, model: gpt-sim}"], ids=["all signed", "one open"]
)
def test_gateway_and_control_start_again_under_traffic_and_no_endpoint_is_kept_away_from(
    config, clouds, tmp_path, more
):
    """The gateway is up before control has given it anything to sign with."""
    free = f"  free: {{kind: openai-compatible, base_url: '{clouds.openai}', auth: {{method: none}}}}\n"
    config = config.replace("endpoints:\n", f"{free}endpoints:\n  {more}\n" if more else "endpoints:\n")
    with running_deployment(tmp_path, config, ENVIRONMENT) as running:
        assert ask(running) == 200
        os.kill(running.control_pid, signal.SIGKILL)
        os.kill(running.gateway_pid, signal.SIGKILL)
        running.command.wait_for(ready="gateway")
        for _ in range(20):
            ask(running)
        running.command.wait_for(ready="control")
        wait_until_served(f"{running.url}/health/readiness")
        deadline = time.monotonic() + SIGNED_WITHIN_S
        while ask(running) != 200 and time.monotonic() < deadline:
            pass

        assert [ask(running) for _ in range(20)] == [200] * 20
        health = call(f"{running.admin}/admin/state")["health"]
        assert {row["state"] for row in health} == {"closed"}


def ask(running: Deployment) -> int:
    """The status of one request."""
    try:
        call(f"{running.url}/v1/chat/completions", "POST", {"model": "summary", "messages": MESSAGES})
    except urllib.error.HTTPError as error:
        return error.code
    return 200
