"""Every endpoint, from its credential to a one-token call through the running gateway."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2

from crossfade.app.doctor.advice import advise_call, advise_credential
from crossfade.app.doctor.finding import Finding, State
from crossfade.app.doctor.hosts import address_of
from crossfade.app.doctor.network import check_network
from crossfade.config.compile import CredentialNeed, credential_plan
from crossfade.config.features import Config
from crossfade.control.credentials.broker import explain
from crossfade.control.credentials.sources import fetch
from crossfade.control.evidence.gateway_address import GatewayAddress

CALL_WITHIN_S = 60.0
SOON_S = 300.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, and the key that may pin endpoints."""

    address: GatewayAddress
    key: str

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return httpx2.get(
                f"{self.address.url}/health/liveliness", timeout=3, verify=self.address.verify()
            ).is_success
        except (httpx2.HTTPError, OSError):
            return False


def examine(config: Config, gateway: Gateway, only: tuple[str, ...] = ()) -> list[Finding]:
    """All findings, endpoint by endpoint in the order of the file."""
    names = [name for name in config.endpoints if not only or name in only]
    needs = {need.name: need for need in credential_plan(config)}
    used = {config.endpoints[name].provider for name in names} & set(needs)
    is_up = gateway.is_up()
    with ThreadPoolExecutor(max_workers=8) as pool:
        credentials = dict(zip(used, pool.map(lambda name: check_credential(needs[name]), used), strict=True))
        reports = pool.map(lambda name: _endpoint(config, name, credentials, gateway, is_up=is_up), names)
        return [finding for report in reports for finding in report]


def check_credential(need: CredentialNeed) -> Finding:
    """Fetch a credential here and now, as control would. The subject is the provider."""
    try:
        fetched = fetch(need)
    except Exception as error:  # noqa: BLE001 - an SDK may raise anything, and the doctor tells it
        what, fix = advise_credential(explain(error))
        return Finding(need.name, "credential", State.FAIL, what, fix)
    method = need.auth.method
    if fetched.expires_unix_s is None:
        kept = f"{method}: a stored secret that never expires"
        return Finding(need.name, "credential", State.OK, kept)
    left_s = fetched.expires_unix_s - time.time()
    end = dt.datetime.fromtimestamp(fetched.expires_unix_s, dt.UTC).strftime("%H:%M UTC")
    if left_s < SOON_S:
        fix = "give it a longer life: less than five minutes leaves little time to renew it"
        return Finding(need.name, "credential", State.WARN, f"{method}: good until {end}", fix)
    return Finding(need.name, "credential", State.OK, f"{method}: good until {end}")


def _endpoint(
    config: Config, name: str, credentials: dict[str, Finding], gateway: Gateway, *, is_up: bool
) -> list[Finding]:
    endpoint = config.endpoints[name]
    provider = config.providers[endpoint.provider]
    findings = [
        Finding(name, found.check, found.state, found.what, found.fix)
        for found in [credentials.get(endpoint.provider)]
        if found is not None
    ]
    address = address_of(provider, endpoint)
    if address is None:
        findings.append(Finding(name, "dns", State.SKIPPED, "the config gives no address"))
    else:
        findings += check_network(name, address)
    feature = _feature_of(config, name)
    if not is_up:
        fix = "start `crossfade up`: models are called through the gateway only"
        findings.append(Finding(name, "call", State.SKIPPED, "no gateway answers", fix))
    elif feature is None:
        findings.append(Finding(name, "call", State.SKIPPED, "no feature may use this endpoint"))
    else:
        findings += _call(name, feature, gateway)
    return findings


def _feature_of(config: Config, endpoint: str) -> str | None:
    for name, feature in config.features.items():
        if any(endpoint in config.pools[target.pool].endpoints for target in feature.hierarchy):
            return name
    return None


def _call(name: str, feature: str, gateway: Gateway) -> list[Finding]:
    """One token from exactly this endpoint: what it proves of permission, quota and the call itself."""
    body = {"model": feature, "max_tokens": 1, "messages": [{"role": "user", "content": "Say yes."}]}
    headers = {"authorization": f"Bearer {gateway.key}", "x-crossfade-pin": name}
    began = time.monotonic()
    try:
        answer = httpx2.post(
            f"{gateway.address.url}/v1/chat/completions",
            json=body,
            headers=headers,
            timeout=CALL_WITHIN_S,
            verify=gateway.address.verify(),
        )
        document = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        fix = "look at the gateway's log"
        return [Finding(name, "call", State.FAIL, f"the gateway broke off: {type(error).__name__}", fix)]
    if answer.is_success:
        took_ms = (time.monotonic() - began) * 1000
        return [
            Finding(name, "permission", State.OK, "the model may be called"),
            Finding(name, "quota", State.OK, "not used up"),
            Finding(name, "call", State.OK, f"one token in {took_ms:.0f} ms"),
        ]
    return judge_failure(name, document)


def judge_failure(name: str, document: dict[str, Any]) -> list[Finding]:
    """What a refused call proves: which check failed, and which ones it got past."""
    error = document.get("error") or {}
    check, what, fix = advise_call(str(error.get("code")), str(error.get("message", "")))
    failed = Finding(name, check, State.FAIL, what, fix)
    if check == "quota":  # who is throttled was let in
        return [Finding(name, "permission", State.OK, "the model may be called"), failed]
    return [failed]
