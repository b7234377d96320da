"""Recorded streams whose connection ends at a random byte: none may look finished to its caller.

`python tests/e2e/recorded/cut.py EXCHANGES [--streams 10000] [--seed 1]` prints how the callers were
told, and every answer that looked finished and was not; ends with 1 if there is one.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from callers import FORMS  # noqa: E402
from expected import misses  # noqa: E402 - found by the line above
from upstream import Recording, replaying  # noqa: E402

from crossfade.app.wire.exchange import Exchange, read_exchanges  # noqa: E402
from replay import BATCH, CUTS, Case, ask_all, usable  # noqa: E402


@dataclass
class Told:
    """How the callers of cut streams learnt of it. `whole`: the cut came after all had been said."""

    streams: int = 0
    whole: int = 0
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    false_ends: dict[str, str] = field(default_factory=dict)


def cases(streams: list[Exchange], count: int, seed: int) -> Iterator[Case]:
    """`count` draws of a stream, a caller, and the byte after which its connection ends."""
    draw = random.Random(seed)
    forms = list(FORMS)
    for number in range(count):
        exchange, cut = draw.choice(streams), draw.choice(CUTS)
        recording = Recording(exchange.status, exchange.headers, exchange.body, cut)
        size = sum(len(part) for part in recording.wire())
        yield Case(exchange, cut, draw.choice(forms), f"x{number}", draw.randrange(size), draw.random() < 0.5)


def run(exchanges: list[Exchange], count: int, seed: int) -> Told:
    """Asks for `count` streams that are all cut."""
    streams = [one for one in exchanges if usable(one) and one.stream and one.kind != "error"]
    told, drawn = Told(), list(cases(streams, count, seed))
    with replaying() as upstream:
        for start in range(0, len(drawn), BATCH):
            for case, seen in ask_all(drawn[start : start + BATCH], upstream):
                told.streams += 1
                if seen.error is not None:
                    told.errors[seen.error] += 1
                elif found := misses(case.exchange, case.form, seen):
                    name = f"{case.exchange.id} {case.cut} {case.form} after {case.ends_at} bytes"
                    told.false_ends[name] = "; ".join(found)
                else:
                    told.whole += 1
            upstream.recordings.clear()
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exchanges", type=Path)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    told = run(list(read_exchanges(asked.exchanges)), asked.streams, asked.seed)
    for name, found in told.false_ends.items():
        sys.stdout.write(f"looked finished: {name}: {found}\n")
    errors = ", ".join(f"{count} {name}" for name, count in told.errors.most_common())
    sys.stdout.write(
        f"{told.streams} streams cut: {told.whole} after all had been said, told of the cut: {errors}; "
        f"looked finished and were not: {len(told.false_ends)}\n"
    )
    return 1 if told.false_ends else 0


if __name__ == "__main__":
    sys.exit(main())
