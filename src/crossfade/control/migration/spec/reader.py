"""Reads a migration file: typed values by key path, every problem gathered with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crossfade.config.load import ConfigError, Problem, read_document, read_text
from crossfade.config.quantity import parse_duration_s, parse_share

Marks = Mapping[str, tuple[int, int]]

LONGEST_S = 366 * 86_400.0  # of any duration: what is meant to end must end
MOST_COUNT = 1_000_000_000
_MIGRATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # it names a folder, a flag and an address


class SpecError(ValueError):
    """A migration file that does not check."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def read_file(path: Path) -> str:
    """A migration file's text. Raises SpecError if it cannot be read."""
    try:
        return read_text(path, "give the path of a migration file")
    except ConfigError as error:
        raise SpecError(tuple(error.problems)) from error


def load_document(text: str, file: str) -> tuple[dict[str, Any], Marks]:
    """The YAML document and the place of every key path.

    Raises:
        SpecError: if it is not YAML or not a mapping.
    """
    try:
        document, marks = read_document(text, file)
    except ConfigError as error:
        raise SpecError(tuple(error.problems)) from error
    if not isinstance(document, dict):
        raise SpecError((Problem(file, 1, 1, "", "not a migration", "start with `migration: NAME`"),))
    return document, {".".join(path): place for path, place in marks.items()}


class Reader:
    """Reads typed values by key path and gathers problems."""

    def __init__(self, file: str, marks: Marks) -> None:
        self.file = file
        self.marks = marks
        self.problems: list[Problem] = []

    @property
    def blamed(self) -> frozenset[str]:
        """The paths that have a problem."""
        return frozenset(problem.path for problem in self.problems)

    def blame(self, path: str, what: str, hint: str = "") -> None:
        """Note a problem at the nearest known place of `path`."""
        place = path
        while place and place not in self.marks:
            place = place.rpartition(".")[0]
        line, column = self.marks.get(place, (0, 0))
        self.problems.append(Problem(self.file, line, column, path, what, hint))

    def section(self, value: Any, path: str, known: tuple[str, ...]) -> Mapping[str, Any]:
        """A mapping without unknown keys."""
        if not isinstance(value, Mapping):
            self.blame(path, f"must be a mapping, is {type(value).__name__}")
            return {}
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
                self.blame(join(path, str(key)), "unknown key", hint)
        return value

    def name(self, section: Mapping[str, Any], key: str) -> str:
        """A required name."""
        value = section.get(key)
        if isinstance(value, str) and value and all(c.isalnum() or c in "-_." for c in value):
            return value
        self.blame(key, "must be a name", "letters, digits, dash, dot, underscore")
        return ""

    def migration(self, section: Mapping[str, Any]) -> str:
        """The migration's own name."""
        value = section.get("migration")
        if isinstance(value, str) and _MIGRATION.fullmatch(value):
            return value
        hint = "at most 100 letters a-z, digits, dash, dot, underscore; a letter or digit first"
        self.blame("migration", "must be a name", hint)
        return ""

    def names(
        self, section: Mapping[str, Any], key: str, default: tuple[str, ...] = (), path: str = ""
    ) -> tuple[str, ...]:
        """A list of texts."""
        value = section.get(key, list(default))
        if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            return tuple(dict.fromkeys(value))
        self.blame(join(path, key), "must be a list of names", f"{key}: [a, b]")
        return ()

    def quantity(
        self, section: Mapping[str, Any], path: str, default: Any, parse: Callable[[Any], float]
    ) -> float:
        """A number with its unit."""
        value = section.get(path.rpartition(".")[2], default)
        try:
            return parse(value)
        except ValueError as error:
            self.blame(path, str(error))
            return 0.0

    def quantities(
        self, section: Mapping[str, Any], path: str, default: Mapping[str, Any], parse: Callable[[Any], float]
    ) -> dict[str, float]:
        """A mapping of names to numbers with units."""
        value = section.get(path.rpartition(".")[2], default)
        if not isinstance(value, Mapping):
            self.blame(path, "must be a mapping of names to numbers with units")
            return {}
        return {str(key): self.quantity(value, f"{path}.{key}", None, parse) for key in value}

    def above_zero(
        self, section: Mapping[str, Any], path: str, default: Any, parse: Callable[[Any], float]
    ) -> float:
        """A number with its unit that is not nothing."""
        value = self.quantity(section, path, default, parse)
        if value <= 0 and path not in self.blamed:
            self.blame(path, "must be above 0", f"{path.rpartition('.')[2]}: {default}" if default else "")
        return value

    def count(self, section: Mapping[str, Any], path: str, default: int) -> int:
        """A whole number above zero."""
        value = section.get(path.rpartition(".")[2], default)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            self.blame(path, f"must be a whole number above 0, is {value!r}")
            return 1
        if value > MOST_COUNT:
            self.blame(path, f"must be at most {MOST_COUNT:,}")
            return 1
        return value


def join(path: str, key: str) -> str:
    """The path of a key within a section."""
    return f"{path}.{key}" if path else key


def parse_limited_s(value: Any) -> float:
    """A duration in seconds. ValueError without a unit, or for more than a year."""
    seconds = parse_duration_s(value)
    if seconds > LONGEST_S:
        raise ValueError(f"{value!r} is more than {LONGEST_S / 86_400:.0f}d")
    return seconds


def parse_margin(value: Any) -> float:
    """The fraction of `5pt`, points of a rate in per cent, or of `5%`. ValueError without a unit."""
    points = (
        value.removesuffix("pt").strip() + "%" if isinstance(value, str) and value.endswith("pt") else value
    )
    try:
        return parse_share(points)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a margin (hint: write points of 100, such as 5pt)") from error
