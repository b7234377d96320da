"""The words of simulated models: recaps made of the prompt's own sentences, good or bad on purpose.

A good answer states the source's key point and says nothing that the source does not. A bad one either
contradicts the source (an invented figure or decision, in words a reader can recognise) or leaves the key
point out. `find_defects` reads an answer against its source and so recovers the truth from text alone:
judges and simulated annotators use it, and nothing else tells them.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from crossfade.sim.draws import draw, normal

CONTRADICTION = "contrary to what was said"  # opens every unfaithful sentence
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_][\w'-]{3,}")
_LINKS = ("Further, ", "In addition, ", "It was also said: ", "Then, ", "Next, ")


@dataclass(frozen=True, slots=True)
class Quality:
    """How often a model answers badly.

    `bad_rate` is the share of bad answers, `unfaithful_share` the part of them that contradicts the source,
    `shared_difficulty` the share of prompts whose fate is drawn from the prompt alone, so that models
    stumble over the same ones.
    """

    bad_rate: float = 0.12
    unfaithful_share: float = 0.5
    shared_difficulty: float = 0.5


@dataclass(frozen=True, slots=True)
class Length:
    """Output length in tokens: lognormal with this mean and coefficient of variation."""

    mean_tokens: float = 120.0
    cv: float = 0.35


def count_tokens(text: str) -> int:
    """The simulation's tokenizer: one token for each four bytes of UTF-8, rounded up."""
    return -(-len(text.encode()) // 4)


def sentences_of(source: str) -> list[str]:
    """The sentences of a source with at least three words, in order, without the instruction to recap."""
    found = [" ".join(match.group().split()) for match in _SENTENCE.finditer(source)]
    return [sentence for sentence in found if len(sentence.split()) >= 3 and not _is_instruction(sentence)]


def key_point(source: str) -> str | None:
    """The one sentence no recap may miss: the one with most figures and names; the earliest of equals."""
    sentences = sentences_of(source)
    if not sentences:
        return None
    return max(enumerate(sentences), key=lambda pair: (_weight(pair[1]), -pair[0]))[1]


def compose_answer(source: str, *, seed: int, model: str, quality: Quality, length: Length) -> str:
    """The answer of a model to a source; the same for the same arguments."""
    sentences = sentences_of(source)
    if not sentences:
        return f"You wrote: {' '.join(source.split())[:400] or 'nothing'}. Please say more."
    key = key_point(source) or sentences[0]
    identity = (seed, model, source)
    shared = draw("shared", seed, source) < quality.shared_difficulty
    fate = draw("fate", seed, source) if shared else draw("fate", *identity)
    bad = fate < quality.bad_rate
    unfaithful = bad and draw("defect", *identity) < quality.unfaithful_share
    others = [sentence for sentence in sentences if sentence != key]
    others.sort(key=lambda sentence: -_weight(sentence) - 2 * draw("pick", *identity, sentence))
    body = others if bad and not unfaithful else [key, *others]
    if unfaithful:
        body.insert(1, _contradict(key))
    return _fill(body or [_vague(source)], _wanted_tokens(length, identity), source, identity)


def find_defects(source: str, answer: str) -> tuple[str, ...]:
    """What is wrong with an answer: `unfaithful`, `missing_point`, both or nothing."""
    defects: list[str] = []
    lowered = answer.lower()
    known = set(_NUMBER.findall(source))
    invented = [number for number in _NUMBER.findall(answer) if number not in known]
    if (CONTRADICTION in lowered and CONTRADICTION not in source.lower()) or invented:
        defects.append("unfaithful")
    key = key_point(source)
    if key is not None and not _covers(answer, key):
        defects.append("missing_point")
    return tuple(defects)


def compose_json(schema: dict[str, Any], answer: str) -> str:
    """The answer as a JSON document that satisfies the plain parts of a JSON schema."""
    return json.dumps(fill_schema(schema, answer), ensure_ascii=False)


def split_pieces(text: str, tokens_each: int) -> list[str]:
    """Cut a text into pieces of about so many tokens, at word ends where it can."""
    pieces: list[str] = []
    current = ""
    for word in re.findall(r"\S+\s*|\s+", text):
        current += word
        if count_tokens(current) >= tokens_each:
            pieces.append(current)
            current = ""
    return [*pieces, current] if current else pieces


def truncate(text: str, tokens: int) -> str:
    """The first so many tokens of a text, never half a character."""
    return text.encode()[: tokens * 4].decode(errors="ignore")


def _is_instruction(sentence: str) -> bool:
    return (
        re.match(r"(?i)(please |you are |write |produce )?(summari[sz]e|recap|you are a)\b", sentence)
        is not None
    )


def _weight(sentence: str) -> float:
    names = sum(1 for word in sentence.split()[1:] if word[:1].isupper())
    return 3 * len(_NUMBER.findall(sentence)) + names + min(len(sentence.split()), 30) / 30


def _covers(answer: str, key: str) -> bool:
    """One sentence of the answer holds the key point's figures and three quarters of its longer words."""
    figures = set(_NUMBER.findall(key))
    wanted = {word.lower() for word in _WORD.findall(key)}
    for sentence in sentences_of(answer):
        have = {word.lower() for word in _WORD.findall(sentence)}
        if figures <= set(_NUMBER.findall(sentence)) and len(wanted & have) >= 0.75 * len(wanted):
            return True
    return False


def _contradict(key: str) -> str:
    figures = _NUMBER.findall(key)
    if figures:
        wrong = str(int(re.sub(r"\D", "", figures[0])) * 3 + 7)
        return f"{CONTRADICTION.capitalize()}, the figure was {wrong} and not {figures[0]}."
    return f"{CONTRADICTION.capitalize()}, this was rejected and nothing of it will happen."


def _wanted_tokens(length: Length, identity: tuple[str | float, ...]) -> int:
    variance = math.log(1 + length.cv**2)
    drawn = math.exp(
        math.log(length.mean_tokens) - variance / 2 + math.sqrt(variance) * normal("length", *identity)
    )
    return max(16, round(drawn))


def _vague(source: str) -> str:
    words = sorted({word.lower() for word in _WORD.findall(source)})
    return f"Several topics were touched, among them {words[0] if words else 'some'}."


def _fill(body: list[str], wanted: int, source: str, identity: tuple[str | float, ...]) -> str:
    words = sorted({word.lower() for word in _WORD.findall(source)}) or ["details"]
    text = ""
    for place, sentence in enumerate(body):
        if place > 1 and count_tokens(text) >= wanted:
            break
        link = _LINKS[int(draw("link", *identity, place) * len(_LINKS))] if place > 1 else ""
        text += ("" if not text else " ") + link + sentence.rstrip(".!? ") + "."
    extra = 0
    while count_tokens(text) < wanted:
        picks = [words[int(draw("word", *identity, extra, n) * len(words))] for n in range(3)]
        text += f" The matter of {picks[0]}, {picks[1]} and {picks[2]} came up in passing."
        extra += 1
    return text


def fill_schema(schema: dict[str, Any], answer: str) -> Any:
    """A value that satisfies the plain parts of a JSON schema, made of `answer`."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        properties: dict[str, Any] = schema.get("properties", {"answer": {"type": "string"}})
        return {name: fill_schema(part, answer) for name, part in properties.items()}
    if kind == "array":
        return [
            fill_schema(schema.get("items", {"type": "string"}), part) for part in sentences_of(answer)[:3]
        ]
    values: dict[str, Any] = {"string": answer, "number": 1.0, "integer": 1, "boolean": True, "null": None}
    return values.get(kind, answer)
