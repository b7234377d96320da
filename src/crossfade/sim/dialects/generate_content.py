"""Google's generate-content body, spoken by the Gemini API and Vertex."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from crossfade.sim.dialects.call import BodyError, Call, read_limit, read_list, read_object
from crossfade.sim.endpoints.answer import Ask, Choice, Part, PartKind, Stop, Tool, sign_thought
from crossfade.sim.endpoints.generation import Generation, Piece

FINISH = {
    Stop.END: "STOP",
    Stop.SEQUENCE: "STOP",
    Stop.TOOLS: "STOP",  # a call does not show in the reason
    Stop.LENGTH: "MAX_TOKENS",
    Stop.FILTERED: "SAFETY",
}


def decode_generate(body: bytes, request_id: str, model: str, *, stream: bool) -> Call:
    """Read a generate-content body; raises `BodyError`."""
    document = read_object(body)
    return Call(model, stream, read_ask(document, request_id, stream=stream), _params(document))


def read_ask(document: dict[str, Any], request_id: str, *, stream: bool) -> Ask:
    """The ask of a generate-content body; raises `BodyError`."""
    contents = read_list(document, "contents")
    if not contents:
        raise BodyError("* GenerateContentRequest.contents: contents is not specified")
    parts = [content.get("parts") or [] for content in contents]
    system = [content for content in [document.get("systemInstruction")] if isinstance(content, dict)]
    texts = ["\n".join(map(_text_of, each)) for each in parts]
    head = ["\n".join(map(_text_of, content.get("parts") or [])) for content in system]
    asked = [
        text
        for text, content, each in zip(texts, contents, parts, strict=True)
        if content.get("role", "user") == "user" and any("text" in part for part in each)
    ]
    config = document.get("generationConfig") or {}
    declared = [
        declaration
        for tool in read_list(document, "tools")
        for declaration in tool.get("functionDeclarations") or []
    ]
    return Ask(
        request_id=request_id,
        kind="stream" if stream else "unary",
        texts=(*head, *texts),
        source=asked[-1] if asked else texts[-1],
        max_tokens=read_limit(config, "maxOutputTokens"),
        schema=_schema_of(config),
        tools=tuple(_tool(declaration) for declaration in declared),
        choice=_choice((document.get("toolConfig") or {}).get("functionCallingConfig") or {}),
        after_result=any("functionResponse" in part for part in parts[-1]),
        thinks=_wants_thoughts(config.get("thinkingConfig") or {}),
        stop_sequences=tuple(config.get("stopSequences") or ()),
        cached_texts=len(head) + len(texts) - 1,
        images=sum(1 for each in parts for part in each if "inlineData" in part),
    )


def encode_generated(
    generation: Generation, response_id: str, model: str, traffic: str | None
) -> dict[str, Any]:
    """The whole answer."""
    parts = (
        []
        if generation.stop is Stop.FILTERED
        else [_part(part, part.text) for part in generation.answer.parts]
    )
    return _response(generation, response_id, model, traffic, parts, FINISH[generation.stop])


class GenerateEncoder:
    """Data-only events with CRLF; a call comes whole, and the stream ends by closing."""

    def __init__(self, generation: Generation, response_id: str, model: str, traffic: str | None) -> None:
        self._generation = generation
        self._response_id = response_id
        self._model = model
        self._traffic = traffic

    def begin(self) -> bytes:
        """Nothing comes before the first content."""
        return b""

    def piece(self, piece: Piece) -> bytes:
        """One piece of text or thought; of a call, all of it with its last."""
        if piece.part.kind is PartKind.CALL:
            return self._event([_part(piece.part, piece.part.text)], None) if piece.last else b""
        return self._event([_part(piece.part, piece.text)], None)

    def end(self, generation: Generation) -> bytes:
        """The finish reason with the final usage."""
        self._generation = generation
        return self._event([{"text": ""}], FINISH[generation.stop])

    def _event(self, parts: list[dict[str, Any]], finish: str | None) -> bytes:
        traffic = self._traffic if finish else None
        document = _response(self._generation, self._response_id, self._model, traffic, parts, finish)
        return encode_event(document)


def encode_event(document: Any) -> bytes:
    """One event as Google frames it."""
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return b"data: " + data + b"\r\n\r\n"


def _response(
    generation: Generation,
    response_id: str,
    model: str,
    traffic: str | None,
    parts: list[dict[str, Any]],
    finish: str | None,
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": usage_of(generation, traffic),
        "modelVersion": model,
        "createTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "responseId": response_id,
    }


def usage_of(generation: Generation, traffic: str | None) -> dict[str, Any]:
    """Tokens; the prompt includes what was cached, the candidates exclude thoughts."""
    prompt, thoughts = generation.ask.input_tokens, generation.thought_tokens
    usage: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": generation.produced_tokens - thoughts,
        "totalTokenCount": prompt + generation.produced_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    if generation.cache_read:
        usage["cachedContentTokenCount"] = generation.cache_read
    if traffic is not None:
        usage["trafficType"] = traffic
    return usage


def _part(part: Part, text: str) -> dict[str, Any]:
    if part.kind is PartKind.CALL:
        call = {"id": part.id, "name": part.name, "args": json.loads(part.text)}
        signature = base64.b64encode(sign_thought(part.id).encode()).decode()
        return {"functionCall": call, "thoughtSignature": signature}
    return {"text": text, "thought": True} if part.kind is PartKind.THOUGHT else {"text": text}


def _text_of(part: dict[str, Any]) -> str:
    if isinstance(part.get("text"), str):
        return str(part["text"])
    if "functionCall" in part or "functionResponse" in part:
        return json.dumps(part.get("functionCall") or part.get("functionResponse"))
    return ""


def _wants_thoughts(thinking: dict[str, Any]) -> bool:
    """Google takes both spellings of a field, and its SDK sends this one in snake case."""
    return bool(thinking.get("includeThoughts") or thinking.get("include_thoughts"))


def _tool(declaration: dict[str, Any]) -> Tool:
    schema = declaration.get("parametersJsonSchema") or declaration.get("parameters") or {}
    return Tool(str(declaration.get("name")), declaration.get("description") or "", _lowered(schema))


def _choice(config: dict[str, Any]) -> Choice:
    mode = {"ANY": "any", "NONE": "none"}.get(config.get("mode", "AUTO"), "auto")
    allowed = config.get("allowedFunctionNames") or []
    return Choice(mode, allowed[0] if mode == "any" and len(allowed) == 1 else None)


def _schema_of(config: dict[str, Any]) -> dict[str, Any] | None:
    if config.get("responseMimeType") != "application/json":
        return None
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    return _lowered(schema) if isinstance(schema, dict) else {"type": "object"}


def _lowered(schema: Any) -> Any:
    """Google writes types in capitals; JSON schema does not."""
    if isinstance(schema, dict):
        return {
            key: value.lower() if key == "type" and isinstance(value, str) else _lowered(value)
            for key, value in schema.items()
        }
    return [_lowered(item) for item in schema] if isinstance(schema, list) else schema


def _params(document: dict[str, Any]) -> frozenset[str]:
    return frozenset(document) | frozenset(document.get("generationConfig") or {})
