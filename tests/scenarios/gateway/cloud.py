"""A scripted OpenAI-compatible upstream on a real socket: it breaks in every way a scenario asks for.

A behaviour is a word or a mapping (see `spec/scenarios/README.md`), or a function that
returns one. Each endpoint has a list of them, one a call; the last one repeats.
Paths are `/{endpoint}/v1/chat/completions`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import threading
from dataclasses import dataclass, field
from typing import Any

WORDS = ("Hello", " world", ".")
TEXT = "".join(WORDS)


@dataclass
class Call:
    """What the upstream saw of one attempt; `left`: the gateway hung up before the script ended."""

    endpoint: str
    head: str
    body: bytes
    left: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chat.completion.chunk."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }


def answer(text: str = TEXT) -> dict[str, Any]:
    """One chat.completion."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }


def whole_stream() -> list[Any]:
    """The steps of a good stream."""
    return [*({"text": word} for word in WORDS), {"finish": "stop"}, "usage", "done", "end"]


class Cloud:
    """Serves until `close`; `calls` is what it saw, in order."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Any]] = {}
        self.calls: list[Call] = []
        self.heard = asyncio.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        start = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self.loop)
        self.server = start.result(10)
        self.port = self.server.sockets[0].getsockname()[1]

    def script(self, endpoint: str, behaviours: list[Any]) -> None:
        self.scripts[endpoint] = list(behaviours)

    def hear(self) -> None:
        """What waits for `heard` goes on."""
        self.loop.call_soon_threadsafe(self.heard.set)

    def close(self) -> None:
        async def end() -> None:
            self.server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next(
            (
                int(line.split(":")[1])
                for line in head.lower().split("\r\n")
                if line.startswith("content-length:")
            ),
            0,
        )
        body = await reader.readexactly(length)
        call = Call(head.split(" ")[1].split("/")[1], head, body)
        self.calls.append(call)
        script = self.scripts.get(call.endpoint, ["ok"])
        behaviour = script.pop(0) if len(script) > 1 else script[0]
        if callable(behaviour):
            behaviour = behaviour()
        watch = asyncio.ensure_future(self._watch(reader, call))
        try:
            return await self._act(behaviour, json.loads(body).get("stream") is True, writer)
        except ConnectionError:
            call.left.set()
            return False
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            call.done.set()

    async def _watch(self, reader: asyncio.StreamReader, call: Call) -> None:
        """Notes a hang-up while the script still runs; bytes of a next request would be a defect."""
        if reader.at_eof() or not await reader.read(1):
            call.left.set()

    async def _act(self, behaviour: Any, stream: bool, writer: asyncio.StreamWriter) -> bool:
        if behaviour == "ok":
            return await self._ok(stream, writer)
        if behaviour == "reset":
            _reset(writer)
            return False
        if behaviour == "silent":
            await asyncio.sleep(60)
            return False
        if "raw" in behaviour:
            for part in behaviour["raw"]:
                await self._raw(part, writer)
            return False
        if "status" in behaviour:
            body = behaviour.get("body", {"error": {"message": "scripted", "type": "scripted"}})
            text = body if isinstance(body, str) else json.dumps(body)
            headers = {"content-type": "application/json", **behaviour.get("headers", {})}
            _head(writer, behaviour["status"], {**headers, "content-length": str(len(text.encode()))})
            writer.write(text.encode())
            await writer.drain()
            return True
        return await self._stream(behaviour["stream"], writer)

    async def _ok(self, stream: bool, writer: asyncio.StreamWriter) -> bool:
        if stream:
            return await self._stream(whole_stream(), writer)
        return await self._act({"status": 200, "body": answer()}, stream, writer)

    async def _raw(self, part: Any, writer: asyncio.StreamWriter) -> None:
        if isinstance(part, dict) and "wait" in part:
            await asyncio.sleep(part["wait"])
        elif isinstance(part, dict):
            for _ in range(part["times"]):
                writer.write(part["repeat"].encode("latin-1"))
                await writer.drain()
        else:
            writer.write(part.encode("latin-1"))
            await writer.drain()

    async def _stream(self, steps: list[Any], writer: asyncio.StreamWriter) -> bool:
        _head(writer, 200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        await writer.drain()
        for step in steps:
            if step == "end":
                writer.write(b"0\r\n\r\n")
                await writer.drain()
                return True
            if step == "cut":
                return False
            if step == "reset":
                _reset(writer)
                return False
            if step == "hang":
                await asyncio.sleep(60)
                return False
            if isinstance(step, dict) and "wait" in step:
                await asyncio.sleep(step["wait"])
                continue
            if step == "heard":
                await self.heard.wait()
                continue
            data = event(step)
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
        return False


def event(step: Any) -> bytes:
    """One step of a stream as bytes."""
    if isinstance(step, str):
        return FIXED[step]
    kind, value = next(iter(step.items()))
    if kind == "raw":
        return value.encode()
    return _data(BUILT[kind](value))


def _data(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _head(writer: asyncio.StreamWriter, status: int, headers: dict[str, str]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode("latin-1"))


def _reset(writer: asyncio.StreamWriter) -> None:
    import socket  # noqa: PLC0415

    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
FIXED = {
    "done": b"data: [DONE]\n\n",
    "ping": b": keep-alive\n\n",
    "malformed": b'data: {"choices":[{"delta":{"content":\n\n',
    "usage": _data({**chunk(), "choices": [], "usage": USAGE}),
    "role": _data(chunk({"role": "assistant", "content": ""})),
}
BUILT: dict[str, Any] = {
    "text": lambda value: chunk({"content": value}),
    "reasoning": lambda value: chunk({"reasoning_content": value}),
    "tool": lambda value: chunk({"tool_calls": [{"index": 0, **value}]}),
    "finish": lambda value: chunk({}, value),
    "error": lambda value: {"error": value},
}
