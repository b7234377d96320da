from __future__ import annotations

import json
import re
import uuid

import pytest

from crossfade.control.migration.report.oscal import oscal_of
from crossfade.control.migration.report.page import STYLE, table

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


# The assessment-results model of OSCAL 1.1.2 as far as we write it: what each part must have, and may.
TOKEN, TEXT = re.compile(r"[A-Za-z_][\w.-]*"), re.compile(r"\S(.*\S)?", re.DOTALL)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
METHOD, STATE = re.compile("EXAMINE|INTERVIEW|TEST|UNKNOWN"), re.compile("satisfied|not-satisfied")
KIND = re.compile("statement-id|objective-id")
PROP = {"name": TOKEN, "value": TEXT, "ns?": TEXT}
MODEL = {
    "uuid": UUID,
    "metadata": {"title": TEXT, "last-modified": TIME, "version": TEXT, "oscal-version": TEXT},
    "import-ap": {"href": TEXT},
    "results": [
        {
            "uuid": UUID, "title": TEXT, "description": TEXT, "start": TIME, "end?": TIME,
            "reviewed-controls": {"control-selections": [{"include-all?": {}}]},
            "observations?": [
                {
                    "uuid": UUID, "title?": TEXT, "description": TEXT, "props?": [PROP], "methods": [METHOD],
                    "relevant-evidence?": [{"href?": TEXT, "description": TEXT}],
                    "collected": TIME, "expires?": TIME,
                }
            ],
            "findings?": [
                {
                    "uuid": UUID, "title": TEXT, "description": TEXT,
                    "target": {"type": KIND, "target-id": TOKEN, "status": {"state": STATE}},
                    "related-observations?": [{"observation-uuid": UUID}],
                }
            ],
        }
    ],
}  # fmt: skip


def misfits(found, model, at="$"):
    """Where a document leaves the model."""
    if isinstance(model, re.Pattern):
        return [] if isinstance(found, str) and model.fullmatch(found) else [f"{at}: {found!r}"]
    if isinstance(model, list):
        if not isinstance(found, list) or not found:
            return [f"{at}: not a list of one or more"]
        return [one for n, each in enumerate(found) for one in misfits(each, model[0], f"{at}[{n}]")]
    known = {name.rstrip("?"): each for name, each in model.items()}
    lacking = {name for name in model if not name.endswith("?")} - {*found}
    wrong = [f"{at}: {name}" for name in sorted(lacking | ({*found} - {*known}))]
    return wrong + [
        one for name in found if name in known for one in misfits(found[name], known[name], f"{at}.{name}")
    ]


@pytest.mark.parametrize("state", ["rollout", "promoted"])
async def test_the_document_has_the_form_of_the_oscal_model(world, state):
    await world.signed()
    await world.until(state)
    document = oscal_of(await world.service.report("move"))
    assert misfits(document["assessment-results"], MODEL) == []
    broken = json.loads(json.dumps(document["assessment-results"]))
    broken["results"][0]["observations"][0]["methods"] = ["GUESS"]
    broken["results"][0]["surprise"] = 1
    assert len(misfits(broken, MODEL)) == 2


def test_a_page_breaks_no_word_but_what_is_longer_than_any():
    rows = [("shadow_confirmation", f"sha256:{'a' * 64}")]
    page = table(("step", "what"), rows)
    assert "<td>shadow_confirmation" in page
    assert "<td class=long>sha256:" in page
    assert re.findall(r"([\w.,]+){[^}]*overflow-wrap:anywhere", STYLE) == [".long", "td,th", "pre"]
