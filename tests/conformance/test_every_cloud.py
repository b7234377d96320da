"""Anthropic, Gemini, Vertex, OpenAI responses and Azure, each with its official SDK."""

from __future__ import annotations

import json
from dataclasses import dataclass

import anthropic
import openai
import pytest
from google.genai import errors, types

from crossfade.config.schema import EndpointSection, ProviderSection
from crossfade.control.evidence.posture.aws import AwsView, see_aws
from crossfade.control.evidence.posture.checks import Check
from crossfade.sim.config import CloudsConfig, ModelConfig, QuotaConfig, ThroughputConfig
from crossfade.sim.text import count_tokens

SOURCE = (
    "Please recap this meeting. Maria Lopez opened the budget review on 14 March. "
    "The council voted 7 to 2 to fund the bridge repair with 350000 dollars. Déjà vu: the café — postponed."
)
WEATHER = "What is the weather like in Paris today?"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
CLAUDE_TOOL = {"name": "get_weather", "description": "Weather of a place", "input_schema": SCHEMA}
FUNCTION = {"name": "get_weather", "description": "Weather of a place", "parameters": SCHEMA}
MESSAGES = [{"role": "user", "content": SOURCE}]
MODEL_UNDER = {"api": "claude-sim", "bedrock": "us.anthropic.claude-haiku-4-5", "vertex": "claude-sim@1"}


@dataclass
class Claude:
    """One way to reach Claude, its model there, and the name its bill goes by."""

    client: anthropic.Anthropic
    model: str
    bill: str

    def ask(self, **given) -> dict:
        return {"model": self.model, "max_tokens": 800, "messages": MESSAGES, **given}


@pytest.fixture(params=["api", "bedrock", "vertex"])
def claude(running, request) -> Claude:
    model = MODEL_UNDER[request.param]
    quiet = {"max_retries": 0, "timeout": 10}
    if request.param == "api":
        return Claude(running.anthropic(), model, f"anthropic/{model}")
    if request.param == "bedrock":
        client = anthropic.AnthropicBedrock(
            base_url=running.clouds.urls["bedrock"], aws_region="us-east-1", aws_access_key="AKIDEXAMPLE",
            aws_secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", **quiet,
        )  # fmt: skip
        return Claude(running._keep(client), model, f"bedrock/{model}")
    client = anthropic.AnthropicVertex(
        base_url=running.clouds.urls["vertex"] + "/v1", region="us-central1", project_id="acme-llm",
        access_token=running.google_token(), **quiet,
    )  # fmt: skip
    return Claude(running._keep(client), model, f"vertex/{model}")


def test_claude_answers_and_bills_its_usage(running, claude):
    answer = claude.client.messages.create(**claude.ask())

    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == count_tokens(answer.content[0].text)
    assert running.bill(claude.bill)["output_tokens"] == answer.usage.output_tokens


def test_claude_streams_the_same_message(claude):
    whole = claude.client.messages.create(**claude.ask())
    with claude.client.messages.stream(**claude.ask()) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert said == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.stop_reason == "end_turn"


def test_claude_calls_a_tool_and_takes_its_result(claude):
    asked = [{"role": "user", "content": WEATHER}]
    with claude.client.messages.stream(**claude.ask(messages=asked, tools=[CLAUDE_TOOL])) as stream:
        turn = stream.get_final_message()
    call = turn.content[-1]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees and dry"}
    history = [*asked, {"role": "assistant", "content": turn.content}, {"role": "user", "content": [result]}]
    answer = claude.client.messages.create(**claude.ask(messages=history, tools=[CLAUDE_TOOL]))

    assert (turn.stop_reason, call.name, call.input["city"]) == ("tool_use", "get_weather", "Paris")
    assert (answer.stop_reason, answer.content[0].type) == ("end_turn", "text")
    with pytest.raises(anthropic.BadRequestError, match="tool_use_id"):
        claude.client.messages.create(**claude.ask(messages=[*asked, history[2]], tools=[CLAUDE_TOOL]))


def test_claude_thinks_with_a_signature_that_must_come_back_unchanged(claude):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = claude.client.messages.create(**claude.ask(thinking=thinking))
    thought = answer.content[0]
    forged = {"type": "thinking", "thinking": "something else", "signature": thought.signature}
    history = [*MESSAGES, {"role": "assistant", "content": [forged, answer.content[1]]}, *MESSAGES]

    assert (thought.type, answer.content[1].type) == ("thinking", "text")
    with pytest.raises(anthropic.BadRequestError, match="signature"):
        claude.client.messages.create(**claude.ask(messages=history))


