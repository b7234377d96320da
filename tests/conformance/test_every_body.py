"""Cohere, Bedrock's other families and other containers behind SageMaker, each with its official SDK."""

from __future__ import annotations

import json
from contextlib import closing

import cohere
import pytest
from botocore.exceptions import ClientError
from cohere.errors import BadRequestError, NotFoundError, TooManyRequestsError, UnauthorizedError

from crossfade.sim.text import count_tokens

SOURCE = (
    "Please recap this meeting. Maria Lopez opened the budget review on 14 March. "
    "The council voted 7 to 2 to fund the bridge repair with 350000 dollars. Déjà vu: the café — postponed."
)
WEATHER = "What is the weather like in Paris today?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Weather", "parameters": SCHEMA}}
LLAMA = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
ASSISTANT = "<|start_header_id|>assistant<|end_header_id|>\n\n"


@pytest.fixture
def command(running):
    with cohere.ClientV2(api_key="sk-sim", base_url=running.clouds.urls["cohere"], timeout=10) as client:
        yield client


def said(*texts: str) -> dict:
    return {"model": "command-sim", "messages": [{"role": "user", "content": text} for text in texts]}


def test_cohere_answers_bills_and_streams_the_same(running, command):
    whole = command.chat(**said(SOURCE))
    events = list(command.chat_stream(**said(SOURCE)))

    text = whole.message.content[0].text
    assert whole.finish_reason == "COMPLETE"
    assert whole.usage.tokens.output_tokens == count_tokens(text)
    assert running.bill("cohere/command-sim")["output_tokens"] == 2 * count_tokens(text)
    deltas = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    assert "".join(deltas) == text
    assert [events[0].type, events[1].type] == ["message-start", "content-start"]
    assert events[-1].type == "message-end"
    assert events[-1].delta.usage.tokens.output_tokens == count_tokens(text)


def test_cohere_calls_tools_and_takes_their_results(command):
    asked = {**said(WEATHER), "tools": [TOOL]}
    turn = command.chat(**asked)
    (call,) = turn.message.tool_calls
    starts = [e for e in command.chat_stream(**asked) if e.type in {"tool-call-start", "tool-call-delta"}]
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    history = [*asked["messages"], turn.message.model_dump(exclude_none=True), result]
    answer = command.chat(**{**asked, "messages": history})

    assert (turn.finish_reason, json.loads(call.function.arguments)["city"]) == ("TOOL_CALL", "Paris")
    assert starts[0].delta.message.tool_calls.function.name == "weather"
    streamed = "".join(e.delta.message.tool_calls.function.arguments for e in starts[1:])
    assert streamed == call.function.arguments
    assert answer.message.content[0].text
    with pytest.raises(BadRequestError, match="tool call id not found"):
        command.chat(**{**asked, "messages": [*asked["messages"], result]})


def test_cohere_thinks_and_keeps_to_a_schema(command):
    thought = command.chat(**said(SOURCE), thinking={"type": "enabled"})
    form = {"type": "json_object", "json_schema": SCHEMA}
    formed = command.chat(**said(SOURCE), response_format=form)

    assert [part.type for part in thought.message.content] == ["thinking", "text"]
    assert "city" in json.loads(formed.message.content[0].text)


def test_cohere_refuses_in_its_own_words(running, command):
    stranger = cohere.ClientV2(api_key="wrong", base_url=running.clouds.urls["cohere"])
    with stranger, pytest.raises(UnauthorizedError, match="invalid api token"):
        stranger.chat(**said(SOURCE))
    with pytest.raises(NotFoundError, match="not found"):
        command.chat(model="none", messages=said(SOURCE)["messages"])
    running.fault("cohere/command-sim", kind="throttle")
    with pytest.raises(TooManyRequestsError):
        command.chat(**said(SOURCE), request_options={"max_retries": 0})


def test_cohere_embeds(command):
    answer = command.embed(
        model="command-sim", texts=["a", "b"], input_type="search_query", embedding_types=["float"]
    )

    one, other = answer.embeddings.float_
    assert sum(value * value for value in one) == pytest.approx(1, abs=1e-5)
    assert one != other


