"""`crossfade up` with TLS at its data port: SDKs and our own tools call it, nobody else is believed."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios/gateway"))

from certificate import write_certificate
from deployment import ENVIRONMENT, running_deployment

ASKED = [{"role": "user", "content": "Chen approved the schedule of the training week."}]


def test_sdks_and_our_own_tools_call_a_deployment_over_tls(config, tmp_path, monkeypatch):
    openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    write_certificate(tmp_path, 1)
    cert = tmp_path / "tls.crt"
    with running_deployment(tmp_path, config, ENVIRONMENT, cert) as running:
        trusted = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=cert))
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="unused", http_client=trusted) as caller:
            plain = caller.chat.completions.create(model="summary", messages=ASKED)
            stream = caller.chat.completions.create(model="summary", messages=ASKED, stream=True)
            streamed = "".join(part.choices[0].delta.content or "" for part in stream if part.choices)
        assert plain.choices[0].message.content
        assert streamed

        with (
            openai.OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as doubting,
            pytest.raises(openai.APIConnectionError),
        ):
            doubting.chat.completions.create(model="summary", messages=ASKED)

        report = json.loads(running.cli("doctor", "--json").stdout)
        calls = {found["subject"]: found["state"] for found in report["findings"] if found["check"] == "call"}
        assert calls == dict.fromkeys(("gpt", "untouched", "claude", "haiku-sm"), "ok"), report
