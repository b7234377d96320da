"""Capacity that is a queue: instances, each serving some requests at once, and one line before them."""

from __future__ import annotations

from collections import deque


class Instances:
    """`instances x slots` places and a first-in-first-out queue of at most `queue_limit`."""

    def __init__(self, instances: int, slots: int, queue_limit: int) -> None:
        self.instances = instances
        self.slots = slots
        self.queue_limit = queue_limit
        self.running: set[str] = set()
        self.waiting: deque[str] = deque()

    @property
    def places(self) -> int:
        """How many requests can run at once."""
        return self.instances * self.slots

    def arrive(self, request: str) -> str:
        """Returns `started`, `queued`, or `full` (the request was not taken)."""
        if len(self.running) < self.places and not self.waiting:
            self.running.add(request)
            return "started"
        if len(self.waiting) >= self.queue_limit:
            return "full"
        self.waiting.append(request)
        return "queued"

    def leave(self, request: str) -> list[str]:
        """The request ended or was abandoned, running or waiting; returns those that start now."""
        if request in self.running:
            self.running.remove(request)
        elif request in self.waiting:
            self.waiting.remove(request)
        return self._start_waiting()

    def resize(self, instances: int) -> list[str]:
        """Change the number of instances; running requests finish. Returns those that start now."""
        self.instances = instances
        return self._start_waiting()

    def _start_waiting(self) -> list[str]:
        started: list[str] = []
        while self.waiting and len(self.running) < self.places:
            request = self.waiting.popleft()
            self.running.add(request)
            started.append(request)
        return started
