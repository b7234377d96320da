"""The official SDKs use the simulated clouds as they use the real ones."""

from __future__ import annotations

import json
from contextlib import closing

from crossfade.sim.text import count_tokens, find_defects

PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/recap"
ON_DEMAND = "us.anthropic.claude-haiku-4-5"
SOURCE = (
    "Please recap this meeting. Maria Lopez opened the budget review on 14 March. "
    "The council voted 7 to 2 to fund the bridge repair with 350000 dollars. "
    "Several residents asked about the noise at night. The library will stay open on Sundays. "
    "Déjà vu: the café terrace — “still pending” — was postponed again."
)


def read_all(stream) -> list:
    with closing(stream):
        return list(stream)


def converse_input(text: str = SOURCE) -> dict:
    return {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"maxTokens": 800},
    }


def test_openai_answers_a_chat_and_bills_its_usage(running):
    client = running.openai()

    raw = client.chat.completions.with_raw_response.create(
        model="gpt-sim", messages=[{"role": "user", "content": SOURCE}]
    )
    answer = raw.parse()

    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == count_tokens(answer.choices[0].message.content)
    assert raw.headers["x-request-id"].startswith("req_")
    assert "openai-processing-ms" in raw.headers
    assert running.bill("gpt-sim")["output_tokens"] == answer.usage.completion_tokens
    assert running.bill("gpt-sim")["lines"][0]["request_id"] == raw.headers["x-request-id"]


def test_openai_streams_the_same_text_with_usage_last(running):
    client = running.openai()
    ask = {"model": "gpt-sim", "messages": [{"role": "user", "content": SOURCE}]}

    whole = client.chat.completions.create(**ask).choices[0].message.content
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == count_tokens(whole)
    assert running.bill("gpt-sim")["kinds"] == {"unary": 1, "stream": 1}


def test_openai_lists_its_models(running):
    assert [model.id for model in running.openai().models.list()] == [
        "gpt-sim",
        "judge-a",
        "judge-b",
        "judge-c",
    ]


def test_converse_on_model_units_and_on_demand_ids_that_need_double_encoding(running):
    client = running.aws("bedrock-runtime")

    for model in (PROVISIONED, ON_DEMAND):
        answer = client.converse(modelId=model, **converse_input())

        assert answer["stopReason"] == "end_turn"
        text = answer["output"]["message"]["content"][0]["text"]
        assert answer["usage"]["outputTokens"] == count_tokens(text)
        assert answer["ResponseMetadata"]["RequestId"]


def test_converse_stream_sends_the_modelled_events_in_order(running):
    client = running.aws("bedrock-runtime")

    whole = client.converse(modelId=PROVISIONED, **converse_input())
    events = read_all(client.converse_stream(modelId=PROVISIONED, **converse_input())["stream"])

    names = [next(iter(event)) for event in events]
    assert names[0] == "messageStart"
    assert names[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events[1:-3]]
    assert "".join(deltas) == whole["output"]["message"]["content"][0]["text"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]


def test_converse_stops_at_max_tokens(running):
    ask = converse_input() | {"inferenceConfig": {"maxTokens": 5}}

    answer = running.aws("bedrock-runtime").converse(modelId=PROVISIONED, **ask)

    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] <= 5


def test_sagemaker_answers_with_the_containers_document(running):
    body = json.dumps({"messages": [{"role": "user", "content": SOURCE}]})

    answer = running.aws("sagemaker-runtime").invoke_endpoint(
        EndpointName="haiku-sm", Body=body, ContentType="application/json", CustomAttributes="r-1"
    )

    document = json.loads(answer["Body"].read())
    assert document["choices"][0]["finish_reason"] == "stop"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "r-1"


def test_sagemaker_cuts_its_stream_at_arbitrary_bytes(running):
    body = {"messages": [{"role": "user", "content": SOURCE}], "stream": True}

    answer = running.aws("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="haiku-sm", Body=json.dumps(body), ContentType="application/json"
    )
    parts = [event["PayloadPart"]["Bytes"] for event in read_all(answer["Body"])]

    lines = b"".join(parts).decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    text = "".join(
        json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content", "")
        for line in lines[:-2]
    )
    assert text
    assert any(not part.endswith(b"\n\n") for part in parts)
    assert running.bill("haiku-sm")["output_tokens"] == count_tokens(text)


def test_answers_do_not_depend_on_what_was_asked_before(run_clouds):
    first, second = run_clouds(), run_clouds()
    ask = {"model": "gpt-sim", "messages": [{"role": "user", "content": SOURCE}]}

    second.openai().chat.completions.create(
        model="gpt-sim", messages=[{"role": "user", "content": "Another."}]
    )

    answers = [
        cloud.openai().chat.completions.create(**ask).choices[0].message.content for cloud in (first, second)
    ]
    assert answers[0] == answers[1]


def test_a_judge_reads_the_prompt_and_gives_a_verdict(running):
    prompt = (
        'Is the summary faithful to the source? Answer with JSON {"pass": true|false}.\n'
        f"<source>{SOURCE}</source> <answer>Nothing was decided. Contrary to what was said, 9 died.</answer>"
    )

    answer = running.openai().chat.completions.create(
        model="judge-c", messages=[{"role": "user", "content": prompt}]
    )

    assert isinstance(json.loads(answer.choices[0].message.content)["pass"], bool)
    assert find_defects(SOURCE, "Nothing was decided.") == ("missing_point",)
