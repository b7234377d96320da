from __future__ import annotations

import json
import uuid

from crossfade.control.migration.report.oscal import oscal_of

DOCUMENT = {
    "migration": "move",
    "features": ["recap"],
    "incumbent": "old",
    "rollout": {"guards": ["errors"]},
}


async def test_every_record_is_an_observation_and_every_gate_a_finding(world):
    await world.signed()
    await world.until_share(0.01)
    document = oscal_of(await world.service.report("move"))["assessment-results"]
    (result,) = document["results"]
    assert len(result["observations"]) == len(world.clouds.records)
    states = {f["target"]["target-id"]: f["target"]["status"]["state"] for f in result["findings"]}
    assert states == dict.fromkeys(
        [
            "compliance",
            "capacity_mapping",
            "shadow_confirmation",
            "quality_parity",
            "latency_parity",
            "drill",
        ],
        "satisfied",
    )
    known = {observation["uuid"] for observation in result["observations"]}
    for finding in result["findings"]:
        assert {related["observation-uuid"] for related in finding["related-observations"]} <= known
        uuid.UUID(finding["uuid"])
    assert document == oscal_of(await world.service.report("move"))["assessment-results"]


async def test_a_gate_that_does_not_pass_is_not_satisfied(world):
    await world.started()
    await world.turns(3)
    (result,) = oscal_of(await world.service.report("move"))["assessment-results"]["results"]
    assert {f["target"]["status"]["state"] for f in result["findings"]} == {"not-satisfied"}


async def test_a_prompt_leaves_by_its_hash_only(world):
    prompt = "You are the secret of our house."
    document = {**DOCUMENT, "candidate": {"pool": "new", "set": {"system": prompt, "temperature": 0}}}
    await world.service.start(document, actor="ann")
    await world.turns(3)
    report, page = await world.service.report("move"), await world.service.report_html("move")
    status = await world.service.status("move")
    assert status["parameters"] == report["spec"]["parameters"]
    assert status["parameters"]["system"].endswith("(32 characters)")
    for shown in (json.dumps(report), json.dumps(status), page, json.dumps(oscal_of(report))):
        assert prompt not in shown
