"""A small HTTP/1.1 server that can misbehave on purpose.

An ASGI server hides what a simulated cloud needs: the raw path (signatures), the moment a caller leaves
(generation stops and is billed to there), and closing a connection without an answer or in mid-body.
Parsing is h11's; this file owns only the connection's life.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import h11

from crossfade.sim.wire.sigv4 import Message

BODY_LIMIT = 25_000_000  # the largest body any of the simulated services takes
READ_SIZE = 65_536
TLS_GOODBYE_S = 0.5  # callers that keep a connection open never answer the goodbye


class DroppedConnectionError(Exception):
    """The handler closed the connection on purpose: nothing more may be written."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; header names in lower case, the target raw."""

    message: Message

    @property
    def method(self) -> str:
        """The verb."""
        return self.message.method

    @property
    def path(self) -> str:
        """The raw path, still percent-encoded."""
        return self.message.target.partition("?")[0]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.message.body

    def header(self, name: str) -> str | None:
        """The first value of a header, by lower-case name."""
        return next(iter(self.message.values(name)), None)

    def bearer(self) -> str | None:
        """The token of an `Authorization: Bearer` header."""
        kind, _, token = (self.header("authorization") or "").partition(" ")
        return token if kind.lower() == "bearer" and token else None

    def query(self, name: str) -> str | None:
        """A parameter of the query, decoded."""
        return dict(parse_qsl(self.message.target.partition("?")[2])).get(name)


class Reply:
    """The answer to one request: either `send` once, or `start`, `write`..., `end`; or `drop`."""

    def __init__(self, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
        self._connection = connection
        self._writer = writer
        self.started = False
        self.finished = False

    async def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """A whole answer with its length."""
        self._start(status, {**headers, "content-length": str(len(body))})
        await self.write(body)
        await self.end()

    async def send_json(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        """A whole JSON answer."""
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        await self.send(status, {"content-type": "application/json", **(headers or {})}, body)

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """The head of a streamed answer."""
        self._start(status, {**headers, "transfer-encoding": "chunked"})
        await self._writer.drain()

    async def send_json_cut(self, document: object, headers: dict[str, str]) -> None:
        """A JSON answer that promises its whole length and ends in the middle, with its connection."""
        body = json.dumps(document).encode()
        media = {"content-type": "application/json", "content-length": str(len(body))}
        self._start(200, {**headers, **media})
        await self._writer.drain()
        await self.write(body[: len(body) // 2])
        await self.drop()

    async def write(self, data: bytes) -> None:
        """Part of the body."""
        if data:
            self._writer.write(self._connection.send(h11.Data(data=data)) or b"")
            await self._writer.drain()

    async def end(self) -> None:
        """The end of the body."""
        self._writer.write(self._connection.send(h11.EndOfMessage()) or b"")
        self.finished = True
        await self._writer.drain()

    async def drop(self) -> None:
        """Close the connection here and now, after what was already written."""
        await self._writer.drain()
        raise DroppedConnectionError

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self.started = True
        head = h11.Response(status_code=status, headers=[("date", formatdate(usegmt=True)), *headers.items()])
        self._writer.write(self._connection.send(head) or b"")


Handler = Callable[[Request, Reply], Awaitable[None]]


CANCEL_AGAIN_S = 0.2


class Listener:
    """One port: serves `handler` until closed; every connection is a task of its own."""

    def __init__(self, name: str, handler: Handler) -> None:
        self.name = name
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Bind; returns the port, chosen by the system when `port` is 0."""
        self._server = await asyncio.start_server(
            self._accept,
            host,
            port,
            backlog=1024,
            ssl=tls,
            ssl_shutdown_timeout=TLS_GOODBYE_S if tls else None,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop accepting and end every open connection."""
        if self._server is not None:
            self._server.close()
        while self._connections:  # again and again: one may be accepted, or swallow a cancellation, meanwhile
            for task in self._connections:
                task.cancel()
            await asyncio.wait(self._connections, timeout=CANCEL_AGAIN_S)
        await asyncio.sleep(0)  # aborted transports close in the loop's next turn
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)

        def end(task: asyncio.Task[None]) -> None:
            self._connections.discard(task)
            writer.transport.abort()  # a task cancelled before its first step leaves it open

        task.add_done_callback(end)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _read_request(connection, reader, writer)) is not None:
                if not await self._answer(connection, reader, writer, request):
                    break
                connection.start_next_cycle()
        except (ConnectionError, h11.RemoteProtocolError, DroppedConnectionError):
            pass  # the caller left, spoke no HTTP, or is being dropped on purpose: only closing is left
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: Request,
    ) -> bool:
        """Run the handler while watching for the caller to leave; true = the connection can go on."""
        reply = Reply(connection, writer)
        work = asyncio.ensure_future(self._handler(request, reply))
        watch = asyncio.ensure_future(reader.read(READ_SIZE))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done() and not work.done():
                if early := watch.result():
                    connection.receive_data(early)
                    await work
                    return connection.our_state is h11.DONE
                return False
            await work
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                if early := await watch:
                    connection.receive_data(early)
            return connection.our_state is h11.DONE and connection.their_state is h11.DONE
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)


async def _read_request(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT:
                raise DroppedConnectionError
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = tuple((name.decode(), value.decode("latin-1")) for name, value in head.headers)
            return Request(Message(head.method.decode(), head.target.decode(), headers, bytes(body)))
        else:  # the caller closed between requests, or paused after an upgrade offer
            return None
