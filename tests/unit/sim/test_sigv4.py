"""Signatures: the published vector, and agreement with botocore's signer on any path and body."""

from __future__ import annotations

import calendar
import hashlib
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from crossfade.sim.wire.sigv4 import (
    Message,
    SignatureError,
    canonical_request,
    decode_claims,
    expected_signature,
    verify,
)

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SIGNATURE = "0d312e8efb96842169914fe811db9e35b05319bb660b87c4f286a0e9381fa55e"
SCOPE = "AKIDEXAMPLE/20261122/us-east-1/bedrock/aws4_request"
SIGNED = "content-type;host;x-amz-date;x-amz-security-token"
VECTOR = Message(
    "POST",
    "/model/us.example.model-v1%3A0/converse",
    (
        ("content-type", "application/json"),
        ("host", "bedrock-runtime.us-east-1.amazonaws.com"),
        ("x-amz-date", "20261122T120000Z"),
        ("x-amz-security-token", "TOKENEXAMPLE"),
        (
            "authorization",
            f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders={SIGNED}, Signature={SIGNATURE}",
        ),
    ),
    b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]}',
)
NOON = calendar.timegm((2026, 11, 22, 12, 0, 0))


def test_the_published_vector_verifies_with_its_doubly_encoded_path():
    claims = decode_claims(VECTOR)
    canonical = canonical_request(VECTOR, claims.signed_headers)

    assert "/model/us.example.model-v1%253A0/converse" in canonical
    assert (
        hashlib.sha256(canonical.encode()).hexdigest()
        == "52b07cca6271b15b0548646c01f5f8e8a0663d2c32263f2dc08836e9fb029fb8"
    )
    assert expected_signature(VECTOR, claims, SECRET) == SIGNATURE
    verify(VECTOR, claims, SECRET, "bedrock", NOON)


@pytest.mark.parametrize(
    ("service", "secret", "late_s"), [("sagemaker", SECRET, 0), ("bedrock", "x", 0), ("bedrock", SECRET, 301)]
)
def test_a_wrong_scope_secret_or_time_does_not_verify(service, secret, late_s):
    with pytest.raises(SignatureError) as caught:
        verify(VECTOR, decode_claims(VECTOR), secret, service, NOON + late_s)

    assert caught.value.code == "InvalidSignatureException"


def test_a_request_without_authorization_has_no_token():
    with pytest.raises(SignatureError) as caught:
        decode_claims(Message("POST", "/", (), b""))

    assert caught.value.code == "MissingAuthenticationTokenException"


SEGMENT = st.text("abcXYZ019-_~", min_size=1, max_size=12)
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts) + "%3A0%2Fx/converse"
)


@given(PATH, st.binary(max_size=200))
def test_whatever_botocore_signs_verifies(path, body):
    url = "http://127.0.0.1:4201" + path
    request = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=body)
    SigV4Auth(Credentials("AKIDEXAMPLE", SECRET), "bedrock", "us-east-1").add_auth(request)
    headers = tuple((name.lower(), value) for name, value in request.headers.items())
    message = Message("POST", path, (*headers, ("host", "127.0.0.1:4201")), body)

    verify(message, decode_claims(message), SECRET, "bedrock", time.time())
