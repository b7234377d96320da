"""The upstream and the load of `rollback.py`, in a process of their own.

Neither shares an interpreter with the control that is measured. `rollback_load.py PORT` is the upstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys

FEATURES = 20


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mood: dict[str, float]) -> None:
    """A tiny OpenAI-compatible server: `/new/...` fails as often as `mood` says."""
    draw = random.Random(1)
    body = json.dumps(
        {
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        }
    ).encode()  # fmt: skip
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            fails = b" /new/" in head and draw.random() < mood["new"]
            status, sent = (b"500 Oops", b"{}") if fails else (b"200 OK", body)
            writer.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % (status, len(sent))
            )
            writer.write(sent)
            await writer.drain()


async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, feature: str, user: int) -> None:
    """One chat request over a kept connection."""
    asked = {"model": feature, "user": f"u{user}", "messages": [{"role": "user", "content": "Hello"}]}
    body = json.dumps(asked).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )
    writer.write(body)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:"))
    await reader.readexactly(length)


async def call_for_ever(port: int, rate: float, seed: int) -> None:
    """Requests of ever new users, one connection, `rate` a second."""
    draw = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        await call(
            reader,
            writer,
            f"f{draw.randrange(FEATURES)}" if draw.random() < 0.2 else "f0",
            draw.getrandbits(40),
        )
        await asyncio.sleep(draw.expovariate(rate))


async def serve_and_call(upstream: int) -> None:
    """Commands come as lines: `{"new": 0.1}` sets failures, `{"load": [ports], "rate": r}` begins to call."""
    mood = {"new": 0.0}
    server = await asyncio.start_server(lambda r, w: answer(r, w, mood), "127.0.0.1", upstream)
    loop, commands = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    tasks: list[asyncio.Task[None]] = []
    async with server:
        while line := await commands.readline():
            wanted = json.loads(line)
            mood["new"] = wanted.get("new", mood["new"])
            for number, port in enumerate(wanted.get("load", ())):
                each = wanted["rate"] / len(wanted["load"]) / 4
                tasks += [asyncio.create_task(call_for_ever(port, each, 10 * number + n)) for n in range(4)]


if __name__ == "__main__":
    asyncio.run(serve_and_call(int(sys.argv[1])))
