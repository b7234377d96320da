"""Many may read the files at once; who moves them waits until nobody reads, and keeps readers out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Layout:
    """A lock for many readers or one mover."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._readers = 0
        self._is_moving = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The files stay as they are inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_moving)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def moving(self, timeout_s: float) -> Iterator[bool]:
        """Whether the files may be moved inside; false where readers did not leave within `timeout_s`."""
        with self._changed:
            is_free = self._changed.wait_for(lambda: not self._readers and not self._is_moving, timeout_s)
            self._is_moving = self._is_moving or is_free
        try:
            yield is_free
        finally:
            if is_free:
                with self._changed:
                    self._is_moving = False
                    self._changed.notify_all()