def test_a_marked_prefix_is_written_once_and_then_read(claude):
    system = [{"type": "text", "text": "Rules. " * 1000, "cache_control": {"type": "ephemeral"}}]

    first, second = (claude.client.messages.create(**claude.ask(system=system)).usage for _ in range(2))

    assert first.cache_creation_input_tokens == second.cache_read_input_tokens > 1024
    assert first.cache_read_input_tokens == second.cache_creation_input_tokens == 0
    assert first.input_tokens == second.input_tokens < 100


def test_claude_counts_tokens_before_the_call(running):
    client = running.anthropic()

    counted = client.messages.count_tokens(model="claude-sim", messages=MESSAGES)

    assert (
        counted.input_tokens
        == client.messages.create(model="claude-sim", max_tokens=9, messages=MESSAGES).usage.input_tokens
    )
    assert [model.id for model in client.models.list()] == ["claude-sim"]


def test_anthropic_tells_its_limits_and_when_to_come_back(run_clouds):
    quota = QuotaConfig(kind="quota", tpm=2000, rpm=50)
    model = ModelConfig(cloud="anthropic", id="claude-sim", capacity=quota)
    client = run_clouds(CloudsConfig(time_scale=0, models=(model,))).anthropic()
    ask = {"model": "claude-sim", "max_tokens": 1500, "messages": MESSAGES}

    raw = client.messages.with_raw_response.create(**ask)
    with pytest.raises(anthropic.RateLimitError) as caught:
        [client.messages.create(**ask) for _ in range(5)]

    assert raw.headers["anthropic-ratelimit-requests-limit"] == "50"
    assert int(raw.headers["anthropic-ratelimit-input-tokens-remaining"]) < 2000
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert caught.value.body["error"]["type"] == "rate_limit_error"


def test_anthropic_faults_have_anthropics_words(running):
    client = running.anthropic()
    ask = {"model": "claude-sim", "max_tokens": 400, "messages": MESSAGES}
    running.fault("anthropic/claude-sim", kind="errors", status=529)
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        client.messages.create(**ask)
    running.fault("anthropic/claude-sim", kind="exception", after_chunks=2)
    with (
        pytest.raises(anthropic.APIStatusError, match="Internal server error"),
        client.messages.stream(**ask) as stream,
    ):
        stream.until_done()
    running.fault("anthropic/claude-sim", kind="filtered", after_chunks=2)
    with client.messages.stream(**ask) as stream:
        refused = stream.get_final_message()

    assert overloaded.value.status_code == 529
    assert overloaded.value.body["error"]["type"] == "overloaded_error"
    assert refused.stop_reason == "refusal"


def test_anthropic_knows_its_keys(running):
    for given in ({"api_key": "sk-wrong"}, {"api_key": None, "auth_token": "not-a-token"}):
        with pytest.raises(anthropic.AuthenticationError):
            running.anthropic(**given).messages.create(model="claude-sim", max_tokens=9, messages=MESSAGES)


@pytest.fixture(params=["gemini", "vertex"])
def google(running, request):
    return running.gemini() if request.param == "gemini" else running.vertex()


def test_gemini_answers_streams_and_counts(google):
    whole = google.models.generate_content(model="gemini-sim", contents=SOURCE)
    chunks = list(google.models.generate_content_stream(model="gemini-sim", contents=SOURCE))
    counted = google.models.count_tokens(model="gemini-sim", contents=SOURCE)

    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert whole.candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count == count_tokens(whole.text)
    assert counted.total_tokens == whole.usage_metadata.prompt_token_count


@pytest.mark.parametrize("streamed", [False, True])
def test_gemini_calls_a_function_and_takes_its_result(google, streamed):
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(**FUNCTION)])
    config = types.GenerateContentConfig(tools=[tool])
    asked = types.Content(role="user", parts=[types.Part(text=WEATHER)])
    if streamed:
        chunks = list(
            google.models.generate_content_stream(model="gemini-sim", contents=[asked], config=config)
        )
        calls = [call for chunk in chunks for call in chunk.function_calls or []]
        turn = next(chunk for chunk in chunks if chunk.function_calls)
    else:
        turn = google.models.generate_content(model="gemini-sim", contents=[asked], config=config)
        calls = turn.function_calls
    response = types.FunctionResponse(id=calls[0].id, name="get_weather", response={"degrees": 18})
    history = [
        asked,
        turn.candidates[0].content,
        types.Content(role="user", parts=[types.Part(function_response=response)]),
    ]
    answer = google.models.generate_content(model="gemini-sim", contents=history, config=config)

    assert [(call.name, call.args["city"]) for call in calls] == [("get_weather", "Paris")]
    assert answer.text


