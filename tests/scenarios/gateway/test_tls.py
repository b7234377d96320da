"""TLS at the data port: official SDKs, a renewed certificate, and callers who speak something else."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

sys.path.insert(0, str(Path(__file__).parent))

from certificate import write_certificate
from cloud import TEXT, Cloud
from process import PATIENCE_S, looks, options_of, running_gateway

from crossfade.app.gateway_process import PROGRAM
from crossfade.control.evidence.gateway_address import GatewayAddress

httpx2 = pytest.importorskip("httpx2")

CONFIG = """
providers:
  up: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/a/v1', auth: {{method: none}}}}
endpoints: {{a: {{provider: up, model: m}}}}
features: {{f: {{hierarchy: [a]}}}}
"""


def files(folder: Path) -> dict[str, str]:
    return {"cert": str(folder / "tls.crt"), "key": str(folder / "tls.key")}


@pytest.fixture
def place(tmp_path):
    write_certificate(tmp_path, 1)
    cloud = Cloud()
    cloud.script("a", ["ok"])
    with running_gateway(CONFIG.format(port=cloud.port), tls=files(tmp_path)) as gateway:
        yield gateway, tmp_path
    cloud.close()


def shown_serial(port: int) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_sdks_speak_tls_and_nothing_else_is_answered(place):
    openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
    gateway, folder = place
    trusted = GatewayAddress(f"https://127.0.0.1:{gateway.port}", str(folder / "tls.crt"))
    context = trusted.verify()
    with openai.OpenAI(
        base_url=f"{trusted.url}/v1", api_key="x", http_client=openai.DefaultHttpxClient(verify=context)
    ) as caller:
        plain = caller.chat.completions.create(model="f", messages=[{"role": "user", "content": "Hi"}])
        stream = caller.chat.completions.create(
            model="f", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        streamed = "".join(part.choices[0].delta.content or "" for part in stream if part.choices)
    assert plain.choices[0].message.content == streamed == TEXT

    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{trusted.url}/v1/models")  # nobody vouches for the certificate
    plainly = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    plainly.request("GET", "/v1/models")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        plainly.getresponse()
    plainly.close()


def test_a_caller_who_never_shakes_hands_is_let_go(tmp_path):
    write_certificate(tmp_path, 1)
    impatient = CONFIG.format(port=9) + "gateway: {receive: 500ms}\n"
    with (
        running_gateway(impatient, tls=files(tmp_path)) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S) as silent,
    ):
        assert silent.recv(1) == b""


def test_a_renewed_certificate_serves_and_a_broken_one_does_not_replace_it(place):
    gateway, folder = place
    assert shown_serial(gateway.port) == 1
    write_certificate(folder, 2)
    assert any(shown_serial(gateway.port) == 2 for _ in looks())
    (folder / "tls.crt").write_text("no certificate")
    assert all(shown_serial(gateway.port) == 2 for _ in range(500))


def test_a_certificate_that_cannot_be_used_is_told_at_the_start(tmp_path):
    write_certificate(tmp_path, 1)
    (tmp_path / "tls.key").write_text("no key")
    said = options_of(tmp_path, tls=files(tmp_path))
    done = subprocess.run([PROGRAM], input=said, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 1
    assert "gateway.tls" in done.stderr
    assert "tls.key" in done.stderr
