from __future__ import annotations

from crossfade.control.records.backlog import Backlog


def test_a_reader_is_told_what_came_about_its_own_since_it_looked():
    backlog: Backlog[str] = Backlog(at_most=10)
    assert backlog.since("a", -1) == (0, [])
    for about, item in (("a", "1"), ("b", "2"), ("a", "3")):
        backlog.add(about, item)
    assert backlog.since("a", 0) == (3, ["1", "3"])
    assert backlog.since("a", 1) == (3, ["3"])
    assert backlog.since("a", 3) == (3, [])
    assert backlog.since("nobody", 0) == (3, [])
    assert backlog.since("b", -1) == (3, [])


def test_the_oldest_of_all_together_is_dropped():
    backlog: Backlog[int] = Backlog(at_most=3)
    for number, about in enumerate("abbba"):
        backlog.add(about, number)
    assert backlog.since("a", 0) == (5, [4])
    assert backlog.since("b", 0) == (5, [2, 3])
