"""What people may do."""

from __future__ import annotations

import unicodedata
from enum import StrEnum


class Role(StrEnum):
    """A person's role. An administrator may do everything but sign for another."""

    VIEWER = "viewer"  # reads
    OPERATOR = "operator"  # holds, rolls back, drills, labels
    RELEASER = "releaser"  # starts, resumes, advances, promotes, closes
    COMPLIANCE = "compliance"  # signs and waives
    ADMIN = "admin"


def person_key(name: str) -> str:
    """What two spellings of one person's name have in common: four eyes are not "Bo" and "bo "."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
