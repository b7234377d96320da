"""What the clouds refuse, and how, as the official SDKs present it."""

from __future__ import annotations

import json

import openai
import pytest
from botocore.exceptions import ClientError

from crossfade.sim.clouds import CloudsConfig
from crossfade.sim.config import InstancesConfig, ModelConfig, ModelUnitsConfig, QuotaConfig

PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/recap"
ON_DEMAND = "us.anthropic.claude-haiku-4-5"
SOURCE = (
    "Please recap this meeting. Maria Lopez opened the budget review on 14 March. "
    "The council voted 7 to 2 to fund the bridge repair with 350000 dollars. "
    "Several residents asked about the noise at night. The library will stay open on Sundays. "
    "Déjà vu: the café terrace — “still pending” — was postponed again."
)

ASK = {"messages": [{"role": "user", "content": [{"text": SOURCE}]}], "inferenceConfig": {"maxTokens": 400}}
CHAT = {"messages": [{"role": "user", "content": SOURCE}]}


def failure_of(call, **arguments) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value


def code_of(error: ClientError) -> tuple[int, str]:
    return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


def test_a_wrong_secret_is_an_invalid_signature(running):
    client = running.aws("bedrock-runtime", aws_secret_access_key="wrong")

    error = failure_of(client.converse, modelId=PROVISIONED, **ASK)

    assert code_of(error) == (403, "InvalidSignatureException")
    headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errortype"].startswith("InvalidSignatureException:http://")
    assert running.bill("recap")["requests"] == 0


def test_an_unknown_access_key_is_unrecognised(running):
    client = running.aws("sagemaker-runtime", aws_access_key_id="AKIDOTHER")

    error = failure_of(client.invoke_endpoint, EndpointName="haiku-sm", Body=json.dumps(CHAT))

    assert code_of(error) == (403, "UnrecognizedClientException")


def test_a_clock_that_is_off_is_an_expired_signature(running):
    running.shift_s[0] = 600

    error = failure_of(running.aws("bedrock-runtime").converse, modelId=PROVISIONED, **ASK)

    assert code_of(error) == (403, "InvalidSignatureException")
    assert "Signature expired" in str(error)


def test_a_wrong_bearer_key_is_401(running):
    with pytest.raises(openai.AuthenticationError) as caught:
        running.openai(key="sk-wrong").chat.completions.create(model="gpt-sim", **CHAT)

    assert caught.value.code == "invalid_api_key"


def test_unknown_models_are_refused_in_each_clouds_own_way(running):
    with pytest.raises(openai.NotFoundError) as caught:
        running.openai().chat.completions.create(model="gpt-none", **CHAT)
    bedrock = failure_of(running.aws("bedrock-runtime").converse, modelId="none", **ASK)
    elsewhere = running.aws("bedrock-runtime", region_name="eu-west-1")
    sagemaker = failure_of(running.aws("sagemaker-runtime").invoke_endpoint, EndpointName="none", Body=b"{}")

    assert caught.value.code == "model_not_found"
    assert code_of(bedrock) == (400, "ValidationException")
    assert code_of(failure_of(elsewhere.converse, modelId=PROVISIONED, **ASK)) == (400, "ValidationException")
    assert code_of(sagemaker) == (400, "ValidationError")


def test_model_units_throttle_when_full_and_take_more_after_a_resize(run_clouds):
    units = ModelUnitsConfig(kind="model_units", units=1, input_tpm=90_000, output_tpm=2_400, window_s=10)
    model = ModelConfig(cloud="bedrock", id=PROVISIONED, region="us-east-1", capacity=units)
    running = run_clouds(CloudsConfig(time_scale=0, models=(model,)))
    client = running.aws("bedrock-runtime")

    running.admin("PUT", "/units/recap", {"units": 0})
    refused = failure_of(client.converse, modelId=PROVISIONED, **ASK)
    running.admin("PUT", "/units/recap", {"units": 3})

    assert code_of(refused) == (429, "ThrottlingException")
    assert "Too many tokens" in str(refused)
    assert running.admin("GET", "/truth/recap")["total"] == {"input_tpm": 270_000.0, "output_tpm": 7_200.0}
    assert running.bill("recap")["refused"] == {"ThrottlingException": 1}


