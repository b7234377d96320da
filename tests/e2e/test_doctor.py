"""The doctor against a running deployment: well, throttled, forbidden, and with a wrong key."""

from __future__ import annotations

import json

from deployment import ENVIRONMENT, running_deployment


def findings_of(deployment, *arguments: str) -> tuple[int, dict[tuple[str, str], dict]]:
    done = deployment.cli("doctor", "--json", *arguments)
    report = json.loads(done.stdout)
    return done.returncode, {(f["subject"], f["check"]): f for f in report["findings"]}


def test_every_endpoint_is_looked_at_from_its_credential_to_one_token(config, faults, tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with running_deployment(tmp_path, config, ENVIRONMENT) as running:
        code, found = findings_of(running)

        assert code == 0, found
        for endpoint in ("gpt", "claude", "haiku-sm"):
            for check in ("credential", "dns", "tls", "clock", "permission", "quota", "call"):
                assert found[endpoint, check]["state"] == "ok", found[endpoint, check]

        faults("openai", "gpt-sim", kind="throttle")
        faults("bedrock", "us.anthropic.claude-haiku-4-5", kind="errors", status=403)
        monkeypatch.setenv("SIM_KEY", "")
        code, found = findings_of(running, "gpt", "claude")

    assert code == 1
    assert (found["gpt", "quota"]["state"], found["gpt", "permission"]["state"]) == ("fail", "ok")
    assert found["claude", "permission"]["state"] == "fail"
    assert "grant" in found["claude", "permission"]["fix"]
    assert found["gpt", "credential"]["state"] == "fail"
    assert "export" in found["gpt", "credential"]["fix"]
    assert "haiku-sm" not in {subject for subject, _ in found}
