"""The bodies of Bedrock's families that take one prompt: Titan, Llama, Mistral, Command and Command R.

They differ in names only, so a family is a row of names and of the two forms of its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, read_limit, read_object
from crossfade.sim.endpoints.answer import Ask, Stop
from crossfade.sim.endpoints.generation import Generation

# where a turn of the user's begins, in the forms prompts are written in, and where the next one's does
_TURN = re.compile(r"<\|start_header_id\|>user<\|end_header_id\|>\n\n|\[INST\]|(?:^|\n)(?:User|Human):")
_NEXT = re.compile(r"<\|eot_id\|>|\[/INST\]|\n+(?:Assistant|Bot|User|Human):")


@dataclass(frozen=True, slots=True)
class Family:
    """`body`: the key of the prompt; `limit`, `stop` and what else it takes, below `config` if that is set.

    `whole` forms an answer, `chunk` a piece of one (its words, and the stop reason with the last).
    """

    body: str
    limit: str
    stop: str | None
    others: frozenset[str]
    words: dict[Stop, str]
    whole: Callable[[Generation, str, str], dict[str, Any]]
    chunk: Callable[[Generation, str, str | None], dict[str, Any]]
    config: str | None = None


def last_words(prompt: str) -> str:
    """The last turn of the user's in a prompt that writes roles out; else all of it."""
    turns = _TURN.split(prompt)
    return _NEXT.split(turns[-1])[0].strip() or prompt


def family_of(model: str) -> Family | None:
    """The family of a model's id, where it takes one prompt."""
    found = (family for known, family in FAMILIES.items() if re.search(known, model))
    return next(found, None)


def decode_prompt(body: bytes, request_id: str, model: str, family: Family, *, stream: bool) -> Call:
    """Read a body of the family; raises `BodyError`. What it does not know is refused."""
    document = read_object(body)
    known = {family.body} | ({family.config} if family.config else set())
    settings: dict[str, Any] = document.get(family.config) or {} if family.config else document
    named = {family.limit, *family.others} | ({family.stop} if family.stop else set())
    extra = (set(document) - known - (set() if family.config else named)) | (
        set(settings) - named if family.config else set()
    )
    for key in sorted(extra):
        raise BodyError(
            f"Malformed input request: #: extraneous key [{key}] is not permitted, "
            "please reformat your input and try again."
        )
    prompt = document.get(family.body)
    if not isinstance(prompt, str) or not prompt:
        raise BodyError(f"Malformed input request: #: required key [{family.body}] not found")
    history = [str(turn.get("message", "")) for turn in settings.get("chat_history") or []]
    preamble = [settings["preamble"]] if settings.get("preamble") else []
    ask = Ask(
        request_id=request_id,
        kind="stream" if stream else "unary",
        texts=(*preamble, *history, prompt),
        source=last_words(prompt),
        max_tokens=read_limit(settings, family.limit),
        stop_sequences=tuple(settings.get(family.stop) or ()) if family.stop else (),
    )
    return Call(model, stream, ask, frozenset(settings))


def _titan(generation: Generation, text: str, stop: str) -> dict[str, Any]:
    result = {"tokenCount": generation.produced_tokens, "outputText": text, "completionReason": stop}
    return {"inputTextTokenCount": generation.ask.input_tokens, "results": [result]}


def _titan_chunk(generation: Generation, text: str, stop: str | None) -> dict[str, Any]:
    return {
        "outputText": text,
        "index": 0,
        "totalOutputTextTokenCount": generation.produced_tokens if stop else None,
        "completionReason": stop,
        "inputTextTokenCount": generation.ask.input_tokens if stop else None,
    }


def _llama(generation: Generation, text: str, stop: str | None) -> dict[str, Any]:
    return {
        "generation": text,
        "prompt_token_count": generation.ask.input_tokens,
        "generation_token_count": generation.produced_tokens,
        "stop_reason": stop,
    }


def _llama_chunk(generation: Generation, text: str, stop: str | None) -> dict[str, Any]:
    first = generation.produced_tokens <= generation.chunk_tokens
    return {**_llama(generation, text, stop)} | ({} if first else {"prompt_token_count": None})


def _mistral(generation: Generation, text: str, stop: str | None) -> dict[str, Any]:  # noqa: ARG001 - uncounted
    return {"outputs": [{"text": text, "stop_reason": stop}]}


def _command(generation: Generation, text: str, stop: str) -> dict[str, Any]:
    answer_id = generation.ask.request_id
    part = {"id": answer_id, "text": text, "finish_reason": stop}
    return {"id": answer_id, "generations": [part], "prompt": generation.ask.source}


def _command_chunk(generation: Generation, text: str, stop: str | None) -> dict[str, Any]:  # noqa: ARG001
    said = {"index": 0, "text": text} if stop is None else {"finish_reason": stop}
    return {**said, "is_finished": stop is not None}


def _command_r(generation: Generation, text: str, stop: str) -> dict[str, Any]:
    turns = [{"role": "USER", "message": generation.ask.source}, {"role": "CHATBOT", "message": text}]
    ids = {"response_id": f"{generation.ask.request_id}/sim", "generation_id": generation.ask.request_id}
    return {**ids, "text": text, "chat_history": turns, "finish_reason": stop}


def _command_r_chunk(generation: Generation, text: str, stop: str | None) -> dict[str, Any]:
    if stop is None:
        return {"event_type": "text-generation", "is_finished": False, "text": text}
    whole = _command_r(generation, generation.text, stop)
    return {"event_type": "stream-end", "is_finished": True, "finish_reason": stop, "response": whole}


_COHERE = {
    Stop.END: "COMPLETE",
    Stop.SEQUENCE: "STOP_SEQUENCE",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.FILTERED: "ERROR_TOXIC",
}
_PLAIN = {Stop.END: "stop", Stop.SEQUENCE: "stop", Stop.LENGTH: "length", Stop.FILTERED: "content_filtered"}
_TITAN = {
    Stop.END: "FINISH",
    Stop.SEQUENCE: "STOP_CRITERIA_MET",
    Stop.LENGTH: "LENGTH",
    Stop.FILTERED: "CONTENT_FILTERED",
}
FAMILIES = {
    r"titan-t": Family(
        "inputText", "maxTokenCount", "stopSequences", frozenset({"temperature", "topP"}), _TITAN, _titan,
        _titan_chunk, "textGenerationConfig",
    ),
    r"llama": Family(
        "prompt", "max_gen_len", None, frozenset({"temperature", "top_p", "images"}), _PLAIN, _llama,
        _llama_chunk,
    ),
    r"mistral-7b|mixtral": Family(
        "prompt", "max_tokens", "stop", frozenset({"temperature", "top_p", "top_k"}), _PLAIN, _mistral,
        _mistral,
    ),
    r"cohere\.command-r": Family(
        "message", "max_tokens", "stop_sequences",
        frozenset({"chat_history", "preamble", "temperature", "p", "k", "seed", "frequency_penalty",
                   "presence_penalty"}),
        _COHERE, _command_r, _command_r_chunk,
    ),
    r"cohere\.command": Family(
        "prompt", "max_tokens", "stop_sequences", frozenset({"temperature", "p", "k"}), _COHERE, _command,
        _command_chunk,
    ),
}  # fmt: skip
