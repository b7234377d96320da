"""A real gateway process that serves one config, and a plain caller of it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crossfade.app.gateway_process import PROGRAM
from crossfade.config.compile import compile_snapshot
from crossfade.config.load import load_config
from crossfade.config.snapshot_json import encode_snapshot

ROOT = Path(__file__).parents[3]
TOKEN = "scenario"
PATIENCE_S = 30


Edit = Callable[[dict[str, Any]], dict[str, Any]]


def snapshot_of(config: str, folder: Path, edit: Edit | None = None) -> bytes:
    """The config's snapshot as control would send it, changed by `edit`."""
    path = folder / "crossfade.yaml"
    path.write_text(config)
    loaded = load_config(path).config
    body = encode_snapshot(compile_snapshot(loaded, version=1, issued_unix_s=0, keys=(), overlays={}))
    return body if edit is None else json.dumps(edit(json.loads(body))).encode()


@dataclass
class Gateway:
    """A running gateway."""

    port: int
    admin_port: int
    pid: int
    folder: Path

    def state(self) -> dict[str, Any]:
        return json.loads(get(self.admin_port, "/admin/state"))

    def health(self, endpoint: str) -> str:
        return next(row["state"] for row in self.state()["health"] if row["endpoint"] == endpoint)

    def resident_mb(self) -> float:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def options_of(folder: Path, **more: Any) -> str:
    """What a gateway on free loopback ports is told on its standard input."""
    told = {
        "name": "g", "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "state_dir": str(folder),
        "token": TOKEN, "pepper": "pepper",
    }  # fmt: skip
    return json.dumps(told | more)


@contextlib.contextmanager
def running_gateway(
    config: str,
    edit: Edit | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> Iterator[Gateway]:
    """Serves `config` on free loopback ports; `edit` changes its snapshot first.

    `files`: what the state folder holds already; `options`: more of the gateway's.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = snapshot_of(config, folder, edit)
        for file, text in files.items():
            (folder / file).write_text(text)
        (folder / "snapshot.json").write_bytes(body)
        (folder / "snapshot.sig").write_text(hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest())
        with (folder / "stderr").open("w") as errors:
            process = subprocess.Popen(
                [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
            process.stdin.write(options_of(folder, **options))
            process.stdin.close()
            try:
                ready = process.stdout.readline()
                found = re.search(r"https?://127\.0\.0\.1:(\d+), admin http://127\.0\.0\.1:(\d+)", ready)
                assert found, f"{ready!r}: {(folder / 'stderr').read_text()}"
                yield Gateway(int(found[1]), int(found[2]), process.pid, folder)
            finally:
                process.kill()
                process.wait(10)
                process.stdout.close()


def looks() -> Iterator[None]:
    """Turns of a loop that waits for what another process does: as many as patience has room for."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        yield
        threading.Event().wait(0.01)


def get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@dataclass
class Answer:
    """What a caller saw. `ends`: whole, error (an error event) or cut (the connection broke)."""

    status: int
    headers: dict[str, str]
    text: str = ""
    code: str | None = None
    ends: str = "whole"
    events: list[Any] = field(default_factory=list)


def ask(
    port: int,
    *,
    stream: bool,
    headers: dict[str, str] | None = None,
    on_content: Callable[[], None] = lambda: None,
    **body: Any,
) -> Answer:
    """One chat request; `on_content` is called once a part of the answer is there."""
    document = {"model": "f", "messages": [{"role": "user", "content": "Hi"}], "stream": stream, **body}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        sent = {"content-type": "application/json", **(headers or {})}
        connection.request("POST", "/v1/chat/completions", json.dumps(document), sent)
        response = connection.getresponse()
        seen = {name.lower(): value for name, value in response.getheaders()}
        is_stream = stream and response.status == 200
        return read(response, Answer(response.status, seen), stream=is_stream, on_content=on_content)
    finally:
        connection.close()


def read(
    response: http.client.HTTPResponse, seen: Answer, *, stream: bool, on_content: Callable[[], None]
) -> Answer:
    """The body as its caller understands it."""
    whole, broken = b"", False
    try:
        while part := response.read1(65536):
            whole += part
            on_content()
    except (http.client.IncompleteRead, ConnectionError):
        broken = True
    if not stream:
        document = json.loads(whole) if whole else {}
        seen.code = (document.get("error") or {}).get("code")
        if seen.status == 200:
            seen.text = document["choices"][0]["message"]["content"] or ""
        seen.ends = "cut" if broken else "whole"
        return seen
    done = False
    for block in whole.decode().split("\n\n"):
        data = "".join(line[6:] for line in block.split("\n") if line.startswith("data: "))
        if data == "[DONE]":
            done = True
        elif data:
            seen.events.append(json.loads(data))
    for one in seen.events:
        seen.code = (one.get("error") or {}).get("code") or seen.code
        for choice in one.get("choices", []):
            seen.text += choice["delta"].get("content") or ""
    seen.ends = "error" if seen.code else "whole" if done and not broken else "cut"
    assert not (done and (seen.code or broken)), "a broken stream must not look finished"
    return seen
