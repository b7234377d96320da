"""What each caller's SDK can ask of each upstream kind: one small conversation a cell."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import openai

CAPABILITIES = ("text", "streamed", "tools", "parallel tools", "image", "structured output", "reasoning")
LIMIT = 2048
THINKING_TOKENS = 1024
IMAGE_TOKENS = 200  # an image costs more than this anywhere, the words around it less
PLAIN = "Say something about rivers."
ASK = "What is the weather in Paris? Use the weather tool."
ASK_BOTH = "What are the weather and the time in Paris? Use both tools, weather and time."
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def _png() -> str:
    """A white pixel, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff")
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


PNG = _png()


class Chat:
    """A caller with the openai SDK's chat completions."""

    title = "OpenAI Chat"

    def __init__(self, url: str) -> None:
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        self.warnings = ""

    def _ask(self, model: str, content: Any, **more: Any) -> Any:
        messages = content if isinstance(content, list) and "role" in content[0] else None
        messages = messages or [{"role": "user", "content": content}]
        raw = self.client.chat.completions.with_raw_response.create(
            model=model, messages=messages, max_tokens=LIMIT, **more
        )
        self.warnings = raw.headers.get("x-crossfade-warnings", "")
        return raw.parse()

    def text(self, model: str) -> None:
        answer = self._ask(model, PLAIN)
        assert answer.choices[0].message.content
        assert answer.choices[0].finish_reason in {"stop", "length"}
        assert answer.usage.prompt_tokens > 0

    def streamed(self, model: str) -> None:
        chunks = list(
            self.client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": PLAIN}],
                max_tokens=LIMIT,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert chunks[-1].usage.completion_tokens > 0

    def tools(self, model: str) -> None:
        first = {"role": "user", "content": ASK}
        choice = self._ask(model, [first], tools=[_chat_tool("weather")]).choices[0]
        assert choice.finish_reason == "tool_calls"
        (call,) = choice.message.tool_calls
        assert "city" in json.loads(call.function.arguments)
        said = choice.message.model_dump(exclude_none=True)
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        after = self._ask(model, [first, said, result], tools=[_chat_tool("weather")])
        assert after.choices[0].message.content

    def parallel_tools(self, model: str) -> None:
        both = [_chat_tool("weather"), _chat_tool("time")]
        calls = self._ask(model, ASK_BOTH, tools=both).choices[0].message.tool_calls
        assert {call.function.name for call in calls} == {"weather", "time"}
        assert len({call.id for call in calls}) == 2

    def image(self, model: str) -> None:
        url = {"url": f"data:image/png;base64,{PNG}"}
        parts = [{"type": "text", "text": PLAIN}, {"type": "image_url", "image_url": url}]
        assert self._ask(model, parts).usage.prompt_tokens > IMAGE_TOKENS

    def structured_output(self, model: str) -> None:
        form = {"name": "answer", "schema": SCHEMA, "strict": True}
        answer = self._ask(model, PLAIN, response_format={"type": "json_schema", "json_schema": form})
        assert "city" in json.loads(answer.choices[0].message.content)

    def reasoning(self, model: str) -> None:
        answer = self._ask(model, PLAIN, reasoning_effort="low")
        shown = getattr(answer.choices[0].message, "reasoning_content", None)
        assert shown or answer.usage.completion_tokens_details.reasoning_tokens > 0


def _chat_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}}


class Responses:
    """A caller with the openai SDK's responses."""

    title = "OpenAI Responses"

    def __init__(self, url: str) -> None:
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        self.warnings = ""

    def _ask(self, model: str, given: Any, **more: Any) -> Any:
        raw = self.client.responses.with_raw_response.create(
            model=model, input=given, max_output_tokens=LIMIT, **more
        )
        self.warnings = raw.headers.get("x-crossfade-warnings", "")
        return raw.parse()

    def text(self, model: str) -> None:
        answer = self._ask(model, PLAIN)
        assert answer.output_text
        assert answer.usage.input_tokens > 0

    def streamed(self, model: str) -> None:
        events = list(
            self.client.responses.create(model=model, input=PLAIN, max_output_tokens=LIMIT, stream=True)
        )
        said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert said
        assert events[-1].response.output_text == said

    def tools(self, model: str) -> None:
        answer = self._ask(model, ASK, tools=[_flat_tool("weather")])
        (call,) = [item for item in answer.output if item.type == "function_call"]
        assert "city" in json.loads(call.arguments)
        turns = [
            {"role": "user", "content": ASK},
            {
                "type": "function_call",
                "call_id": call.call_id,
                "name": call.name,
                "arguments": call.arguments,
            },
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
        ]
        assert self._ask(model, turns, tools=[_flat_tool("weather")]).output_text

    def parallel_tools(self, model: str) -> None:
        answer = self._ask(model, ASK_BOTH, tools=[_flat_tool("weather"), _flat_tool("time")])
        calls = [item for item in answer.output if item.type == "function_call"]
        assert {call.name for call in calls} == {"weather", "time"}

    def image(self, model: str) -> None:
        parts = [
            {"type": "input_text", "text": PLAIN},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
        ]
        answer = self._ask(model, [{"role": "user", "content": parts}])
        assert answer.usage.input_tokens > IMAGE_TOKENS

    def structured_output(self, model: str) -> None:
        form = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
        assert "city" in json.loads(self._ask(model, PLAIN, text={"format": form}).output_text)

    def reasoning(self, model: str) -> None:
        answer = self._ask(model, PLAIN, reasoning={"effort": "low"})
        shown = any(item.type == "reasoning" for item in answer.output)
        assert shown or answer.usage.output_tokens_details.reasoning_tokens > 0


