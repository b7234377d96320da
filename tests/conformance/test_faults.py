"""Each fault as the official SDKs meet it; the bill charges what was generated and nothing more."""

from __future__ import annotations

import json
from contextlib import closing

import openai
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError, HTTPClientError
from urllib3.exceptions import ProtocolError

PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/recap"
ON_DEMAND = "us.anthropic.claude-haiku-4-5"
SOURCE = (
    "Please recap this meeting. Maria Lopez opened the budget review on 14 March. "
    "The council voted 7 to 2 to fund the bridge repair with 350000 dollars. "
    "Several residents asked about the noise at night. The library will stay open on Sundays. "
    "Déjà vu: the café terrace — “still pending” — was postponed again."
)

ASK = {"messages": [{"role": "user", "content": [{"text": SOURCE}]}], "inferenceConfig": {"maxTokens": 400}}
CHAT = {"model": "gpt-sim", "messages": [{"role": "user", "content": SOURCE}]}
INVOKE = {"EndpointName": "haiku-sm", "Body": json.dumps({"messages": CHAT["messages"], "stream": True})}


def read_all(stream) -> list:
    with closing(stream):
        return list(stream)


def test_a_throttle_is_429_in_each_form(running):
    running.fault("*/*", kind="throttle")

    with pytest.raises(openai.RateLimitError) as limited:
        running.openai().chat.completions.create(**CHAT)
    with pytest.raises(ClientError, match="ThrottlingException"):
        running.aws("bedrock-runtime").converse(modelId=PROVISIONED, **ASK)
    with pytest.raises(ClientError, match="ModelError") as overloaded:
        running.aws("sagemaker-runtime").invoke_endpoint(**INVOKE)

    assert limited.value.response.headers["retry-after-ms"] == "1000"
    assert overloaded.value.response["OriginalStatusCode"] == 429


def test_errors_have_the_status_asked_for(running):
    running.fault("*/*", kind="errors", status=503)

    with pytest.raises(openai.InternalServerError) as caught:
        running.openai().chat.completions.create(**CHAT)
    with pytest.raises(ClientError, match="ServiceUnavailableException"):
        running.aws("bedrock-runtime").converse_stream(modelId=PROVISIONED, **ASK)
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        running.aws("sagemaker-runtime").invoke_endpoint(**INVOKE)

    assert caught.value.code == "server_is_overloaded"


def test_a_dead_port_answers_nothing(running):
    running.fault("*/*", kind="dead")

    with pytest.raises(openai.APIConnectionError):
        running.openai().chat.completions.create(**CHAT)
    with pytest.raises(HTTPClientError):
        running.aws("bedrock-runtime").converse(modelId=PROVISIONED, **ASK)


def test_an_exception_comes_inside_the_stream_after_content(running):
    running.fault("*/*", kind="exception", after_chunks=3)
    said: list[str] = []

    with pytest.raises(openai.APIError, match="server had an error"):
        said.extend(
            chunk.choices[0].delta.content or ""
            for chunk in running.openai().chat.completions.create(**CHAT, stream=True)
        )
    stream = running.aws("bedrock-runtime").converse_stream(modelId=PROVISIONED, **ASK)["stream"]
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        read_all(stream)
    body = running.aws("sagemaker-runtime").invoke_endpoint_with_response_stream(**INVOKE)["Body"]
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        read_all(body)

    for model in ("gpt-sim", "recap", "haiku-sm"):
        bill = running.bill(model)
        assert bill["outcomes"] == {"interrupted": 1}
        assert 0 < bill["output_tokens"] < 30


def test_an_exception_as_first_frame_leaves_nothing_to_bill_but_input(running):
    running.fault("bedrock/recap", kind="exception")

    with pytest.raises(EventStreamError):
        read_all(running.aws("bedrock-runtime").converse_stream(modelId=PROVISIONED, **ASK)["stream"])

    assert running.bill("recap")["output_tokens"] == 0


def test_a_cut_stream_breaks_the_connection(running):
    running.fault("*/*", kind="cut", after_chunks=2)

    stream = running.openai().chat.completions.create(**CHAT, stream=True)
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    events = running.aws("bedrock-runtime").converse_stream(modelId=PROVISIONED, **ASK)["stream"]
    with pytest.raises(ProtocolError):
        read_all(events)


def test_garbage_does_not_pass_for_an_answer(running):
    running.fault("*/*", kind="garbage")

    with pytest.raises(ChecksumMismatch):
        read_all(running.aws("bedrock-runtime").converse_stream(modelId=PROVISIONED, **ASK)["stream"])


def test_empty_and_error_documents_come_with_status_200(running):
    running.fault("bedrock/recap", kind="empty")
    running.fault("openai/gpt-sim", kind="error_in_200")

    events = read_all(running.aws("bedrock-runtime").converse_stream(modelId=PROVISIONED, **ASK)["stream"])
    with pytest.raises(openai.APIError, match="server had an error"):
        list(running.openai().chat.completions.create(**CHAT, stream=True))

    assert events == []


def test_a_rate_strikes_that_share_of_requests_the_same_under_one_seed(run_clouds):
    def struck() -> list[bool]:
        running = run_clouds()
        running.fault("bedrock/*", kind="errors", rate=0.3)
        client = running.aws("bedrock-runtime")
        hits = []
        for _ in range(60):
            try:
                client.converse(modelId=ON_DEMAND, **ASK)
                hits.append(False)
            except ClientError:
                hits.append(True)
        return hits

    first = struck()

    assert first == struck()
    assert 8 <= sum(first) <= 28


def test_a_fault_can_spare_on_demand_capacity_and_be_cleared(running):
    running.fault("bedrock/*", kind="throttle", capacity="provisioned")
    client = running.aws("bedrock-runtime")

    assert client.converse(modelId=ON_DEMAND, **ASK)["stopReason"] == "end_turn"
    with pytest.raises(ClientError):
        client.converse(modelId=PROVISIONED, **ASK)
    assert running.admin("DELETE", "/faults/bedrock/*") == {"cleared": 1}
    assert client.converse(modelId=PROVISIONED, **ASK)["stopReason"] == "end_turn"


def test_a_caller_who_leaves_stops_generation_and_pays_for_what_was_made(run_clouds):
    running = run_clouds()
    running.fault("openai/gpt-sim", kind="stall", after_chunks=3)

    stream = running.openai().chat.completions.create(**CHAT, stream=True)
    pieces = [next(stream).choices[0].delta.content for _ in range(4)]
    stream.close()
    running.await_bill("gpt-sim")

    bill = running.bill("gpt-sim")
    assert bill["outcomes"] == {"aborted": 1}
    assert bill["output_tokens"] == -(-len("".join(pieces).encode()) // 4)
