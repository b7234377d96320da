"""Control's port answers at once."""

from __future__ import annotations

import asyncio
import socket

from crossfade.app.serve import _listen


async def test_an_answer_is_sent_without_waiting_for_the_receipt_of_its_head():
    seen = []

    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        seen.append(scope["path"])

    server, serving = await _listen(app, "127.0.0.1:0")
    [listener] = server.servers[0].sockets
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    for path in (b"/one", b"/two"):
        writer.write(b"GET " + path + b" HTTP/1.1\r\nhost: control\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")
    [protocol] = server.server_state.connections
    kept = protocol.transport.get_extra_info("socket")
    assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    writer.close()
    server.should_exit = True
    await serving
    assert seen == ["/one", "/two"]
