"""Checks AWS Signature Version 4 from the request as it arrived.

The canonical path encodes the path again, although it is already percent-encoded on the wire: a model id
with `:` arrives as `%3A` and is signed as `%253A`. The raw path is therefore needed, never a decoded one.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from urllib.parse import quote, unquote

SKEW_S = 300.0  # how far a request's date may be from the server's clock
_AUTHORIZATION = re.compile(
    r"^AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})$"
)


class SignatureError(Exception):
    """The request cannot be let in; `code` is the AWS error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Signed:
    """The claims of a signed request before its signature is verified."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    session_token: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """The parts of an HTTP request that are signed; `target` is the raw path and query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """All values of a header, by lower-case name."""
        return [value for key, value in self.headers if key == name]


def decode_claims(message: Message) -> Signed:
    """Read the `Authorization` header; raises `SignatureError` when it is absent or malformed."""
    found = message.values("authorization")
    if not found:
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    match = _AUTHORIZATION.match(found[0])
    if match is None:
        raise SignatureError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters.",
        )
    parts = match["credential"].rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise SignatureError("IncompleteSignatureException", "Credential must have exactly 5 elements.")
    timestamp = (message.values("x-amz-date") or [""])[0]
    if not re.fullmatch(r"\d{8}T\d{6}Z", timestamp) or not timestamp.startswith(parts[1]):
        raise SignatureError("IncompleteSignatureException", "Date in Credential scope does not match.")
    signed = tuple(match["headers"].split(";"))
    if "host" not in signed:
        raise SignatureError("InvalidSignatureException", "'Host' must be a 'SignedHeader'.")
    token = next(iter(message.values("x-amz-security-token")), None)
    return Signed(
        access_key=parts[0],
        date=parts[1],
        region=parts[2],
        service=parts[3],
        signed_headers=signed,
        signature=match["signature"],
        timestamp=timestamp,
        session_token=token,
    )


def verify(message: Message, claims: Signed, secret: str, service: str, unix_s: float) -> None:
    """Raises `SignatureError` unless the signature is right, in time, and for this service."""
    if claims.service != service:
        raise SignatureError(
            "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'."
        )
    signed_at = calendar.timegm(time.strptime(claims.timestamp, "%Y%m%dT%H%M%SZ"))
    if abs(unix_s - signed_at) > SKEW_S:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(unix_s))
        raise SignatureError(
            "InvalidSignatureException",
            f"Signature expired: {claims.timestamp} is now outside {now} by more than 5 min.",
        )
    if not hmac.compare_digest(expected_signature(message, claims, secret), claims.signature):
        raise SignatureError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details.",
        )


def canonical_request(message: Message, signed_headers: tuple[str, ...]) -> str:
    """The text whose hash is signed."""
    path, _, query = message.target.partition("?")
    headers = "".join(
        f"{name}:{','.join(' '.join(value.split()) for value in message.values(name))}\n"
        for name in signed_headers
    )
    pairs = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in (part.partition("=") for part in query.split("&") if part)
    )
    body_hash = hashlib.sha256(message.body).hexdigest()
    return "\n".join(
        [
            message.method,
            quote(path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(signed_headers),
            body_hash,
        ]
    )


def expected_signature(message: Message, claims: Signed, secret: str) -> str:
    """What the caller should have computed with this secret."""
    scope = f"{claims.date}/{claims.region}/{claims.service}/aws4_request"
    canonical = hashlib.sha256(canonical_request(message, claims.signed_headers).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{claims.timestamp}\n{scope}\n{canonical}"
    key = f"AWS4{secret}".encode()
    for part in (claims.date, claims.region, claims.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
