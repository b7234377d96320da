"""What lets a decision stand must see every change that a gate could see."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from crossfade.control.migration.gates import GateInput, is_same_but_time

GIVEN = GateInput(
    **{one.name: () for one in fields(GateInput) if one.name != "now_unix_s"}, now_unix_s=1.0
)  # any values: nothing but their sameness is looked at


@pytest.mark.parametrize("changed", [one.name for one in fields(GateInput)])
def test_only_time_may_differ(changed):
    assert is_same_but_time(GIVEN, replace(GIVEN, **{changed: ("other",)})) is (changed == "now_unix_s")
