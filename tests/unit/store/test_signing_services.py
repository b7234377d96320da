"""Keys that never leave a key management service: AWS's own SDK against a service over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from securesystemslib.dsse import Envelope

from crossfade.config.load import ConfigError, load_text
from crossfade.control.store.checkpoints import Checkpoints
from crossfade.control.store.eventlog import EventLog
from crossfade.control.store.signing import CONTROL, SigningError, SigningKeys

URI = "awskms:alias/crossfade"


class Kms:
    """GetPublicKey and Sign of AWS KMS, over digests, for one P-256 key."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.asked, self.is_denied = [], False
        kms = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = kms.answer(self.headers["x-amz-target"].rpartition(".")[2], body)
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, what, body):
        self.asked.append(what)
        if self.is_denied:
            return 400, {"__type": "AccessDeniedException", "message": "not for you"}
        assert body["KeyId"] == "alias/crossfade"
        if what == "GetPublicKey":
            der = self.key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return 200, {"PublicKey": base64.b64encode(der).decode(), "SigningAlgorithms": ["ECDSA_SHA_256"]}
        assert (what, body["MessageType"], body["SigningAlgorithm"]) == ("Sign", "DIGEST", "ECDSA_SHA_256")
        digest = base64.b64decode(body["Message"])
        signature = self.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return 200, {"Signature": base64.b64encode(signature).decode()}


@pytest.fixture
def kms(monkeypatch):
    running = Kms()
    for name, value in {
        "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{running.server.server_port}",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    yield running
    running.server.shutdown()
    running.server.server_close()


def envelope_of(keys, name=CONTROL):
    envelope = Envelope(b"what was measured", "text/plain", {})
    envelope.sign(keys.signer(name))
    return envelope


def test_the_service_signs_and_verifying_asks_nobody(kms, tmp_path):
    keys = SigningKeys(tmp_path, {CONTROL: URI})
    envelope = envelope_of(keys)
    assert kms.asked == ["GetPublicKey", "Sign"]
    kms.is_denied = True
    assert keys.is_signed_by(CONTROL, envelope)
    assert not keys.is_signed_by("Ann", envelope)
    assert not list(tmp_path.glob("*.pem")), "no private key is here"
    forged = Envelope(b"what was not", "text/plain", dict(envelope.signatures))
    assert not keys.is_signed_by(CONTROL, forged)


def test_the_public_key_is_asked_for_once_even_over_a_restart(kms, tmp_path):
    envelope_of(SigningKeys(tmp_path, {CONTROL: URI}))
    envelope_of(SigningKeys(tmp_path, {CONTROL: URI}))
    assert kms.asked == ["GetPublicKey", "Sign", "Sign"]


def test_what_was_signed_by_a_file_holds_until_the_file_is_taken_away(kms, tmp_path):
    before = envelope_of(SigningKeys(tmp_path))
    keys = SigningKeys(tmp_path, {CONTROL: URI})
    assert keys.is_signed_by(CONTROL, before)
    after = envelope_of(keys)
    for path in tmp_path.glob("*.pem"):
        path.unlink()
    assert not keys.is_signed_by(CONTROL, before)
    assert keys.is_signed_by(CONTROL, after)
    assert SigningKeys(tmp_path).is_signed_by(CONTROL, after), "and back"


def test_a_service_that_refuses_is_named_with_why(kms, tmp_path):
    kms.is_denied = True
    keys = SigningKeys(tmp_path, {CONTROL: URI})
    with pytest.raises(SigningError, match=r"awskms:alias/crossfade does not sign: .*not for you.*hint"):
        envelope_of(keys)
    kms.is_denied = False
    envelope_of(keys)
    kms.is_denied = True
    with pytest.raises(SigningError, match="not for you"):
        envelope_of(keys)


def test_a_service_whose_library_is_not_installed_says_what_to_install(tmp_path):
    keys = SigningKeys(
        tmp_path, {"Ann": "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"}
    )
    with pytest.raises(SigningError, match="pip install google-cloud-kms"):
        envelope_of(keys, "Ann")


async def test_checkpoints_are_signed_by_the_service_and_audited_without_it(kms, tmp_path):
    log = await EventLog.open(f"sqlite:///{tmp_path}/log.db")
    await log.append("s", "kind", {}, actor="a", reason="r")
    points = Checkpoints(log, SigningKeys(tmp_path / "signing", {CONTROL: URI}), tmp_path / "elsewhere")
    assert await points.write() is not None
    kms.is_denied = True
    audited = await points.audit()
    assert (audited.problem, audited.checkpoints) == (None, 1)
    await log.close()


def test_a_scheme_nobody_knows_is_refused_by_the_config():
    config = """
endpoints: {gpt: openai/gpt-5-mini}
features: {recap: [gpt]}
control: {signing: {crossfade-control: "vault:key"}}
"""
    with pytest.raises(ConfigError, match=r"control.signing.crossfade-control"):
        load_text(config, "crossfade.yaml")
