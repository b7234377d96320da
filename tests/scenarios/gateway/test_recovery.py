"""How an endpoint comes back, over real sockets: hedged probes, canaries, an operator's word, its log."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from cloud import Cloud, whole_stream
from process import ask, get, looks, running_gateway

CONFIG = """
providers:
  up-a: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/a/v1', auth: {{method: none}}}}
  up-b: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/b/v1', auth: {{method: none}}}}
endpoints:
  a:
    provider: up-a
    model: m
    breaker: {{open: 200ms, jitter: 0, canary_after: {canary}, probe_hedge: 300ms, ramp_dwell: 100ms}}
  b: {{provider: up-b, model: m}}
features: {{f: {{hierarchy: [a, b], limits: {{same_endpoint_retries: 0}}}}}}
"""
BROKEN: Any = {"status": 500}


def until(gateway: Any, endpoint: str, *states: str) -> str:
    """The first of `states` that the endpoint is seen in."""
    for _ in looks():
        state = gateway.health(endpoint)
        if state in states:
            return state
    raise AssertionError(f"{endpoint} is {state}, not {states}")


def break_it(gateway: Any, cloud: Cloud) -> None:
    cloud.script("a", [BROKEN])
    for _ in range(5):
        assert ask(gateway.port, stream=True).status == 200
    assert timeline(gateway)[0]["to"].startswith("open"), "it may be half open by now"


def timeline(gateway: Any) -> list[dict[str, Any]]:
    return json.loads(get(gateway.admin_port, "/admin/state"))["timelines"]["a"]


def order(gateway: Any, method: str, path: str, body: Any = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=10)
    connection.request(method, path, json.dumps(body) if body else None)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_probe_that_hangs_costs_its_caller_a_moment_and_counts_when_it_ends(cloud):
    with running_gateway(CONFIG.format(port=cloud.port, canary="1h")) as gateway:
        break_it(gateway, cloud)
        until(gateway, "a", "half_open")
        cloud.script("a", [{"stream": ["heard", *whole_stream()]}])
        cloud.calls.clear()
        answer = ask(gateway.port, stream=True)

        assert (answer.status, answer.ends, answer.headers["x-crossfade-endpoint"]) == (200, "whole", "b")
        probe = next(call for call in cloud.calls if call.endpoint == "a")
        assert not probe.done.is_set(), "its caller has the backup's answer while the probe still runs"
        cloud.hear()
        assert probe.done.wait(20)
        assert not probe.left.is_set(), "it ran to its end, as evidence"


def test_without_a_request_to_probe_with_one_is_made_up(cloud):
    with running_gateway(CONFIG.format(port=cloud.port, canary="100ms")) as gateway:
        break_it(gateway, cloud)
        cloud.script("a", ["ok"])
        cloud.calls.clear()
        made_up: list[Any] = []
        for _ in looks():
            made_up = [call for call in cloud.calls if call.endpoint == "a" and call.done.is_set()]
            if len(made_up) == 3:
                break

    assert len(made_up) == 3, "as many as bring it to the ramp"
    for call in made_up:
        assert "ready" in json.loads(call.body)["messages"][0]["content"]


def test_an_operators_word_outranks_the_breaker_ends_by_itself_and_is_written_down(cloud):
    with running_gateway(CONFIG.format(port=cloud.port, canary="1h")) as gateway:
        assert order(gateway, "PUT", "/admin/force/a", {"open": True, "for_s": 3600}) == 400, (
            "without a reason"
        )
        assert order(gateway, "PUT", "/admin/force/none", {"open": True, "for_s": 1, "reason": "x"}) == 404
        wanted = {"open": True, "for_s": 3600, "reason": "their maintenance"}
        assert order(gateway, "PUT", "/admin/force/a", wanted) == 200
        answer = ask(gateway.port, stream=True)
        assert answer.headers["x-crossfade-endpoint"] == "b"
        assert "their maintenance" in answer.headers["x-crossfade-reason"]

        assert order(gateway, "DELETE", "/admin/force/a") == 200
        assert ask(gateway.port, stream=True).headers["x-crossfade-endpoint"] == "a"
        brief = {"open": True, "for_s": 0.2, "reason": "a moment"}
        assert order(gateway, "PUT", "/admin/force/a", brief) == 200
        until(gateway, "a", "closed")
        rows = timeline(gateway)

    told = [(row["from"], row["to"]) for row in rows]
    assert len(told) >= 4, rows
    assert any("their maintenance" in row["reason"] for row in rows)
    assert all(row["unix_ms"] > 1_700_000_000_000 for row in rows)


def test_every_transition_is_told_with_its_evidence(cloud):
    with running_gateway(CONFIG.format(port=cloud.port, canary="1h")) as gateway:
        break_it(gateway, cloud)
        until(gateway, "a", "half_open")
        cloud.script("a", ["ok"])
        for _ in range(3):
            assert ask(gateway.port, stream=True).status == 200
        rows = timeline(gateway)

    assert "4 of 4 attempts failed within 10 s" in rows[0]["reason"]
    assert [row["to"].split()[0] for row in rows][:2] == ["open", "half_open"]
    assert any("probes answered in time" in row["reason"] for row in rows)
