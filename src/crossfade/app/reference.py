"""Generates the reference of the command line: `python -m crossfade.app.reference [ROOT]` writes it.

A test compares it with the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from crossfade.app.cli.main import NOUNS, app

PAGE = "docs/reference/commands.md"
_HEAD = """# Commands

Generated from the code; `crossfade NOUN --help` prints the same. What prints rows or facts also prints \
them as JSON with `--json`.
"""


def generated() -> str:
    """The page as markdown."""
    root: Any = get_command(app)
    lines = [_HEAD]
    for noun, (_, summary) in NOUNS.items():
        lines += [f"## {noun}", "", summary, ""]
        for path, command in _commands((noun,), root.get_command(None, noun)):
            lines += _section(path, command)
    return "\n".join(lines).rstrip("\n") + "\n"


def _commands(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The command itself, or those of a group, however deep."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(None):
        yield from _commands((*path, name), command.get_command(None, name))


def _section(path: tuple[str, ...], command: Any) -> list[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join(["crossfade", *path, *map(_placeholder, arguments)])
    lines = [f"### `{usage}`", "", _text(command.help), ""]
    rows = [(_placeholder(one), one.help) for one in arguments if one.help]
    rows += [(", ".join(one.opts + one.secondary_opts), _with_default(one)) for one in options]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {_text(meaning).replace('|', chr(92) + '|')} |" for name, meaning in rows]
        lines.append("")
    return lines


def _placeholder(argument: Any) -> str:
    name = (argument.metavar or argument.name or "").upper() + ("…" if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _with_default(option: Any) -> str:
    shown = option.default not in (None, False, True, "", ()) and not callable(option.default)
    required = " Required." if option.required else ""
    return f"{option.help or ''}{required}{f' Default: `{option.default}`.' if shown else ''}".strip()


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def main(root: Path) -> None:
    """Write the page below `root`."""
    (root / PAGE).write_text(generated())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
