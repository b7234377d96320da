"""What a caller asks and what the simulated model says to it, free of any dialect.

An answer is a list of parts: thought, text, tool calls. A tool is called when the caller forces one, or when
a word of its name or description stands in the user's last words; after a tool's result the model speaks.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from crossfade.sim.config import ModelConfig
from crossfade.sim.judge import JudgeSkill, compose_verdict, read_judge_prompt
from crossfade.sim.text import (
    Length,
    Quality,
    compose_answer,
    compose_json,
    count_tokens,
    fill_schema,
    key_point,
    truncate,
)

CACHEABLE_TOKENS = 1024  # the shortest prefix that providers cache
_WORD = re.compile(r"[a-z]{4,}")


class PartKind(StrEnum):
    """What a part of an answer is."""

    THOUGHT = "thought"
    TEXT = "text"
    CALL = "call"


class Stop(StrEnum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    TOOLS = "tools"
    SEQUENCE = "sequence"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the caller offers; `schema` of its arguments."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which tools may or must be called: `mode` is auto, any or none; `name` forces one."""

    mode: str = "auto"
    name: str | None = None
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants."""

    request_id: str
    kind: str  # unary | stream
    texts: tuple[str, ...]  # every message, oldest first, system text included
    source: str  # the last words of the user
    max_tokens: int | None
    schema: dict[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    choice: Choice = field(default_factory=Choice)
    after_result: bool = False
    thinks: bool = False
    stop_sequences: tuple[str, ...] = ()
    cached_texts: int = 0  # so many of the first texts the caller wants cached
    images: int = 0

    @property
    def input_tokens(self) -> int:
        """Four bytes a token, three tokens around each message, 258 an image, the tools' schemas."""
        tools = sum(
            count_tokens(tool.name + tool.description + json.dumps(tool.schema)) for tool in self.tools
        )
        return sum(count_tokens(text) + 3 for text in self.texts) + 258 * self.images + tools

    @property
    def prefix(self) -> tuple[str, int]:
        """Name and tokens of the part to be cached; no tokens when it is too short."""
        texts = self.texts[: self.cached_texts]
        tokens = sum(count_tokens(text) + 3 for text in texts)
        if tokens < CACHEABLE_TOKENS:
            return "", 0
        return hashlib.sha256("\x00".join(texts).encode()).hexdigest(), tokens


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer: `text` is words, or a call's arguments as JSON."""

    kind: PartKind
    text: str
    name: str = ""
    id: str = ""

    @property
    def tokens(self) -> int:
        """What it costs."""
        return count_tokens(self.text) + count_tokens(self.name)


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts, in order, and why there are no more."""

    parts: tuple[Part, ...]
    stop: Stop


def compose(ask: Ask, model: ModelConfig, seed: int) -> Answer:
    """The answer of a model, the same for the same arguments."""
    calls = () if model.judge is not None else _calls(ask)
    parts = [_thought(ask)] if ask.thinks else []
    if calls:
        return _limit(Answer((*parts, *calls), Stop.TOOLS), ask, model)
    text, stop = _text(ask, model, seed), Stop.END
    for sequence in ask.stop_sequences:
        if sequence and sequence in text:
            text, stop = text[: text.index(sequence)], Stop.SEQUENCE
    return _limit(Answer((*parts, Part(PartKind.TEXT, text)), stop), ask, model)


def sign_thought(text: str) -> str:
    """The signature that must come back unchanged with a thought."""
    return hashlib.sha256(f"thought:{text}".encode()).hexdigest()


def _text(ask: Ask, model: ModelConfig, seed: int) -> str:
    judged = read_judge_prompt("\n".join(ask.texts)) if model.judge is not None else None
    if judged is not None and model.judge is not None:
        skill = JudgeSkill(model.judge.sensitivity, model.judge.specificity)
        return compose_verdict(judged, skill, seed=seed, model=model.id)
    quality = Quality(**model.quality.model_dump())
    length = Length(model.output.mean_tokens, model.output.cv)
    text = compose_answer(ask.source, seed=seed, model=model.id, quality=quality, length=length)
    return text if ask.schema is None else compose_json(ask.schema, text)


def _thought(ask: Ask) -> Part:
    point = key_point(ask.source) or "nothing in particular"
    return Part(PartKind.THOUGHT, f"The user wants a short answer. What matters most: {point}")


def _calls(ask: Ask) -> tuple[Part, ...]:
    choice = ask.choice
    if not ask.tools or choice.mode == "none" or (ask.after_result and choice.mode == "auto"):
        return ()
    words = set(_WORD.findall(ask.source.lower()))
    wanted = [
        tool for tool in ask.tools if words & set(_WORD.findall(f"{tool.name} {tool.description}".lower()))
    ]
    if choice.name is not None:
        wanted = [tool for tool in ask.tools if tool.name == choice.name]
    elif choice.mode == "any" and not wanted:
        wanted = [ask.tools[0]]
    return tuple(
        _call(tool, ask, place) for place, tool in enumerate(wanted[: None if choice.parallel else 1])
    )


def _call(tool: Tool, ask: Ask, place: int) -> Part:
    arguments = fill_schema(tool.schema or {"type": "object"}, _topic(ask.source))
    digest = hashlib.sha256(f"{ask.request_id}:{place}".encode()).hexdigest()[:20]
    return Part(PartKind.CALL, json.dumps(arguments, ensure_ascii=False), tool.name, digest)


def _topic(source: str) -> str:
    """The first name in a text that does not open a sentence; else its first words."""
    found = re.search(r"(?<=[^.!?\s]\s)[A-Z][\w-]+", source)
    return found.group() if found else " ".join(source.split()[:6])


def _limit(answer: Answer, ask: Ask, model: ModelConfig) -> Answer:
    left = min(ask.max_tokens or model.max_output_tokens, model.max_output_tokens)
    kept: list[Part] = []
    for part in answer.parts:
        if part.tokens > left:
            if left > 0 and part.kind is not PartKind.CALL:
                kept.append(Part(part.kind, truncate(part.text, left)))
            return Answer(tuple(kept), Stop.LENGTH)
        kept.append(part)
        left -= part.tokens
    return Answer(tuple(kept), answer.stop)
