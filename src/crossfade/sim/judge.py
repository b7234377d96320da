"""Simulated judges: they read source and answer from the prompt and err at known rates.

The truth comes from `text.find_defects` on what the prompt contains. `sensitivity` is the chance to pass
a good answer, `specificity` the chance to fail a bad one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from crossfade.sim.draws import draw
from crossfade.sim.text import find_defects

_WANTS_VERDICT = re.compile(r"[\"']?pass[\"']?\s*:\s*", re.IGNORECASE)
_ROLE = re.compile(
    r"^[\[*]*(?:user|system|assistant)[\]*]*:[ \t]*|^\[(?:user|system|assistant)\][ \t]*", re.MULTILINE
)
_NAMES_ANSWER = r"(?:answer|response|summary|candidate|output|recap)"
_NAMES_SOURCE = r"(?:source|document|prompt|question|request|input|transcript|conversation|context)"

_ANY_NAME = rf"(?:{_NAMES_ANSWER}|{_NAMES_SOURCE}|rubric|criteri\w+|verdict)"


@dataclass(frozen=True, slots=True)
class JudgeSkill:
    """How well a judge tells good from bad."""

    sensitivity: float = 0.92
    specificity: float = 0.85


@dataclass(frozen=True, slots=True)
class Judged:
    """The two texts a judge prompt puts side by side, and which defects its rubric asks about."""

    source: str
    answer: str
    rubric: frozenset[str]


def read_judge_prompt(text: str) -> Judged | None:
    """The parts of a judge prompt, or null when the text does not ask for a pass verdict.

    Understands `<source>...</source> <answer>...</answer>` and headed sections (`Answer:` or `## Answer` on a
    line of its own or opening one).
    """
    if not _WANTS_VERDICT.search(text):
        return None
    answer = _section(text, _NAMES_ANSWER)
    source = _section(text, _NAMES_SOURCE)
    if answer is None or source is None:
        return None
    source_text, answer_text = _plain(source), _plain(answer)
    instruction = text.replace(answer, " ").replace(source, " ").lower()
    faithful = re.search(r"faithful|grounded|contradict|invent|hallucinat|unsupported", instruction)
    covers = re.search(r"cover|complete|key point|missing|omit|leaves out|required", instruction)
    if bool(faithful) == bool(covers):
        return Judged(source_text, answer_text, frozenset({"unfaithful", "missing_point"}))
    return Judged(source_text, answer_text, frozenset({"unfaithful" if faithful else "missing_point"}))


def compose_verdict(judged: Judged, skill: JudgeSkill, *, seed: int, model: str) -> str:
    """The judge's JSON verdict: `{"pass": ..., "reason": ...}`."""
    defects = [defect for defect in find_defects(judged.source, judged.answer) if defect in judged.rubric]
    is_good = not defects
    chance = draw("judge", seed, model, judged.source, judged.answer)
    passed = chance < skill.sensitivity if is_good else chance >= skill.specificity
    reason = (
        "Every statement is supported and the main point is present."
        if passed
        else "The answer does not hold against the source."
    )
    return json.dumps({"pass": passed, "reason": reason})


def _plain(section: str) -> str:
    """The words of a section: out of chat messages in JSON, and without `user:` before them."""
    try:
        document = json.loads(section)
    except ValueError:
        return _ROLE.sub("", section).strip()
    return "\n".join(_strings(document)) or section


def _strings(document: Any) -> list[str]:
    if isinstance(document, str):
        return [document]
    if isinstance(document, list):
        return [text for part in document for text in _strings(part)]
    if isinstance(document, dict):
        return [
            text for key, part in document.items() if key not in {"role", "type"} for text in _strings(part)
        ]
    return []


def _section(text: str, names: str) -> str | None:
    tagged = re.search(rf"<({names})\b[^>]*>(.*?)</\1>", text, re.IGNORECASE | re.DOTALL)
    if tagged:
        return tagged[2].strip()
    opened = list(re.finditer(_heading(names), text, re.IGNORECASE | re.MULTILINE))
    for match in reversed(opened):
        rest = text[match.end() :]
        closed = re.search(_heading(_ANY_NAME), rest, re.IGNORECASE | re.MULTILINE)
        body = (rest[: closed.start()] if closed else rest).strip().strip('"`')
        if body and not _WANTS_VERDICT.search(body[:60]):
            return body
    return None


def _heading(names: str) -> str:
    """A pattern for `## Answer`, `Answer:`, `**Answer**:` and `[ANSWER]` at the start of a line."""
    hashed = rf"#+[ \t]*(?:the[ \t]+)?{names}\b[^\n]*"
    closed = rf"[ \t\[*]*(?:the[ \t]+)?{names}\b[^\n:\]*]{{0,30}}(?:\]|:)?\**(?<=[\]:*]):?"
    return rf"^(?:{hashed}|{closed})"
