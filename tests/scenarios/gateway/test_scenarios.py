"""Runs `spec/scenarios/*.yaml`: in virtual time through the production decisions, and over real
sockets where the relay has a part."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from cloud import Cloud
from process import ROOT, ask, running_gateway, snapshot_of
from world import World


def scenarios() -> list[Any]:
    return [
        pytest.param(scenario, mode, id=f"{path.stem}-{mode}-{scenario['name']}")
        for path in sorted((ROOT / "spec/scenarios").glob("*.yaml"))
        for scenario in yaml.safe_load(path.read_text())
        for mode in scenario.get("over", ["virtual", "sockets"])
    ]


def config_of(scenario: dict[str, Any], port: int) -> str:
    """The scenario's config with an upstream for each endpoint."""
    config = dict(scenario.get("config", {}))
    endpoints = config.get("endpoints", {"a": {}, "b": {}})
    config["providers"] = {
        (more or {}).get("provider", f"up-{name}"): {
            "kind": "openai-compatible",
            "base_url": f"http://127.0.0.1:{port}/{name}/v1",
            "auth": {"method": "none"},
        }
        for name, more in endpoints.items()
    }
    config["endpoints"] = {
        name: {"provider": f"up-{name}", "model": f"m-{name}", **more} for name, more in endpoints.items()
    }
    config.setdefault("features", {"f": list(endpoints)})
    return yaml.safe_dump(config)


def check(expected: dict[str, Any], seen: dict[str, Any], where: str) -> None:
    wrong = {key: seen.get(key) for key, value in expected.items() if not matches(value, seen.get(key))}
    assert not wrong, f"{where}: wanted {expected}, saw {seen}"


def matches(wanted: Any, seen: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(seen, dict) and all(matches(value, seen.get(key)) for key, value in wanted.items())
    if isinstance(wanted, str) and wanted.startswith("~"):
        return wanted[1:] in str(seen)
    return wanted == seen


def requests_of(scenario: dict[str, Any]) -> list[dict[str, Any]]:
    """Arrivals, in order; `count` repeats one."""
    return [request for request in scenario["requests"] for _ in range(request.get("count", 1))]


def run_virtual(scenario: dict[str, Any], folder: Path) -> None:
    world = World(snapshot_of(config_of(scenario, 1), folder))
    for endpoint, behaviours in scenario.get("upstreams", {}).items():
        world.script(endpoint, behaviours)
    for number, request in enumerate(requests_of(scenario)):
        world.pass_until(world.now + request.get("after_s", 0.0))
        for endpoint, behaviours in request.get("upstreams", {}).items():
            world.script(endpoint, behaviours)
        facts = request.get("facts", {})
        seen = world.ask(stream=request.get("stream", True), **facts)
        health = {row: world.health(row) for row in world.snapshot["endpoints"]}
        known = {k: v for k, v in request.get("expect", {}).items() if k != "headers"}
        check(known, {**vars(seen), "health": health}, f"request {number}")


def on_a_busy_machine(snapshot: dict[str, Any]) -> dict[str, Any]:
    """How quick a failure must be to be retried in place is shown in virtual time."""
    for feature in snapshot["features"].values():
        feature["attempts"]["retry_within_ms"] = 30_000
    return snapshot


def run_sockets(scenario: dict[str, Any], cloud: Cloud) -> None:
    with running_gateway(config_of(scenario, cloud.port), on_a_busy_machine) as gateway:
        for endpoint, behaviours in scenario.get("upstreams", {}).items():
            cloud.script(endpoint, behaviours)
        for number, request in enumerate(requests_of(scenario)):
            for endpoint, behaviours in request.get("upstreams", {}).items():
                cloud.script(endpoint, behaviours)
            cloud.calls.clear()
            cloud.heard.clear()
            seen = ask(
                gateway.port,
                stream=request.get("stream", True),
                headers=request.get("headers"),
                on_content=cloud.hear,
                **request.get("body", {}),
            )
            expected = {
                k: v for k, v in request.get("expect", {}).items() if k not in {"roles", "skipped", "reason"}
            }
            document = {**vars(seen), "attempts": [call.endpoint for call in cloud.calls]}
            if "health" in expected:
                document["health"] = {row["endpoint"]: row["state"] for row in gateway.state()["health"]}
            check(expected, document, f"request {number}")


@pytest.mark.parametrize(("scenario", "mode"), scenarios())
def test_scenario(scenario: dict[str, Any], mode: str, tmp_path: Path, request: pytest.FixtureRequest):
    if mode == "virtual":
        run_virtual(scenario, tmp_path)
    else:
        run_sockets(scenario, request.getfixturevalue("cloud"))
