from __future__ import annotations

import json

import pytest

from crossfade.sim.rehearsal.clouds.incident import read_incidents


@pytest.mark.parametrize(
    ("minute", "within_min", "expected"),
    [
        (0, 0, True),
        (9, 0, True),
        (11, 0, False),
        (11, 5, True),
        (16, 5, False),
        (25, 0, False),
        (45, 5, True),
        (60, 5, False),
    ],
)
def test_an_incident_that_comes_in_waves_is_over_between_them(tmp_path, minute, within_min, expected):
    phases = [
        {"start_min": 0, "end_min": 10, "mode": "http_error", "fraction": 0.5},
        {"start_min": 10, "end_min": 40, "mode": "normal", "fraction": 0.0},
        {"start_min": 40, "end_min": 50, "mode": "http_error", "fraction": 0.5},
    ]
    path = tmp_path / "incidents.json"
    path.write_text(json.dumps([{"id": "waves", "phases": phases}]))
    incident = read_incidents(path)["waves"]

    assert incident.was_on(60.0 * minute, 60.0 * within_min) is expected
