from __future__ import annotations

import uuid

from crossfade.control.migration.report.oscal import oscal_of


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
