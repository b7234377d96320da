"""A broken stream that a model goes on with: official SDKs see one whole answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cloud import Cloud
from process import running_gateway

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
anthropic = pytest.importorskip("anthropic", reason="the anthropic SDK is not installed")

CONFIG = """
providers:
  up-a: {{kind: anthropic, base_url: 'http://127.0.0.1:{port}/a', auth: {{method: none}}}}
  up-b: {{kind: anthropic, base_url: 'http://127.0.0.1:{port}/b', auth: {{method: none}}}}
endpoints:
  a: {{provider: up-a, model: claude-haiku-4-5}}
  b: {{provider: up-b, model: {backup}}}
features: {{f: {{hierarchy: [a, b], streams: {{rescue: [resume]}}, limits: {{same_endpoint_retries: 0}}}}}}
"""
FIRST = "The committee agreed on three things, of which the first two were easy to do: "
REST = "a new roof, a new door, and at last a new cellar."
ASK: Any = [{"role": "user", "content": "Sum up."}]


def sse(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"


def stream(texts: list[str], *, end: bool, output: int = 12) -> dict[str, Any]:
    """A Messages answer, raw; without its end it is cut."""
    usage = {"input_tokens": 40, "output_tokens": 1}
    message = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "usage": usage,
    }
    parts = [
        sse("message_start", message={**message, "stop_reason": None, "stop_sequence": None}),
        sse("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(sse("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
    ]
    if end:
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        parts.append(sse("content_block_stop", index=0))
        parts.append(sse("message_delta", delta=delta, usage={"output_tokens": output}))
        parts.append(sse("message_stop"))
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [f"{len(part):x}\r\n{part}\r\n" for part in parts]
    return {"raw": [head, *chunks, *(["0\r\n\r\n"] if end else [])]}


def broken_then(cloud: Cloud, texts: list[str]) -> None:
    cloud.script("a", [stream([FIRST[:30], FIRST[30:]], end=False)])
    cloud.script("b", [stream(texts, end=True)])


def final_message(cloud: Cloud, backup: str = "claude-haiku-4-5", **more: Any) -> Any:
    """What a caller of the Messages API has at the end of a stream; raises what its SDK raises."""
    with (
        running_gateway(CONFIG.format(port=cloud.port, backup=backup)) as gateway,
        anthropic.Anthropic(
            base_url=f"http://127.0.0.1:{gateway.port}", api_key="x", max_retries=0
        ) as caller,
        caller.messages.stream(model="f", messages=ASK, max_tokens=500, **more) as answer,
    ):
        return answer.get_final_message()


def test_a_caller_of_the_same_dialect_sees_one_answer(cloud):
    broken_then(cloud, [REST[:20], REST[20:]])
    final = final_message(cloud)

    assert "".join(block.text for block in final.content) == FIRST + REST
    assert (final.stop_reason, len(final.content)) == ("end_turn", 1)
    prefilled = json.loads(cloud.calls[1].body)["messages"]
    assert prefilled[-1] == {"role": "assistant", "content": FIRST.rstrip()}
    assert final.usage.output_tokens == 12 + len(FIRST) // 4, "what was said before is answer, not prompt"


@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_a_caller_of_another_dialect_does_too(cloud, dialect):
    broken_then(cloud, [REST])
    with (
        running_gateway(CONFIG.format(port=cloud.port, backup="claude-haiku-4-5")) as gateway,
        openai.OpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key="x", max_retries=0) as caller,
    ):
        if dialect == "chat":
            with caller.chat.completions.stream(model="f", messages=ASK) as answer:
                final = answer.get_final_completion()
            text, stop = final.choices[0].message.content, final.choices[0].finish_reason
        else:
            with caller.responses.stream(model="f", input="Sum up.") as answer:
                final = answer.get_final_response()
            text, stop = final.output_text, final.status

    assert (text, stop) == (FIRST + REST, "stop" if dialect == "chat" else "completed")


def test_a_model_that_begins_anew_is_joined_where_it_says_the_same(cloud):
    broken_then(cloud, [FIRST[:50], FIRST[50:] + REST])

    assert final_message(cloud).content[0].text == FIRST + REST


TOOLS: Any = [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize(
    ("backup", "more"), [("claude-opus-4-8", {}), ("claude-haiku-4-5", {"tools": TOOLS})]
)
def test_neither_a_model_without_prefill_nor_a_request_with_tools_is_resumed(cloud, backup, more):
    broken_then(cloud, [REST])
    with pytest.raises(anthropic.APIStatusError):
        final_message(cloud, backup, **more)

    assert [call.endpoint for call in cloud.calls] == ["a"]
