"""What came in, by whom it is about, so that of twenty readers each looks at its own part only."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Backlog(Generic[Item]):
    """Numbered over all; of all together the newest `at_most` are kept."""

    at_most: int
    cursor: int = 0
    items: defaultdict[str, deque[tuple[int, Item]]] = field(default_factory=lambda: defaultdict(deque))
    order: deque[str] = field(default_factory=deque)

    def add(self, about: str, item: Item) -> None:
        """One more."""
        self.cursor += 1
        self.items[about].append((self.cursor, item))
        self.order.append(about)
        if len(self.order) > self.at_most:
            self.items[self.order.popleft()].popleft()

    def since(self, about: str, cursor: int) -> tuple[int, list[Item]]:
        """What came about it after `cursor`, and the new cursor; -1 = from now on."""
        fresh: list[Item] = []
        for number, item in reversed(self.items.get(about, ())) if cursor >= 0 else ():
            if number <= cursor:
                break
            fresh.append(item)
        return self.cursor, fresh[::-1]
