"""Reads a config file: every problem on a line of its own, with place, key and hint."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from crossfade.config.expand import expand
from crossfade.config.features import Config


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where, and how to mend it. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """`file:line:column key.path: what (hint: …)`."""
        hint = f" (hint: {self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column} {self.path or 'file'}: {self.what}{hint}"


class ConfigError(Exception):
    """The file does not check; nothing of it was applied."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config that checks, and what is worth a look in it."""

    config: Config
    warnings: tuple[Problem, ...]
    text: str


Marks = dict[tuple[str, ...], tuple[int, int]]
MOST_BYTES = 4 << 20  # of a file; a thousand features with every key take a tenth of it
MOST_VALUES = 200_000  # aliases of aliases make a few lines into more than any machine holds


@dataclass(slots=True)
class _Reader:
    """Builds plain data from YAML nodes, noting where each key stands."""

    file: str
    marks: Marks
    problems: list[Problem]
    values: int = 0

    def build(self, node: yaml.Node, path: tuple[str, ...], above: tuple[int, ...] = ()) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            if self.values == MOST_VALUES + 1:
                said = f"says more than {MOST_VALUES:,} values"
                self.blame(node, (), said, "write out what its aliases repeat")
            return None
        self.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if id(node) in above:
            self.blame(node, path, "an alias leads back to itself", "write the value out")
            return None
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, str(i)), above) for i, item in enumerate(node.value)]
        try:
            return yaml.SafeLoader("").construct_object(node)
        except ValueError as error:  # a date or a number that is none
            self.blame(node, path, f"cannot be read: {error}", "put text in quotes")
            return None

    def mapping(
        self, node: yaml.MappingNode, path: tuple[str, ...], above: tuple[int, ...]
    ) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.blame(key_node, path, "a key must be a name", "write NAME: VALUE")
                continue
            key = str(key_node.value)
            self.marks[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in built:
                self.blame(key_node, (*path, key), "the key stands twice", "keep one of them")
            built[key] = self.build(value_node, (*path, key), above)
        return built

    def blame(self, node: yaml.Node, path: tuple[str, ...], what: str, hint: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, ".".join(path), what, hint))


def load_config(path: Path, *, secrets: bool = True) -> Loaded:
    """Read, expand and check `path`. `secrets` False: whether they are set is somebody else's affair.

    Raises:
        ConfigError: with every problem found, none of it applied.
    """
    text = read_text(path, "crossfade init writes a first one")
    return load_text(text, str(path), secrets=secrets)


def load_text(text: str, file: str, *, secrets: bool = True) -> Loaded:
    """Like `load_config`, for text that came from elsewhere."""
    from crossfade.config.check import check  # noqa: PLC0415 - check reads `Problem` from here

    document, marks = _parse(text, file)
    try:
        config = Config.model_validate(expand(document))
    except ValidationError as error:
        raise ConfigError(_schema_problems(error, file, marks)) from error
    problems, warnings = check(config, file, marks, secrets=secrets)
    if problems:
        raise ConfigError(problems)
    return Loaded(config, tuple(warnings), text)


def _parse(text: str, file: str) -> tuple[dict[str, Any], Marks]:
    document, marks = read_document(text, file)
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError([Problem(file, 1, 1, "", "must be a mapping of sections", "see crossfade init")])
    return document, marks


def read_text(path: Path, hint: str) -> str:
    """A YAML file's text. Raises ConfigError if it cannot be read, is too large or is not UTF-8."""
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise _unreadable(path, f"is larger than {MOST_BYTES >> 20} MiB", hint)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}", hint) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "cannot be read: is not UTF-8 text", hint) from error


def _unreadable(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError([Problem(str(path), 1, 1, "", what, hint)])


def read_document(text: str, file: str) -> tuple[Any, Marks]:
    """A YAML document as plain data, keys as text, and the place of every key; null where it is empty.

    Raises:
        ConfigError: it is not YAML, a key stands twice, or it says more than a person wrote.
    """
    reader = _Reader(file, {}, [])
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = reader.build(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigError([Problem(file, line, column, "", f"is not YAML: {error.problem}")]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"is not YAML: character U+{ord(text[error.position]):04X}"
        raise ConfigError([Problem(file, line, 1, "", what, "it must be printable text")]) from error
    except RecursionError as error:
        problem = Problem(file, 1, 1, "", "is nested too deeply", "a few levels are all it has")
        raise ConfigError([problem]) from error
    if reader.problems:
        raise ConfigError(reader.problems)
    return document, reader.marks


def place_of(marks: Marks, path: tuple[str, ...]) -> tuple[int, int]:
    """Line and column of a key, or of the nearest one above it that is in the file."""
    while path and path not in marks:
        path = path[:-1]
    return marks.get(path, (1, 1))


def _schema_problems(error: ValidationError, file: str, marks: Marks) -> list[Problem]:
    problems = []
    for item in error.errors():
        path = tuple(str(part) for part in item["loc"])
        line, column = place_of(marks, path)
        what, hint = _say(item, path)
        problem = Problem(file, line, column, ".".join(path), what, hint)
        if problem not in problems:
            problems.append(problem)
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _say(item: Any, path: tuple[str, ...]) -> tuple[str, str]:
    if item["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        near = difflib.get_close_matches(path[-1], known, 1)
        return "unknown key", f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
    if item["type"] == "missing":
        return "is missing", f"known keys: {', '.join(_known_keys(path[:-1]))}"
    message = str(item["msg"]).removeprefix("Value error, ")
    if " (hint: " in message and message.endswith(")"):
        what, _, hint = message[:-1].partition(" (hint: ")
        return what, hint
    value = item.get("input")
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) else ""
    return message[:1].lower() + message[1:] + shown, ""


def _known_keys(path: tuple[str, ...]) -> list[str]:
    """Keys of the section at `path`, found by walking the schema's classes."""
    current: Any = Config
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            fields = {(field.alias or name): field.annotation for name, field in current.model_fields.items()}
            if part in fields:  # else a name or an index inside a mapping or list of sections
                current = _section_in(fields[part])
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items()]
    return []


def _section_in(annotation: Any) -> Any:
    """The section class inside `dict[str, X]`, `tuple[X, ...]` or `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _section_in(argument)
        if found is not None:
            return found
    return None
