"""What wants a person has a page, and every page is about something that happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossfade.control.migration.report.attention import PAGES, page_of
from crossfade.domain.evidence import EvidenceKind
from crossfade.domain.migration import (
    Advance,
    Ask,
    Collect,
    Exposure,
    Hold,
    RollBack,
)

ROOT = Path(__file__).parents[3]
ON_CALL = ROOT / "docs/on-call"
SOURCES = ROOT / "src/crossfade/control/migration"
OTHER_ALARMS = {
    "README", "credential", "breaker-open", "feedback-worse", "key-money", "records-dropped", "log-broken",
    "log-unsigned",
}  # fmt: skip


@pytest.mark.parametrize(
    ("action", "page"),
    [
        (Hold("rolled back: errors guard at 25%"), "rolled-back"),
        (Hold("rolled back: evidence is void: not validly signed by legal"), "evidence-void"),
        (Hold("telemetry is missing"), "telemetry-missing"),
        (Hold("recap: the incumbent fails more than 2.0% of its requests"), "incumbent-in-trouble"),
        (Hold("quality_parity fails: recap: too much is lost"), "gate-fails"),
        (Hold("drill of move could not be collected: g1 did not follow"), "evidence-not-collected"),
        (Hold("stage 2 at 5%: baking"), None),
        (Hold("frozen: Fri 15:00 - Mon 08:00"), None),
        (Hold("closed"), None),
        (RollBack("evidence is void", withdraw=True), "evidence-void"),
        (RollBack("asked by ann"), "rolled-back"),
        (Ask(("legal",), EvidenceKind.SIGNOFF, "needs legal"), "waiting-for-a-person"),
        (Advance(0.05, 2, False, "evidence"), None),
        (Collect(EvidenceKind.DRILL, "move", Exposure.ELIGIBLE, "missing"), None),
        (None, None),
    ],
)
def test_only_what_wants_a_person_has_a_page(action, page):
    assert page_of(action) == page


def test_every_page_is_there_says_what_callers_feel_and_whom_to_wake_and_no_page_is_left_over():
    named = {page for _, page in PAGES}
    assert {path.stem for path in ON_CALL.glob("*.md")} == named | OTHER_ALARMS
    for path in ON_CALL.glob("*.md"):
        if path.stem != "README":
            text = path.read_text()
            assert "**Callers**:" in text, path.name
            assert "Wake somebody:" in text, path.name


def test_every_reason_a_page_is_found_by_is_one_the_playbook_gives():
    sources = "\n".join(path.read_text() for path in SOURCES.rglob("*.py") if path.name != "attention.py")
    patterns = [re.sub(r"candidate|baseline", "{lull.arm}", part) for part, _ in PAGES]
    for pattern in patterns:
        known = pattern.removeprefix("rolled back: ").strip()
        assert known in sources or known == "fails:", pattern


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_links_between_the_docs_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
