"""The demo as a newcomer runs it; what it promises about chance (the number of units) is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys

CERTAIN = (
    "no caller saw an error",
    "no request reached the candidate before the sign-offs",
    "the fault was caught by the product itself, at the stage it came",
    "the migration completed after the mend",
    "the ledger equals the clouds' bills",
    "the event log's chain holds",
)


def test_the_demo_walks_a_whole_migration_and_keeps_its_promises(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "crossfade", "demo", "--exit", "--json", "--state", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=700,
    )

    assert done.stdout, done.stderr
    facts = json.loads(done.stdout)
    broken = [promise for promise in CERTAIN if not facts["promises"][promise]]
    assert broken == [], {name: facts[name] for name in ("tally", "books", "report")}
    assert facts["report"]["units"] > 0
