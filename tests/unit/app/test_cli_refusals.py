"""What commands say when they cannot: a line with a hint, the right exit code, JSON where asked for."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.main import app

CONFIG = """\
control: {{listen: "127.0.0.1:{port}"}}
endpoints: {{a: openai/gpt-5-mini, b: openai/gpt-5-nano}}
features: {{f: [a, b]}}
"""
NONE = (404, {"error": {"message": "no migration", "hint": "start one"}})
RECORD = {
    "id": "1", "verdict": "pass", "kind": "signoff", "subject": "b", "expires_unix_s": 0.0, "signer": "Ann",
    "valid": False, "problem": "its artefact was changed", "envelope": {},
}  # fmt: skip


@pytest.fixture
def control(tmp_path, monkeypatch):
    """A control that answers from `answers` by path, else 404; what it was asked is in `asked`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            status, body = server.answers.get(self.path.partition("?")[0], NONE)
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answers = [], {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (tmp_path / "crossfade.yaml").write_text(CONFIG.format(port=server.server_port))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_a_name_never_reaches_another_address(control):
    for name in ("..", ".", ""):
        assert "is no migration's name" in run("migration", "status", name).stderr
    for name in ("../overview", "a/b?c#d", "%2e%2e", "../.."):
        found = run("migration", "status", name)
        assert (found.exit_code, found.stderr) == (2, "no migration (hint: start one)\n")
    assert all(path.startswith("/api/v1/migrations/") for path in control.asked), control.asked
    assert [path.count("/") for path in control.asked] == [4, 4, 4, 4]


def test_evidence_of_one_migration_is_asked_for_by_its_name(control):
    control.answers["/api/v1/evidence"] = (200, [RECORD])
    found = run("evidence", "verify", "--migration", "a&b=c", "--json")
    assert control.asked == ["/api/v1/evidence?migration=a%26b%3Dc"]
    assert json.loads(found.stdout) == {"records": 1, "broken": {"1": "its artefact was changed"}}
    assert found.exit_code == 1


def test_lists_show_what_there_is_and_say_that_there_is_nothing(control):
    control.answers["/api/v1/migrations"] = control.answers["/api/v1/evidence"] = (200, [])
    assert run("migration", "list").stdout == "none yet (hint: `crossfade migration start FILE`)\n"
    for arguments in (("evidence", "list"), ("key", "list")):
        found = run(*arguments)
        assert (found.exit_code, found.stdout, "hint" in found.stderr) == (0, "", True), arguments
        assert run(*arguments, "--json").stderr == ""
    row = {
        "name": "move", "state": "rollout", "share": 0.25, "features": ["f"], "next_action": "hold",
        "next_reason": "baking",
    }  # fmt: skip
    control.answers["/api/v1/migrations"] = (200, [row])
    assert " ".join(run("migration", "list").stdout.split()) == "move rollout 25% of f; next: hold: baking"
    assert json.loads(run("migration", "list", "--json").stdout) == [row]


def test_with_json_an_error_is_json_too(control):
    for arguments in (("migration", "status", "none"), ("migration", "start", "none.yaml")):
        plain, asked = run(*arguments), run(*arguments, "--json")
        assert (plain.exit_code, plain.stdout) == (2, "")
        assert asked.exit_code == 2
        said = plain.stderr.rstrip("\n")
        assert (json.loads(asked.stdout), asked.stderr) == ({"error": {"message": said}}, plain.stderr)


def test_where_nothing_can_be_written_a_command_says_so(control, tmp_path):
    control.answers["/api/v1/migrations"] = (200, [{"name": "m"}])
    found = run("evidence", "export", str(tmp_path / "crossfade.yaml"), "--migration", "m")
    assert found.exit_code == 2
    assert control.asked[0] == "/api/v1/migrations"


def test_what_answers_no_json_is_no_control(control):
    control.answers["/api/v1/evidence"] = (200, b"<html>")
    found = run("evidence", "list")
    assert (found.exit_code, "answers no JSON (hint: is it control's address?)" in found.stderr) == (1, True)


@pytest.mark.parametrize("text", ["\x00", "a: [", "migration: 2024-13-45", "- a"])
def test_a_file_that_is_none_is_refused_with_its_place(control, tmp_path, text):
    (tmp_path / "m.yaml").write_text(text)
    for verb in ("start", "rehearse"):
        found = run("migration", verb, "m.yaml", "--json")
        assert found.exit_code == 2
        assert found.stderr.startswith("m.yaml:1:")
        assert "m.yaml:1:" in json.loads(found.stdout)["error"]["message"]


def test_an_audit_that_cannot_be_made_is_said_in_json_too(control):
    for arguments, said in (
        (("audit", "verify"), "no migration"),
        (("audit", "verify", "--offline"), "database"),
    ):
        found = run(*arguments, "--json")
        assert found.exit_code == 1
        assert said in json.loads(found.stdout)["error"]["message"]