FAMILIES = {
    "amazon.titan-text-express-v1": (
        {"inputText": f"User: {SOURCE}\nAssistant:", "textGenerationConfig": {"maxTokenCount": 800}},
        lambda document: (document["results"][0]["outputText"], document["results"][0]["completionReason"]),
        lambda chunk: (chunk["outputText"], chunk["completionReason"]),
        "FINISH",
    ),
    "us.meta.llama3-3-70b-instruct-v1:0": (
        {"prompt": LLAMA.format(SOURCE) + ASSISTANT, "max_gen_len": 800},
        lambda document: (document["generation"], document["stop_reason"]),
        lambda chunk: (chunk["generation"], chunk["stop_reason"]),
        "stop",
    ),
    "mistral.mixtral-8x7b-instruct-v0:1": (
        {"prompt": f"<s>[INST] {SOURCE} [/INST]", "max_tokens": 800},
        lambda document: (document["outputs"][0]["text"], document["outputs"][0]["stop_reason"]),
        lambda chunk: (chunk["outputs"][0]["text"], chunk["outputs"][0]["stop_reason"]),
        "stop",
    ),
    "cohere.command-text-v14": (
        {"prompt": f"User: {SOURCE}\nAssistant:", "max_tokens": 800},
        lambda document: (document["generations"][0]["text"], document["generations"][0]["finish_reason"]),
        lambda chunk: (chunk.get("text", ""), chunk.get("finish_reason")),
        "COMPLETE",
    ),
    "cohere.command-r-v1:0": (
        {"message": SOURCE, "max_tokens": 800, "preamble": "Be short."},
        lambda document: (document["text"], document["finish_reason"]),
        lambda chunk: (chunk.get("text", ""), chunk.get("finish_reason")),
        "COMPLETE",
    ),
    "us.amazon.nova-pro-v1:0": (
        {
            "schemaVersion": "messages-v1",
            "messages": [{"role": "user", "content": [{"text": SOURCE}]}],
            "inferenceConfig": {"maxTokens": 800},
        },
        lambda document: (document["output"]["message"]["content"][0]["text"], document["stopReason"]),
        lambda chunk: (
            chunk.get("contentBlockDelta", {}).get("delta", {}).get("text", ""),
            chunk.get("messageStop", {}).get("stopReason"),
        ),
        "end_turn",
    ),
}


def stream_of(answer: dict) -> list[dict]:
    with closing(answer["body"]) as frames:
        return [json.loads(frame["chunk"]["bytes"]) for frame in frames]


@pytest.mark.parametrize("model", FAMILIES)
def test_a_family_answers_whole_and_streamed_in_its_own_form(running, model):
    body, read, read_chunk, stop = FAMILIES[model]
    client = running.aws("bedrock-runtime")

    answer = client.invoke_model(modelId=model, body=json.dumps(body))
    text, why = read(json.loads(answer["body"].read()))
    chunks = stream_of(client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body)))

    counted = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-output-token-count"]
    assert (why, int(counted)) == (stop, count_tokens(text))
    assert "".join(read_chunk(chunk)[0] for chunk in chunks) == text
    assert [read_chunk(chunk)[1] for chunk in chunks if read_chunk(chunk)[1]] == [stop]
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == count_tokens(text)
    assert running.bill(f"bedrock/{model}")["output_tokens"] == 2 * count_tokens(text)


@pytest.mark.parametrize("model", FAMILIES)
def test_a_family_refuses_what_it_does_not_know(running, model):
    body = {**FAMILIES[model][0], "max_new_tokens": 1}

    with pytest.raises(ClientError, match=r"ValidationException.*extraneous key"):
        running.aws("bedrock-runtime").invoke_model(modelId=model, body=json.dumps(body))


def parts_of(answer: dict) -> bytes:
    with closing(answer["Body"]) as parts:
        return b"".join(part["PayloadPart"]["Bytes"] for part in parts)


def test_text_generation_inference_answers_with_texts_and_token_events(running):
    client, name = running.aws("sagemaker-runtime"), "llama-tgi"
    body = {"inputs": f"User: {SOURCE}\nAssistant:", "parameters": {"max_new_tokens": 800, "details": True}}

    whole = json.loads(client.invoke_endpoint(EndpointName=name, Body=json.dumps(body))["Body"].read())
    streamed = parts_of(
        client.invoke_endpoint_with_response_stream(
            EndpointName=name, Body=json.dumps({**body, "stream": True})
        )
    )
    events = [json.loads(line.removeprefix("data: ")) for line in streamed.decode().split("\n\n") if line]

    text = whole[0]["generated_text"]
    assert whole[0]["details"]["generated_tokens"] == count_tokens(text)
    assert "".join(event["token"]["text"] for event in events if not event["token"]["special"]) == text
    assert (events[-1]["generated_text"], events[-1]["details"]["finish_reason"]) == (text, "eos_token")


def test_an_lmi_container_streams_json_lines(running):
    body = {"inputs": SOURCE, "parameters": {"max_new_tokens": 4}}
    client = running.aws("sagemaker-runtime")

    whole = json.loads(client.invoke_endpoint(EndpointName="llama-lmi", Body=json.dumps(body))["Body"].read())
    streamed = client.invoke_endpoint_with_response_stream(
        EndpointName="llama-lmi", Body=json.dumps({**body, "stream": True})
    )
    lines = [json.loads(line) for line in parts_of(streamed).decode().splitlines()]

    assert "".join(line["token"]["text"] for line in lines) == whole["generated_text"]
    assert lines[-1]["details"]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("llama-tgi", {"inputs": "Hi", "parameters": {"temperature": 0}}, 422),
        ("llama-lmi", {"inputs": ""}, 400),
        ("haiku-sm", {"messages": [{"role": "user", "content": "Hi"}], "model": "another"}, 404),
    ],
)
def test_a_container_refuses_within_the_platforms_error(running, name, body, status):
    with pytest.raises(ClientError, match="ModelError") as refused:
        running.aws("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=json.dumps(body))

    assert refused.value.response["OriginalStatusCode"] == status
