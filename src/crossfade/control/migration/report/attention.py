"""What of a migration's reasons wants a person, and the page that says what to do (`docs/on-call`).

Waiting in the ordinary course of things (baking, a freeze window, a gate still measured) wants nobody.
"""

from __future__ import annotations

from crossfade.domain.migration import (
    Action,
    Ask,
    Hold,
    RollBack,
)

# A part of the reason, and the page. The first that fits.
PAGES = (
    ("rolled back: evidence is void", "evidence-void"),
    ("evidence is void", "evidence-void"),
    ("rolled back", "rolled-back"),
    ("telemetry is missing", "telemetry-missing"),
    ("no telemetry for", "telemetry-missing"),
    ("no candidate data", "telemetry-missing"),
    ("no baseline data", "telemetry-missing"),
    ("a kill switch is pulled", "gateway-astray"),
    ("a gateway does not do what was published", "gateway-astray"),
    ("the flag system cannot be read", "flags-unreadable"),
    ("a metric or judge cannot be asked", "metric-unreadable"),
    ("the clock was set back", "clock-set-back"),
    ("the incumbent fails", "incumbent-in-trouble"),
    ("of the incumbent's answers are bad", "incumbent-in-trouble"),
    ("the incumbent was in trouble", "incumbent-in-trouble"),
    ("of its callers see errors", "incumbent-in-trouble"),
    ("could not be collected", "evidence-not-collected"),
    (" fails: ", "gate-fails"),
    ("does not match the shares", "arms-do-not-match"),
    ("needs a person's `advance`", "waiting-for-a-person"),
    ("needs two people", "waiting-for-a-person"),
    ("neither harm nor parity is shown", "waiting-for-a-person"),
    ("units bought are unknown", "waiting-for-a-person"),
)


def page_of(action: Action | None) -> str | None:
    """The on-call page of what a migration does or waits for now; null if it wants nobody."""
    if isinstance(action, Ask):
        return "waiting-for-a-person"
    if isinstance(action, RollBack):
        return "evidence-void" if action.withdraw else "rolled-back"
    if not isinstance(action, Hold):
        return None
    return next((page for part, page in PAGES if part in action.reason), None)
