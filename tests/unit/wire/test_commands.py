"""`crossfade wire decode` and `encode`: the codecs by hand."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from crossfade.app.cli.main import app


def run(*words: str):
    return CliRunner().invoke(app, ["wire", *words])


def test_decode_prints_what_was_read(tmp_path):
    file = tmp_path / "answer.json"
    file.write_text('{"content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","type":"message"}')
    said = run("decode", str(file), "--dialect", "anthropic_messages")

    assert said.exit_code == 0
    assert json.loads(said.output)["text"] == "Hi"


def test_encode_prints_the_body_and_what_was_left_out(tmp_path):
    file = tmp_path / "body.json"
    file.write_text('{"model":"recap","seed":1,"messages":[{"role":"user","content":"Hi"}]}')
    said = run("encode", str(file), "--upstream", "anthropic_messages", "--model", "claude-x")

    document = json.loads(said.output)
    assert document["body"]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert document["warnings"] == ["seed has no form at this endpoint and was left out"]


def test_what_cannot_be_said_is_an_answer_with_exit_code_one(tmp_path):
    file = tmp_path / "body.json"
    file.write_text('{"model":"recap","messages":[{"role":"user","content":"Hi"}],"n":2}')
    said = run("encode", str(file), "--upstream", "gemini", "--model", "m")

    assert said.exit_code == 1
    assert "one answer a request" in said.output
