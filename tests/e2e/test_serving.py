"""One endpoint in front of real clouds, used with the official client, and broken on purpose."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import openai
import pytest

from crossfade.app.gateway_process import PROGRAM
from crossfade.control.store.state_dir import StateDir

MESSAGES = [
    {"role": "user", "content": "Ana confirmed the budget. Bo postponed the review of the login page."}
]


@pytest.mark.parametrize("feature", ["summary", "answer", "recap"])
def test_the_official_client_is_served_plain_with_the_truth_in_the_headers(client, feature):
    raw = client.chat.completions.with_raw_response.create(model=feature, messages=MESSAGES, max_tokens=80)
    answer = raw.parse()

    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage.completion_tokens > 0
    first = {"summary": "gpt", "answer": "claude", "recap": "haiku-sm"}[feature]
    assert raw.headers["x-crossfade-endpoint"] == first
    assert raw.headers["x-crossfade-attempts"] == "1"
    for name in ("request-id", "provider", "model", "capacity", "reason", "arm", "snapshot", "overhead-us"):
        assert raw.headers[f"x-crossfade-{name}"], name


@pytest.mark.parametrize("feature", ["summary", "answer", "recap"])
def test_the_official_client_is_served_a_stream(client, feature):
    chunks = list(
        client.chat.completions.create(model=feature, messages=MESSAGES, max_tokens=80, stream=True)
    )

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in {"stop", "length"}


def test_usage_is_streamed_to_those_who_ask_and_hidden_from_those_who_do_not(client):
    def stream(**extra):
        return list(client.chat.completions.create(model="summary", messages=MESSAGES, stream=True, **extra))

    assert stream(stream_options={"include_usage": True})[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in stream())


@pytest.mark.parametrize(("feature", "cloud", "model"), [
    ("summary", "openai", "gpt-sim"),
    ("answer", "bedrock", "us.anthropic.claude-haiku-4-5"),
    ("recap", "sagemaker", "haiku-sm"),
])  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_after_three_chunks_is_an_error_and_never_a_finish(
    client, faults, feature, cloud, model, stream
):
    faults(cloud, model, kind="cut", rate=1.0, after_chunks=3)

    if not stream:
        raw = client.chat.completions.with_raw_response.create(model=feature, messages=MESSAGES)
        assert raw.parse().choices[0].finish_reason in {
            "stop",
            "length",
        }  # nothing was committed: a backup answered
        assert raw.headers["x-crossfade-attempts"] != "1"
        return
    answer = client.chat.completions.create(model=feature, messages=MESSAGES, stream=True)
    seen = []
    with pytest.raises(openai.APIError):
        seen.extend(answer)
    assert seen
    assert all(chunk.choices[0].finish_reason is None for chunk in seen if chunk.choices)


@pytest.mark.parametrize("fault", [
    {"kind": "cut", "after_chunks": 0}, {"kind": "errors"}, {"kind": "exception", "after_chunks": 0},
    {"kind": "empty"}, {"kind": "error_in_200"}, {"kind": "dead"}, {"kind": "garbage"},
    {"kind": "throttle", "delay_ms": 1},
], ids=lambda fault: fault["kind"])  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_first_content_is_answered_in_full_by_the_backup(client, faults, fault, stream):
    faults("openai", "gpt-sim", rate=1.0, **fault)

    raw = client.chat.completions.with_raw_response.create(model="summary", messages=MESSAGES, stream=stream)
    answer = raw.parse()
    text = (
        "".join(c.choices[0].delta.content or "" for c in answer if c.choices)
        if stream
        else answer.choices[0].message.content
    )

    assert text
    assert raw.headers["x-crossfade-endpoint"] == "claude"
    assert raw.headers["x-crossfade-attempts"] != "1", "it was asked, and failed"


def test_explain_names_each_attempt_its_outcome_and_why_the_next_was_chosen(client, deployment, faults):
    faults("openai", "gpt-sim", kind="errors", rate=1.0)
    raw = client.chat.completions.with_raw_response.create(model="explained", messages=MESSAGES)
    request_id = raw.headers["x-crossfade-request-id"]
    deadline = time.monotonic() + 20
    while True:
        done = deployment.cli("explain", request_id)
        whole = done.returncode == 0 and "still under way" not in done.stdout  # records arrive in parts
        if whole or time.monotonic() > deadline:
            break

    assert done.returncode == 0, done.stderr
    assert "untouched" in done.stdout
    assert "server_error" in done.stdout
    assert "claude" in done.stdout
    assert "failover" in done.stdout


@pytest.mark.parametrize(("body", "status", "code"), [
    (b"{not json", 400, "invalid_request"),
    (b'{"model": "summery", "messages": [{"role": "user", "content": "x"}]}', 404, None),
    (b'{"messages": []}', 400, "invalid_request"),
])  # fmt: skip
def test_bad_requests_are_told_what_and_how_to_mend_it(deployment, body, status, code):
    request = urllib.request.Request(f"{deployment.url}/v1/chat/completions", data=body, method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    error = json.loads(caught.value.read())["error"]

    assert caught.value.code == status
    assert error["message"]
    assert error["hint"]
    if code:
        assert error["code"] == code


def test_features_are_listed_as_models(client):
    assert {model.id for model in client.models.list()} == {"summary", "answer", "recap", "explained"}


def test_metrics_are_on_the_admin_port_only(deployment):
    with urllib.request.urlopen(f"{deployment.admin}/metrics", timeout=10) as answer:
        assert b"crossfade_" in answer.read()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{deployment.url}/metrics", timeout=10)


def test_what_answers_is_the_measured_program_and_its_secrets_are_not_on_display(deployment):
    process = Path(f"/proc/{deployment.gateway_pid}")
    assert (process / "exe").resolve() == PROGRAM.resolve()
    folder = StateDir(deployment.state)
    shown = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    for secret in (folder.gateway_token(), folder.pepper()):
        assert secret.encode() not in shown


def test_the_overview_shows_features_endpoints_and_the_gateway(deployment):
    overview = deployment.read("/api/v1/overview")

    names = {part: {row["name"] for row in overview[part]} for part in ("features", "endpoints")}
    assert names["features"] == {"summary", "answer", "recap", "explained"}
    assert names["endpoints"] == {"gpt", "untouched", "claude", "haiku-sm"}
    assert len(overview["gateways"]) == 1