def test_gemini_thoughts_and_json(google):
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        response_mime_type="application/json",
        response_schema=types.Schema(type="OBJECT", properties={"answer": types.Schema(type="STRING")}),
    )

    answer = google.models.generate_content(model="gemini-sim", contents=SOURCE, config=config)

    parts = answer.candidates[0].content.parts
    usage = answer.usage_metadata
    assert parts[0].thought is True
    assert json.loads(parts[1].text).keys() == {"answer"}
    assert usage.thoughts_token_count == count_tokens(parts[0].text)
    total = usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    assert usage.total_token_count == total


def test_google_refuses_in_its_own_words(running):
    with pytest.raises(errors.ClientError) as bad_key:
        running.gemini("wrong").models.generate_content(model="gemini-sim", contents=SOURCE)
    with pytest.raises(errors.ClientError) as bad_token:
        running.vertex("not-a-token").models.generate_content(model="gemini-sim", contents=SOURCE)
    good = running.vertex()
    with pytest.raises(errors.ClientError) as unknown:
        good.models.generate_content(model="none", contents=SOURCE)
    running.shift_s[0] = 3700
    with pytest.raises(errors.ClientError) as expired:
        good.models.generate_content(model="gemini-sim", contents=SOURCE)

    assert (bad_key.value.code, bad_key.value.details["error"]["details"][0]["reason"]) == (
        400,
        "API_KEY_INVALID",
    )
    assert (bad_token.value.code, bad_token.value.status) == (401, "UNAUTHENTICATED")
    assert unknown.value.status == "NOT_FOUND"
    assert expired.value.details["error"]["details"][0]["reason"] == "ACCESS_TOKEN_EXPIRED"


def test_google_fails_after_content_with_bare_json(running):
    running.fault("vertex/gemini-sim", kind="exception", after_chunks=2)
    running.fault("vertex/gemini-gsu", kind="exception", after_chunks=2)

    with pytest.raises((errors.ServerError, errors.UnknownApiResponseError)):
        list(running.vertex().models.generate_content_stream(model="gemini-sim", contents=SOURCE))


def test_vertex_serves_bought_throughput_first_and_overflows_in_silence(run_clouds):
    bought = ThroughputConfig(kind="gsu", units=1, tpm=4000, window_s=60)
    models = (
        ModelConfig(cloud="vertex", id="gemini-sim", capacity=QuotaConfig(kind="quota", shared=True)),
        ModelConfig(cloud="vertex", id="gsu", serves="gemini-sim", capacity=bought, max_output_tokens=1500),
    )
    running = run_clouds(CloudsConfig(time_scale=0, models=models))

    def traffic(*, kind: str | None = None) -> str:
        headers = {"X-Vertex-AI-LLM-Request-Type": kind} if kind else {}
        answer = running.vertex(**headers).models.generate_content(model="gemini-sim", contents=SOURCE)
        return answer.usage_metadata.traffic_type.value

    first = traffic()
    later = [traffic() for _ in range(4)]
    with pytest.raises(errors.ClientError, match="Exceeded the Provisioned Throughput"):
        traffic(kind="dedicated")

    assert first == "PROVISIONED_THROUGHPUT"
    assert later[-1] == "ON_DEMAND"
    assert traffic(kind="shared") == "ON_DEMAND"
    assert running.admin("GET", "/truth/gsu")["total"] == {"tpm": 4000.0}


def test_responses_answer_stream_and_call_functions(running):
    client = running.openai()
    tools = [{"type": "function", "strict": False, **FUNCTION}]

    whole = client.responses.create(model="gpt-sim", input=SOURCE, instructions="Be brief.")
    with client.responses.stream(model="gpt-sim", input=SOURCE, instructions="Be brief.") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    turn = client.responses.create(model="gpt-sim", input=WEATHER, tools=tools, reasoning={"effort": "low"})
    call = turn.output[-1]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
    history = [{"role": "user", "content": WEATHER}, *turn.output, result]
    answer = client.responses.create(model="gpt-sim", input=history, tools=tools)

    assert "".join(deltas) == final.output_text == whole.output_text
    assert final.usage.output_tokens == count_tokens(whole.output_text)
    assert turn.output[0].type == "reasoning"
    assert (call.name, json.loads(call.arguments)["city"]) == ("get_weather", "Paris")
    assert turn.usage.output_tokens_details.reasoning_tokens > 0
    assert answer.output_text


def test_a_response_cut_short_is_incomplete_and_a_broken_one_an_error(running):
    client = running.openai()
    short = client.responses.create(model="gpt-sim", input=SOURCE, max_output_tokens=16)
    running.fault("openai/gpt-sim", kind="exception", after_chunks=1)

    events = list(client.responses.create(model="gpt-sim", input=SOURCE, stream=True))

    assert (events[-1].type, events[-1].code) == ("error", "server_error")
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_chat_streams_parallel_tool_calls_in_fragments(running):
    tools = [
        {"type": "function", "function": FUNCTION},
        {"type": "function", "function": {**FUNCTION, "name": "get_weather_alerts"}},
    ]
    with running.openai().chat.completions.stream(
        model="gpt-sim", messages=[{"role": "user", "content": WEATHER}], tools=tools
    ) as stream:
        final = stream.get_final_completion()

    calls = final.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_weather_alerts"]
    assert all(json.loads(call.function.arguments)["city"] == "Paris" for call in calls)
    assert final.choices[0].finish_reason == "tool_calls"


