"""The reference and the guides say what there is."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from crossfade.app import reference
from crossfade.app.cli.main import app

ROOT = Path(__file__).parents[3]


def test_the_reference_of_commands_is_fresh():
    assert (ROOT / reference.PAGE).read_text() == reference.generated(), "run `make docs`"


def test_every_command_the_documents_name_exists():
    mention = re.compile(r"(?:`|^|\$ |\| |&& )crossfade ((?:[a-z][a-z-]+ ?)+)", re.MULTILINE)
    places = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "console/src").rglob("*.ts*")]
    named = [(file, words) for file in places for words in mention.findall(file.read_text())]

    assert len(named) > 80, "they name commands"
    assert [(file.name, words) for file, words in named if not exists(words.split())] == []


def exists(words):
    """Whether each word, as far as they are commands, is one of the command before it."""
    at = get_command(app)
    for word in words:
        if not hasattr(at, "get_command"):
            return True
        at = at.get_command(None, word)
        if at is None:
            return False
    return True


def test_every_metric_is_in_the_reference_and_no_other():
    gateway = (ROOT / "engine/gateway/src/report/metrics.rs").read_text()
    control = (ROOT / "src/crossfade/control/api/metrics.py").read_text()
    made = re.findall(r'register\(\s*"(\w+)"', gateway) + re.findall(r'MetricFamily\(\s*"(\w+)"', control)
    page = (ROOT / "docs/reference/metrics.md").read_text()

    assert len(made) > 15
    assert sorted(re.findall(r"^\| `(crossfade_\w+)`", page, re.MULTILINE)) == sorted(made)


def test_every_series_that_a_page_names_is_one_that_is_exported():
    reference = (ROOT / "docs/reference/metrics.md").read_text()
    ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    rows = re.findall(r"^\| `(crossfade_\w+)` \| (\w+) \|", reference, re.MULTILINE)
    series = {name + end for name, kind in rows for end in ends[kind]}
    prose = [line for line in reference.splitlines() if not line.startswith("|")]
    pages = [
        page for folder in ("on-call", "guides", "concepts") for page in (ROOT / "docs" / folder).glob("*.md")
    ]
    named = [
        (place, name)
        for place, text in [
            ("metrics.md", "\n".join(prose)),
            *((page.name, page.read_text()) for page in pages),
        ]
        for name in re.findall(r"\bcrossfade_\w+", text)
    ]

    assert len(named) > 15
    assert [(place, name) for place, name in named if name not in series] == []


def test_every_page_that_is_pointed_at_exists():
    pages = [file for folder in ("src", "engine", "docs", "tests") for file in (ROOT / folder).rglob("*.*")]
    texts = {file: file.read_text() for file in pages if file.suffix in {".py", ".rs", ".md"}}
    by_path = {name for text in texts.values() for name in re.findall(r"docs/[a-z-]+/[\w-]+\.md", text)}
    by_link = {
        (file.parent / link).resolve()
        for file, text in texts.items()
        if file.is_relative_to(ROOT / "docs")
        for link in re.findall(r"\]\(([^)#:]+\.md)", text)
    }

    assert len(by_path) > 5
    assert len(by_link) > 20
    assert [name for name in sorted(by_path) if not (ROOT / name).is_file()] == []
    assert [path for path in sorted(by_link) if not path.is_file()] == []
