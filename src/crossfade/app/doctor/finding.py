"""One answer of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended; `skipped` = it could not be made, and the finding says why."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """A check of an endpoint (or of the deployment); `fix` says what to do about it."""

    subject: str
    check: str
    state: State
    what: str
    fix: str = ""

    def __str__(self) -> str:
        """One line for people."""
        fix = f" (fix: {self.fix})" if self.fix else ""
        return f"{self.state.value:<7} {self.subject} {self.check}: {self.what}{fix}"
