"""An upstream that says again what a real one said: recorded bytes over a real socket, in chosen pieces."""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CUT_BYTES = 7
# Said for this connection alone, or already undone by the recorder.
LEFT_OUT = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection", "date"})
BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")


@dataclass(frozen=True)
class Recording:
    """One answer as it is to be replayed. `cut`: whole, events or bytes.

    `ends_at`: the connection ends after so many bytes of the answer, its head and framing included;
    `resets`: hard, as a crashed process ends it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    cut: str
    ends_at: int | None = None
    resets: bool = False

    def wire(self) -> Iterator[bytes]:
        """The answer as it goes over the connection."""
        head = f"HTTP/1.1 {self.status} Recorded\r\n"
        for name, value in self.headers.items():
            if name not in LEFT_OUT and value.isprintable() and value.isascii():
                head += f"{name}: {value}\r\n"
        yield (head + "transfer-encoding: chunked\r\n\r\n").encode()
        for piece in self.pieces():
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
        yield b"0\r\n\r\n"

    def pieces(self) -> Iterator[bytes]:
        if self.cut == "bytes":
            for at in range(0, len(self.body), CUT_BYTES):
                yield self.body[at : at + CUT_BYTES]
        elif self.cut == "events" and "eventstream" in self.headers.get("content-type", ""):
            yield from frames(self.body)
        elif self.cut == "events":
            yield from blocks(self.body)
        elif self.body:
            yield self.body


def frames(body: bytes) -> Iterator[bytes]:
    """The frames of an AWS event stream; what is left of a broken one comes last."""
    at = 0
    while at + 4 <= len(body):
        size = max(struct.unpack_from(">I", body, at)[0], 16)
        yield body[at : at + size]
        at += size
    if at < len(body):
        yield body[at:]


def blocks(body: bytes) -> Iterator[bytes]:
    """The events of an SSE stream, each with its blank line."""
    at = 0
    for found in BLANK_LINE.finditer(body):
        yield body[at : found.end()]
        at = found.end()
    if at < len(body):
        yield body[at:]


@dataclass
class Upstream:
    """`recordings[name]` answers every call below `/name/`."""

    port: int
    recordings: dict[str, Recording] = field(default_factory=dict)
    heard: dict[str, dict[str, str]] = field(default_factory=dict)  # the last call's headers, by name

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    upstream: Upstream


class _Answering(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        while (line := self.rfile.readline()).strip():
            headers = {}
            while (header := self.rfile.readline()).strip():
                name, _, value = header.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            self.rfile.read(int(headers.get("content-length", 0)))
            called = line.split(b" ")[1].split(b"/")[1].decode()
            self.server.upstream.heard[called] = headers
            recording = self.server.upstream.recordings[called]
            try:
                self._say(recording)
            except OSError:
                return  # the gateway needed no more of it

    def _say(self, recording: Recording) -> None:
        left = recording.ends_at
        for part in recording.wire():
            self.wfile.write(part[:left])
            if left is not None and left <= len(part):
                if recording.resets:
                    at_once = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                raise ConnectionAbortedError
            left = None if left is None else left - len(part)


@contextmanager
def replaying() -> Iterator[Upstream]:
    """A replaying upstream on a free loopback port."""
    with _Server(("127.0.0.1", 0), _Answering) as server:
        server.upstream = Upstream(server.socket.getsockname()[1])
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.upstream
        finally:
            server.shutdown()
            thread.join(10)