def test_an_on_demand_quota_reserves_max_tokens_at_admission(run_clouds):
    quota = QuotaConfig(kind="quota", tpm=1000, window_s=60)
    model = ModelConfig(cloud="openai", id="gpt-sim", capacity=quota)
    client = run_clouds(CloudsConfig(time_scale=0, models=(model,))).openai()

    first = client.chat.completions.with_raw_response.create(model="gpt-sim", **CHAT, max_tokens=800)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-sim", **CHAT, max_tokens=800)

    assert int(first.headers["x-ratelimit-limit-tokens"]) == 1000
    assert caught.value.code == "rate_limit_exceeded"
    assert int(caught.value.response.headers["retry-after-ms"]) > 0


def test_a_full_instance_queue_is_503(run_clouds):
    none = InstancesConfig(kind="instances", instances=0, queue_limit=0)
    model = ModelConfig(cloud="sagemaker", id="haiku-sm", capacity=none)
    client = run_clouds(CloudsConfig(time_scale=0, models=(model,))).aws("sagemaker-runtime")

    error = failure_of(client.invoke_endpoint, EndpointName="haiku-sm", Body=json.dumps(CHAT))

    assert code_of(error) == (503, "ServiceUnavailable")


def test_a_body_the_container_refuses_is_a_model_error(running):
    client = running.aws("sagemaker-runtime")

    error = failure_of(client.invoke_endpoint, EndpointName="haiku-sm", Body=b"not json")

    assert code_of(error) == (424, "ModelError")
    assert error.response["OriginalStatusCode"] == 400


def test_an_assumed_role_calls_until_its_session_expires(running):
    role = "arn:aws:iam::123456789012:role/serve"
    issued = running.aws("sts").assume_role(RoleArn=role, RoleSessionName="gateway", DurationSeconds=900)
    session = {
        "aws_access_key_id": issued["Credentials"]["AccessKeyId"],
        "aws_secret_access_key": issued["Credentials"]["SecretAccessKey"],
        "aws_session_token": issued["Credentials"]["SessionToken"],
    }

    answer = running.aws("bedrock-runtime", **session).converse(modelId=ON_DEMAND, **ASK)
    stolen = running.aws("bedrock-runtime", **{**session, "aws_session_token": "other"})
    unknown = failure_of(stolen.converse, modelId=ON_DEMAND, **ASK)
    running.shift_s[0] = 901
    expired = failure_of(running.aws("bedrock-runtime", **session).converse, modelId=ON_DEMAND, **ASK)

    assert answer["stopReason"] == "end_turn"
    assert code_of(unknown) == (403, "UnrecognizedClientException")
    assert code_of(expired) == (403, "ExpiredTokenException")


def test_a_web_identity_is_exchanged_for_a_session(running):
    client = running.aws("sts")
    call = {"RoleArn": "arn:aws:iam::123456789012:role/llm", "RoleSessionName": "gw"}
    good = running.token("sts.amazonaws.com", sub="system:gateway")
    late = running.token("sts.amazonaws.com", lifetime_s=-1)

    issued = client.assume_role_with_web_identity(**call, WebIdentityToken=good)
    expired = failure_of(client.assume_role_with_web_identity, **call, WebIdentityToken=late)
    malformed = failure_of(client.assume_role_with_web_identity, **call, WebIdentityToken="nonsense")

    assert issued["SubjectFromWebIdentityToken"] == "system:gateway"
    assert issued["Credentials"]["AccessKeyId"].startswith("ASIA")
    assert code_of(expired) == (400, "ExpiredTokenException")
    assert code_of(malformed) == (400, "InvalidIdentityToken")