def test_a_model_refuses_the_parameters_it_is_told_to(run_clouds):
    model = ModelConfig(
        cloud="openai", id="gpt-sim", rejects=("temperature",), capacity=QuotaConfig(kind="quota")
    )
    client = run_clouds(CloudsConfig(time_scale=0, models=(model,))).openai()

    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-sim", messages=MESSAGES, temperature=0.1)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "temperature")


def test_embeddings_are_unit_vectors_that_depend_on_the_text(running):
    one, other = running.openai().embeddings.create(model="gpt-sim", input=["a cat", "a dog"]).data
    again = running.azure().embeddings.create(model="gpt-standard", input="a cat").data[0]

    assert sum(value * value for value in one.embedding) == pytest.approx(1, abs=1e-5)
    assert one.embedding == again.embedding != other.embedding


def test_azure_answers_by_deployment_with_filter_results(running):
    client = running.azure()
    ask = {"model": "gpt-standard", "messages": MESSAGES}

    raw = client.chat.completions.with_raw_response.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True))
    v1 = running._keep(
        openai.OpenAI(base_url=running.clouds.urls["azure"] + "/openai/v1", api_key="unused", max_retries=0,
                      default_headers={"api-key": "sk-sim"})
    )  # fmt: skip

    assert raw.parse().model == "gpt-sim"
    assert raw.parse().choices[0].content_filter_results["hate"]["severity"] == "safe"
    assert raw.headers["x-ms-deployment-name"] == "gpt-standard"
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) > 0
    assert chunks[0].choices == []
    assert v1.responses.create(model="gpt-standard", input=SOURCE).output_text


def test_a_full_ptu_spills_over_and_says_so_or_refuses(run_clouds):
    ptu = ThroughputConfig(kind="ptu", units=0)
    models = (
        ModelConfig(cloud="azure", id="std", serves="gpt", capacity=QuotaConfig(kind="quota")),
        ModelConfig(cloud="azure", id="spilling", serves="gpt", spills_to="std", capacity=ptu),
        ModelConfig(cloud="azure", id="alone", serves="gpt", capacity=ptu),
    )
    running = run_clouds(CloudsConfig(time_scale=0, models=models))
    client = running.azure()

    spilled = client.chat.completions.with_raw_response.create(model="spilling", messages=MESSAGES)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="alone", messages=MESSAGES)
    running.admin("PUT", "/units/alone", {"units": 20})
    served = client.chat.completions.with_raw_response.create(model="alone", messages=MESSAGES)

    assert spilled.headers["x-ms-spillover-from-deployment"] == "spilling"
    assert spilled.headers["x-ms-deployment-name"] == "std"
    assert int(refused.value.response.headers["retry-after-ms"]) > 0
    assert served.headers["azure-openai-deployment-utilization"].endswith("%")


def test_azure_refuses_wrong_keys_wrong_audiences_and_unknown_deployments(running):
    with pytest.raises(openai.AuthenticationError):
        running.azure(api_key="wrong").chat.completions.create(model="gpt-standard", messages=MESSAGES)
    with pytest.raises(openai.AuthenticationError, match="audience"):
        running.azure(azure_ad_token=running.google_token()).chat.completions.create(
            model="gpt-standard", messages=MESSAGES
        )
    with pytest.raises(openai.NotFoundError) as unknown:
        running.azure().chat.completions.create(model="none", messages=MESSAGES)

    assert unknown.value.code == "DeploymentNotFound"


def test_a_cross_region_profile_tells_its_regions_and_posture_compares_them(running):
    client = running.aws("bedrock")
    provider = ProviderSection(kind="bedrock", auth={"method": "default-chain"})

    def seen(region: str) -> Check:
        endpoint = EndpointSection(provider="p", model="us.anthropic.claude-haiku-4-5", region=region)
        found = see_aws(AwsView("e", provider, endpoint, lambda _: client))
        return next(each for each in found if each.name == "regions of the profile of e")

    profile = client.get_inference_profile(inferenceProfileIdentifier="us.anthropic.claude-haiku-4-5")

    assert len(profile["models"]) == 3
    assert seen("us-east-1").ok
    assert seen("us-east-1").detail == "processes in us-east-1, us-east-2, us-west-2"
