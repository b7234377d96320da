"""What applications say and ask beside their requests, and what an auditor asks, of real processes."""

from __future__ import annotations

import json
import time
import urllib.error

import pytest
from deployment import call

MESSAGES = [{"role": "user", "content": "Ana confirmed the budget."}]
PATIENCE_S = 15.0


def test_feedback_finds_the_request_it_is_about(client, deployment):
    raw = client.chat.completions.with_raw_response.create(model="summary", messages=MESSAGES, max_tokens=40)
    body = {"request_id": raw.headers["x-crossfade-request-id"], "score": -1, "comment": "made it up"}
    headers = {"authorization": f"Bearer {client.api_key}"}
    deadline = time.monotonic() + PATIENCE_S
    while True:  # the record of the request comes about a second later
        try:
            said = call(f"{deployment.control}/v1/feedback", "POST", body, headers)
            break
        except urllib.error.HTTPError as error:
            if error.code != 404 or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    assert said == {"status": "accepted"}
    assert call(f"{deployment.control}/v1/feedback", "POST", body, headers) == {"status": "duplicate"}


def test_flags_are_served_over_the_snapshot_that_serves(deployment):
    context = {"context": {"targetingKey": "ann"}}
    flag = call(f"{deployment.control}/ofrep/v1/evaluate/flags/summary", "POST", context)
    assert (flag["value"], flag["reason"]) == ("main", "STATIC")
    with pytest.raises(urllib.error.HTTPError):
        call(f"{deployment.control}/ofrep/v1/evaluate/flags/nonsense", "POST", context)


def test_the_log_of_a_running_deployment_holds_against_its_checkpoints(deployment):
    found = deployment.cli("audit", "verify", "--json")
    assert found.returncode == 0, found.stderr
    audited = json.loads(found.stdout)
    assert audited["ok"]
    assert audited["checkpoints"] >= 1
