"""The doctor's judgements: what an error means, which check a failed call decides, what a clock says."""

from __future__ import annotations

import datetime as dt
import json
import socket

import pytest
from typer.testing import CliRunner

from crossfade.app.cli.doctor import app
from crossfade.app.doctor.advice import advise_call, advise_credential
from crossfade.app.doctor.examine import judge_failure
from crossfade.app.doctor.finding import State
from crossfade.app.doctor.hosts import address_of
from crossfade.app.doctor.network import judge_clock
from crossfade.config.schema import EndpointSection, ProviderSection

NOW = dt.datetime(2026, 11, 25, 12, 0, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(("error", "meaning", "fix"), [
    ("ClientError: (InvalidIdentityToken) Incorrect token audience", "another audience", "audience"),
    ("OAuthError: ('Error code invalid_target', …)", "pool or provider does not exist", "auth.audience"),
    ("ClientError: (AccessDenied) sts:AssumeRole", "does not let this identity in", "trust policy"),
    ("ClientAuthenticationError: AADSTS700016: Application 'x'", "no such application", "client_id"),
    ("ClientAuthenticationError: AADSTS700213: no match", "no federated credential", "issuer, subject"),
    ("LookupError: the variable LAB_KEY is empty", "variable is not set", "export"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/x'", "not there", "token_file"),
    ("LookupError: the default chain found no AWS credentials", "no AWS identity", "role"),
    ("EndpointConnectionError: Could not connect to the endpoint URL", "cannot be reached", "sts_url"),
])  # fmt: skip
def test_an_sdks_error_is_told_in_our_words_with_the_fix(error, meaning, fix):
    what, advice = advise_credential(error)

    assert meaning in what
    assert fix in advice


def test_a_throttled_call_proves_permission_and_a_refused_one_proves_nothing():
    throttled = judge_failure("e", {"error": {"code": "rate_limited", "message": "slow down"}})
    refused = judge_failure("e", {"error": {"code": "auth", "message": "no"}})
    strange = judge_failure("e", {"error": {"code": "unheard_of"}})

    assert [(f.check, f.state) for f in throttled] == [("permission", State.OK), ("quota", State.FAIL)]
    assert [(f.check, f.state) for f in refused] == [("permission", State.FAIL)]
    assert strange[0].check == "call"
    assert "unheard_of" in strange[0].what
    assert all(f.fix for f in (throttled[1], refused[0], strange[0]))
    assert advise_call("capacity", "")[0] == "quota"


@pytest.mark.parametrize(("shown", "state"), [
    ("Wed, 25 Nov 2026 12:00:09 GMT", State.OK),
    ("Wed, 25 Nov 2026 12:02:00 GMT", State.WARN),
    ("Wed, 25 Nov 2026 11:54:00 GMT", State.FAIL),
    ("yesterday", State.SKIPPED),
    (None, State.SKIPPED),
])  # fmt: skip
def test_a_clock_is_judged_before_signatures_are_refused(shown, state):
    assert judge_clock("e", shown, NOW).state is state


def test_the_address_follows_from_kind_and_region_unless_the_config_gives_one():
    chain = {"method": "default-chain"}
    bedrock = ProviderSection(kind="bedrock", auth=chain)
    private = ProviderSection(kind="bedrock", auth=chain, base_url="https://vpce-1.example:8443")
    endpoint = EndpointSection(provider="p", model="m", region="eu-west-1")

    assert address_of(bedrock, endpoint) == ("https", "bedrock-runtime.eu-west-1.amazonaws.com", 443)
    assert address_of(private, endpoint) == ("https", "vpce-1.example", 8443)


def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def test_without_a_deployment_it_tells_what_it_can_and_what_it_could_not_look_at(tmp_path):
    ports = [closed_port() for _ in range(3)]
    path = tmp_path / "crossfade.yaml"
    path.write_text(
        f"gateway: {{listen: '127.0.0.1:{ports[0]}'}}\ncontrol: {{listen: '127.0.0.1:{ports[1]}'}}\n"
        f"providers:\n  lab:\n    kind: openai-compatible\n    base_url: http://127.0.0.1:{ports[2]}/v1\n"
        "    auth: {method: api-key, env: DOCTOR_TEST_KEY}\n"
        "endpoints: {a: {provider: lab, model: m}}\nfeatures: {f: [a]}\n"
    )
    options = ["--config", str(path), "--state", str(tmp_path / "state")]

    done = CliRunner().invoke(app, [*options, "--json"])
    wrong = CliRunner().invoke(app, ["nowhere", *options])

    report = json.loads(done.stdout)
    states = {(f["subject"], f["check"]): f["state"] for f in report["findings"]}
    assert (done.exit_code, report["ok"], wrong.exit_code) == (1, False, 2)
    assert states == {
        ("control", "running"): "skipped",
        ("a", "credential"): "fail",
        ("a", "dns"): "ok",
        ("a", "tls"): "fail",
        ("a", "call"): "skipped",
    }
    assert all(f["fix"] for f in report["findings"] if f["state"] in {"fail", "skipped"})
