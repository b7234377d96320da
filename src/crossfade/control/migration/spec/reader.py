"""Reads a migration file: typed values by key path, every problem gathered with its place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from crossfade.config.load import Problem
from crossfade.config.quantity import parse_share

Marks = Mapping[str, tuple[int, int]]


class SpecError(ValueError):
    """A migration file that does not check."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def load_document(text: str, file: str) -> tuple[dict[str, Any], Marks]:
    """The YAML document and the place of every key path.

    Raises:
        SpecError: if it is not YAML or not a mapping.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise SpecError((Problem(file, line, column, "", f"not YAML: {error.problem}"),)) from error
    if not isinstance(document, dict) or node is None:
        raise SpecError((Problem(file, 1, 1, "", "not a migration", "start with `migration: NAME`"),))
    marks: dict[str, tuple[int, int]] = {}
    _mark(node, "", marks)
    return document, marks


def _mark(node: yaml.Node, path: str, marks: dict[str, tuple[int, int]]) -> None:
    marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            marks[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _mark(value, inner, marks)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _mark(value, f"{path}[{index}]", marks)


class Reader:
    """Reads typed values by key path and gathers problems."""

    def __init__(self, file: str, marks: Marks) -> None:
        self.file = file
        self.marks = marks
        self.problems: list[Problem] = []

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

    def count(self, section: Mapping[str, Any], path: str, default: int) -> int:
        """A whole number above zero."""
        value = section.get(path.rpartition(".")[2], default)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.blame(path, f"must be a whole number above 0, is {value!r}")
        return 1


def join(path: str, key: str) -> str:
    """The path of a key within a section."""
    return f"{path}.{key}" if path else key


def parse_margin(value: Any) -> float:
    """The fraction of `5pt`, points of a rate in per cent, or of `5%`. ValueError without a unit."""
    if isinstance(value, str) and value.endswith("pt"):
        return parse_share(value.removesuffix("pt").strip() + "%")
    return parse_share(value)
