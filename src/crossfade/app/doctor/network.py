"""The way to a host: its name, its certificate, and whether its clock agrees with ours."""

from __future__ import annotations

import datetime as dt
import http.client
import socket
import ssl
import time
from email.utils import parsedate_to_datetime

from crossfade.app.doctor.finding import Finding, State

WITHIN_S = 5.0
SKEW_WARN_S, SKEW_FAIL_S = 60.0, 240.0  # signatures are refused at five minutes
CERTIFICATE_WARN_DAYS = 14


def check_network(subject: str, address: tuple[str, str, int]) -> list[Finding]:
    """DNS, TLS and clock of an endpoint, in this order; what depends on a failure is not tried."""
    scheme, host, port = address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        fix = "check the name, this machine's resolver, and private DNS zones"
        return [Finding(subject, "dns", State.FAIL, f"{host} does not resolve: {error}", fix)]
    shown = ", ".join(sorted({str(entry[4][0]) for entry in found})[:3])
    findings = [Finding(subject, "dns", State.OK, f"{host} is {shown}")]
    findings.append(_tls(subject, host, port) if scheme == "https" else _plain(subject, host, port))
    if findings[-1].state is not State.FAIL:
        findings.append(_clock(subject, scheme, host, port))
    return findings


def _plain(subject: str, host: str, port: int) -> Finding:
    try:
        socket.create_connection((host, port), WITHIN_S).close()
    except OSError as error:
        return Finding(subject, "tls", State.FAIL, f"{host}:{port} does not answer: {error}", _UNREACHABLE)
    local = host in {"localhost", "::1"} or host.startswith("127.")
    if local:
        return Finding(subject, "tls", State.OK, "a loopback address, not encrypted")
    return Finding(
        subject, "tls", State.WARN, f"{host} is reached without encryption", "use an https:// base_url"
    )


_UNREACHABLE = "check routes, firewalls and the private endpoint's policy"


def _tls(subject: str, host: str, port: int) -> Finding:
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), WITHIN_S) as raw,
            context.wrap_socket(raw, server_hostname=host) as wrapped,
        ):
            certificate, version = wrapped.getpeercert() or {}, wrapped.version()
    except ssl.SSLCertVerificationError as error:
        fix = "trust the authority that signed it (SSL_CERT_FILE), or mend the address"
        return Finding(subject, "tls", State.FAIL, f"{host}: {error.verify_message}", fix)
    except OSError as error:
        return Finding(subject, "tls", State.FAIL, f"{host}:{port} does not answer: {error}", _UNREACHABLE)
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = int((ends - time.time()) / 86_400)
    what = f"{version}, certificate good for {days} days"
    if days < CERTIFICATE_WARN_DAYS:
        return Finding(subject, "tls", State.WARN, what, "its owner should renew it")
    return Finding(subject, "tls", State.OK, what)


def _clock(subject: str, scheme: str, host: str, port: int) -> Finding:
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=WITHIN_S)
    try:
        connection.request("GET", "/")
        shown = connection.getresponse().getheader("date")
    except (OSError, http.client.HTTPException) as error:
        return Finding(subject, "clock", State.SKIPPED, f"{host} gave no time: {type(error).__name__}")
    finally:
        connection.close()
    return judge_clock(subject, shown, dt.datetime.now(dt.UTC))


def judge_clock(subject: str, shown: str | None, now: dt.datetime) -> Finding:
    """What a `Date` header says about our clock."""
    try:
        skew_s = abs((parsedate_to_datetime(shown or "") - now).total_seconds())
    except (TypeError, ValueError):
        return Finding(subject, "clock", State.SKIPPED, "the host tells no time")
    what = f"{skew_s:.0f} s apart from the host's"
    if skew_s >= SKEW_FAIL_S:
        return Finding(
            subject, "clock", State.FAIL, what, "set this machine's clock: signatures will be refused"
        )
    if skew_s >= SKEW_WARN_S:
        return Finding(subject, "clock", State.WARN, what, "let this machine follow a time server")
    return Finding(subject, "clock", State.OK, what)
