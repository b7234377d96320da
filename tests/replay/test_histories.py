"""Recorded histories must replay to the same actions, whatever has been rewritten since.

A history holds the log's lines and the evidence of its time; every action of the controller
carries what the playbook was given, so replaying asks the present playbook the same questions.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from crossfade.control.migration import history, playbook
from crossfade.control.migration.history import Kind, Recorded
from crossfade.domain.evidence import SignedEvidence
from crossfade.domain.migration import Observations, StageCounts

HISTORIES = sorted((Path(__file__).parents[2] / "spec" / "histories").glob("*.json"))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_history_replays_to_the_same_actions(path):
    recorded = json.loads(path.read_text())
    lines = [Recorded(**line) for line in recorded["lines"]]
    evidence = TypeAdapter(dict[str, SignedEvidence]).validate_python(recorded["evidence"])
    asked = 0
    for index, line in enumerate(lines):
        if line.kind != Kind.ACTION or "seen" not in line.payload:
            continue
        seen = line.payload["seen"]
        counts = TypeAdapter(tuple[StageCounts, ...]).validate_python(seen["counts"])
        state = replace(history.fold(lines[:index]), counts=counts)
        records = tuple(evidence[name] for name in seen["evidence"])
        observed = TypeAdapter(Observations).validate_python(seen["observations"])
        action = playbook.next_action(state, records, observed, seen["now_unix_s"])
        assert history.identity(action) == history.identity(history.decode_action(line.payload)), line
        asked += 1
    assert asked > 5


def test_there_are_histories():
    assert {path.stem for path in HISTORIES} >= {"straight-through", "rolled-back-and-resumed"}