def _flat_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name, "description": name, "parameters": SCHEMA, "strict": False}


class Messages:
    """A caller with the anthropic SDK."""

    title = "Anthropic Messages"

    def __init__(self, url: str) -> None:
        self.client = anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0)
        self.warnings = ""

    def _ask(self, model: str, content: Any, **more: Any) -> Any:
        turns = content if isinstance(content, list) and "role" in content[0] else None
        turns = turns or [{"role": "user", "content": content}]
        raw = self.client.messages.with_raw_response.create(
            model=model, messages=turns, max_tokens=LIMIT, **more
        )
        self.warnings = raw.headers.get("x-crossfade-warnings", "")
        return raw.parse()

    def text(self, model: str) -> None:
        answer = self._ask(model, PLAIN)
        assert answer.content[0].text
        assert answer.usage.input_tokens > 0

    def streamed(self, model: str) -> None:
        ask = [{"role": "user", "content": PLAIN}]
        with self.client.messages.stream(model=model, messages=ask, max_tokens=LIMIT) as stream:
            said = "".join(stream.text_stream)
            final = stream.get_final_message()
        assert said
        assert final.stop_reason in {"end_turn", "max_tokens"}
        assert final.usage.output_tokens > 0

    def tools(self, model: str) -> None:
        first = {"role": "user", "content": ASK}
        called = self._ask(model, [first], tools=[_block_tool("weather")])
        assert called.stop_reason == "tool_use"
        (call,) = [block for block in called.content if block.type == "tool_use"]
        assert "city" in call.input
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        said = [block.model_dump(exclude_none=True) for block in called.content]
        turns = [first, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
        after = self._ask(model, turns, tools=[_block_tool("weather")])
        assert any(block.type == "text" and block.text for block in after.content)

    def parallel_tools(self, model: str) -> None:
        called = self._ask(model, ASK_BOTH, tools=[_block_tool("weather"), _block_tool("time")])
        calls = [block for block in called.content if block.type == "tool_use"]
        assert {call.name for call in calls} == {"weather", "time"}

    def image(self, model: str) -> None:
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        parts = [{"type": "text", "text": PLAIN}, {"type": "image", "source": source}]
        assert self._ask(model, parts).usage.input_tokens > IMAGE_TOKENS

    def structured_output(self, model: str) -> None:
        form = {"type": "json_schema", "schema": SCHEMA}
        answer = self._ask(model, PLAIN, output_config={"format": form})
        text = "".join(block.text for block in answer.content if block.type == "text")
        assert "city" in json.loads(text)

    def reasoning(self, model: str) -> None:
        thinking = {"type": "enabled", "budget_tokens": THINKING_TOKENS}
        answer = self._ask(model, PLAIN, thinking=thinking)
        details = getattr(answer.usage, "output_tokens_details", None)
        shown = any(block.type == "thinking" for block in answer.content)
        assert shown or (details is not None and details.thinking_tokens > 0)


def _block_tool(name: str) -> dict[str, Any]:
    return {"name": name, "description": name, "input_schema": SCHEMA}


CALLERS = (Chat, Responses, Messages)


def outcome(caller: Any, capability: str, model: str) -> str:
    """`yes`, `yes: WARNINGS`, `no: WARNINGS` where what was asked was left out, or `no: REFUSAL`.

    Any other failure is raised.
    """
    caller.warnings = ""
    cell: Callable[[str], None] = getattr(caller, capability.replace(" ", "_"))
    try:
        cell(model)
    except AssertionError:
        if "was left out" not in caller.warnings:
            raise
        return f"no: {caller.warnings}"
    except (openai.BadRequestError, anthropic.BadRequestError) as refused:
        body = refused.body if isinstance(refused.body, dict) else {}
        error = body.get("error", body)
        if error.get("code") != "unsupported":
            raise
        said = str(error["message"]).replace(f'the feature "{model}"', "the feature")
        return f"no: {said}"
    return f"yes: {caller.warnings}" if caller.warnings else "yes"


def page(outcomes: Mapping[tuple[str, str, str], str], upstreams: Mapping[str, str]) -> str:
    """The reference page: a table a caller, a row an upstream, notes for what is said beside `yes`."""
    notes: list[str] = []
    lines = [
        "# Capabilities",
        "",
        "What each official SDK, pointed at the gateway, gets from each upstream kind; measured against the",
        "simulated clouds by `make matrix`, and checked fresh by the tests. A number points to what the",
        "gateway says beside its answer (`x-crossfade-warnings`), or instead of one (`unsupported`).",
    ]
    for caller in CALLERS:
        lines += ["", f"## {caller.title} callers", "", f"| upstream | {' | '.join(CAPABILITIES)} |"]
        lines += ["|---|" + "---|" * len(CAPABILITIES)]
        for name, title in upstreams.items():
            cells = [_cell(outcomes[caller.title, name, capability], notes) for capability in CAPABILITIES]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    if notes:
        lines += ["", "## Notes", "", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    return "\n".join(lines) + "\n"


def _cell(found: str, notes: list[str]) -> str:
    word, _, note = found.partition(": ")
    if not note:
        return word
    if note not in notes:
        notes.append(note)
    return f"{word} ({notes.index(note) + 1})"
