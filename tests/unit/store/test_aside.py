"""Lines set aside are there after a crash, each is settled once, and a torn one costs only itself."""

from __future__ import annotations

import pytest

from crossfade.control.store.aside import Aside


def test_what_was_written_is_there_after_a_restart_until_it_is_settled(tmp_path):
    aside = Aside(tmp_path / "aside.ndjson")
    assert aside.unsettled() == []
    aside.write({"reason": "one"})
    aside.write({"reason": "two"})
    aside.settle(1)
    assert aside.unsettled() == Aside(aside.path).unsettled() == [(2, {"reason": "two"})]
    Aside(aside.path).write({"reason": "three"})
    assert [number for number, _ in Aside(aside.path).unsettled()] == [2, 3]


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_torn_last_line_is_lost_alone(tmp_path, lost):
    aside = Aside(tmp_path / "aside.ndjson")
    aside.write({"reason": "whole"})
    aside.write({"reason": "torn by the power cut"})
    aside.path.write_bytes(aside.path.read_bytes()[:-lost])
    again = Aside(aside.path)
    whole = [(1, {"reason": "whole"})]
    torn = [(2, {"reason": "torn by the power cut"})] if lost == 1 else []
    assert again.unsettled() == whole + torn
    again.write({"reason": "after"})
    assert [line["reason"] for _, line in Aside(aside.path).unsettled()][-1] == "after"


def test_lines_that_are_written_in_threads_have_a_number_each(tmp_path, monkeypatch):
    aside = Aside(tmp_path / "aside.ndjson")
    held = []
    monkeypatch.setattr(
        "crossfade.control.store.aside.append_line", lambda *_: held.append(aside.lock.locked())
    )
    aside.write({"reason": "one"})
    aside.settle(1)
    assert held == [True, True]
    assert not aside.lock.locked()


def test_a_disk_that_takes_nothing_is_told(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        Aside(tmp_path / "nowhere" / "aside.ndjson").write({})


def test_what_is_no_line_costs_nothing_but_itself(tmp_path):
    aside = Aside(tmp_path / "aside.ndjson")
    aside.write({"reason": "one"})
    with aside.path.open("ab") as file:
        file.write(b'\xff\x00\n[]\n5\n{"settled": []}\n{"line": 5}\n{"line": {"reason": "unnumbered"}}\n')
    again = Aside(aside.path)
    assert [line["reason"] for _, line in again.unsettled()] == ["one", "unnumbered"]
    again.write({"reason": "after"})
    assert [line["reason"] for _, line in Aside(aside.path).unsettled()] == ["one", "unnumbered", "after"]
