"""`crossfade ask` says what went wrong, streamed or not, as text and as JSON."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.main import app

CONFIG = """\
gateway: {{listen: "127.0.0.1:{port}"}}
endpoints: {{a: openai/gpt-5-mini}}
features: {{f: [a]}}
"""
REFUSED = b'{"error": {"message": "no connection", "hint": "explain tells why"}}'
WHOLE = b'{"choices": [{"message": {"content": "Hello."}}]}'
PIECE = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'
BROKEN = PIECE + b'data: {"error": {"message": "the upstream broke"}}\n\n'


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """A gateway that answers with `server.answer`: a status and a body."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            status, body = server.answer
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("x-crossfade-request-id", "req-1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (tmp_path / "crossfade.yaml").write_text(CONFIG.format(port=server.server_port))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("answer", "options", "said", "wrong"),
    [
        ((200, WHOLE), (), "Hello.", ""),
        ((200, PIECE + b"data: [DONE]\n\n"), ("--stream",), "Hel", ""),
        ((502, REFUSED), (), "", "no connection (hint: explain tells why)"),
        ((502, REFUSED), ("--stream",), "", "no connection (hint: explain tells why)"),
        ((200, BROKEN), ("--stream",), "Hel", "the upstream broke"),
        ((200, PIECE), ("--stream",), "Hel", "the stream ended before its end (hint: `crossfade explain`"),
    ],
)
def test_an_answer_is_on_stdout_and_what_is_wrong_on_stderr(gateway, answer, options, said, wrong):
    gateway.answer = answer
    plain = CliRunner().invoke(app, ["ask", "f", "Hello", *options])
    assert (plain.exit_code, plain.stdout.strip()) == (1 if wrong else 0, said)
    assert "  request-id: req-1\n" in plain.stderr
    assert wrong in plain.stderr
    asked = CliRunner().invoke(app, ["ask", "f", "Hello", "--json", *options])
    document = json.loads(asked.stdout)
    assert (document["text"], document["complete"], asked.exit_code) == (said, not wrong, plain.exit_code)
    assert wrong in ((document["error"] or {}).get("message") or "")
