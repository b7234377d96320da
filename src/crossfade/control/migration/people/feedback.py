"""What users say about answers: kept, tied to the attempt that made the answer, told to the guards.

A thumb is a backstop: one request in fifty has one, and it comes late. Saying the same thing twice
about one request counts once.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from crossfade.control.migration.guard.plans import KNOWN
from crossfade.control.migration.guard.samples import REMEMBERED, Sample, SampleBoard
from crossfade.control.migration.people.trends import Trends
from crossfade.control.records.store import RecordStore

THUMBS = "thumbs"
FILE = "feedback.ndjson"


@dataclass(frozen=True, slots=True)
class Said:
    """Feedback about one request. `score`: -1 (bad) to 1 (good), null if only an event is told."""

    request_id: str
    score: float | None
    event: str | None
    comment: str | None
    unix_s: float


class Feedback:
    """Takes feedback in. Safe to call from several threads."""

    def __init__(
        self,
        board: SampleBoard,
        records: RecordStore,
        folder: Path,
        clock: Callable[[], float],
        trends: Trends,
    ) -> None:
        self._trends = trends
        self._board = board
        self._records = records
        self._path = folder / FILE
        self._clock = clock
        self._lock = threading.Lock()
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, request_id: str, score: float | None, event: str | None, comment: str | None) -> str:
        """`accepted`, or `duplicate` if as much was said about this request before.

        Raises:
            LookupError: no record of that request.
            OSError: it could not be kept.
        """
        about = self._board.asked.get(request_id) or self._recorded(request_id)
        key = (request_id, event or THUMBS)
        with self._lock:
            if key in self._said:
                return "duplicate"
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(Said(request_id, score, event, comment, self._clock()))) + "\n")
            self._said[key] = None
            if len(self._said) > REMEMBERED:
                self._said.popitem(last=False)
        if score is not None:
            self._trends.observe(about.feature, about.endpoint, about.unit, bad=score < 0.0)
            self._board.add(_with(about, THUMBS, float(score < 0.0)))
        if (
            event is not None and event not in KNOWN
        ):  # what guards measure themselves is not for callers to say
            self._board.add(_with(about, event, 1.0))
        return "accepted"

    def _recorded(self, request_id: str) -> Sample:
        attempts = self._records.attempts_of(request_id)
        if not attempts:
            raise LookupError(
                f"no record of request {request_id!r} (hint: the id is in the answer's header "
                "x-crossfade-request-id; records arrive about a second after it)"
            )
        first = attempts[0]
        started_s = first.started_unix_ms / 1000
        return Sample(
            first.feature,
            first.arm,
            first.arm_name,
            first.share,
            first.unit,
            started_s,
            {},
            {},
            first.endpoint,
        )


def _with(about: Sample, name: str, value: float) -> Sample:
    return about._replace(values={name: value})
