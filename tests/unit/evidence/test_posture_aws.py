"""Posture as AWS tells it, read by the official SDK from an emulated account."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.config import Config

from crossfade.config.features import Config as File
from crossfade.config.schema import EndpointSection, ProviderSection
from crossfade.control.evidence.posture.aws import AwsView, is_limited, see_aws
from crossfade.control.evidence.posture.checks import Check, Unseen
from crossfade.control.evidence.posture.clouds import see_pool

REGION = "us-east-1"
OPEN = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
LIMITED = {
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "bedrock:InvokeModel", "Resource": "*"}]
}
CHAIN = {"method": "default-chain"}


@pytest.fixture
def account(monkeypatch):
    moto = pytest.importorskip("moto", reason="moto is not installed")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with moto.mock_aws():
        yield


def network(*, private_dns: bool = True, policy: dict = LIMITED, internet: bool = False) -> str:
    ec2 = boto3.client("ec2", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.bedrock-runtime", VpcEndpointType="Interface",
        PrivateDnsEnabled=private_dns, PolicyDocument=json.dumps(policy),
    )  # fmt: skip
    if internet:
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
        ec2.create_route(
            RouteTableId=tables[0]["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
        )
    ec2.close()
    return vpc


def look(vpc: str | None, model: str = "amazon.nova-lite-v1:0") -> tuple[dict[str, Check], dict[str, Unseen]]:
    provider = ProviderSection(kind="bedrock", auth=CHAIN, vpc=vpc)
    endpoint = EndpointSection(provider="p", model=model, region=REGION)
    found = see_aws(
        AwsView("e", provider, endpoint, lambda service: boto3.client(service, region_name=REGION))
    )
    checks = {
        each.name.removesuffix(" of e").removesuffix(" for e"): each
        for each in found
        if isinstance(each, Check)
    }
    return checks, {each.name.removesuffix(" of e"): each for each in found if isinstance(each, Unseen)}


@pytest.mark.usefixtures("account")
def test_a_private_network_is_seen_as_one():
    checks, unseen = look(network())

    assert {name for name, check in checks.items() if not check.ok} == set()
    assert {"private endpoint", "private DNS", "endpoint policy", "no internet route"} <= set(checks)
    assert set(unseen) == {"customer-managed key", "retention"}


@pytest.mark.usefixtures("account")
def test_each_hole_in_the_network_is_seen():
    assert not look(network(private_dns=False))[0]["private DNS"].ok
    assert not look(network(policy=OPEN))[0]["endpoint policy"].ok
    assert "igw-" in look(network(internet=True))[0]["no internet route"].detail
    bare = boto3.client("ec2", region_name=REGION)
    vpc = bare.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    bare.close()
    assert not look(vpc)[0]["private endpoint"].ok


@pytest.mark.usefixtures("account")
def test_invocation_logging_is_seen_when_it_keeps_text():
    client, logs = (boto3.client(service, region_name=REGION) for service in ("bedrock", "logs"))
    logs.create_log_group(logGroupName="calls")
    config = {
        "cloudWatchConfig": {"logGroupName": "calls", "roleArn": "arn:aws:iam::123456789012:role/logs"},
        "textDataDeliveryEnabled": True,
        "imageDataDeliveryEnabled": False,
        "embeddingDataDeliveryEnabled": False,
    }
    before = look(network())[0]["model invocation logging off"]
    client.put_model_invocation_logging_configuration(loggingConfig=config)
    after = look(network())[0]["model invocation logging off"]
    client.close()
    logs.close()

    assert (before.ok, after.ok) == (True, False)
    assert "text" in after.detail


@pytest.mark.usefixtures("account")
def test_what_is_not_named_or_may_not_be_read_needs_an_attestation():
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=2)
    provider = ProviderSection(kind="bedrock", auth=CHAIN)
    endpoint = EndpointSection(provider="p", model="us.anthropic.claude-haiku-4-5", region=REGION)

    def unreachable(service: str):
        return boto3.client(service, region_name=REGION, endpoint_url="http://127.0.0.1:9", config=once)

    found = see_aws(AwsView("e", provider, endpoint, unreachable))
    unseen = {each.name.removesuffix(" of e"): each for each in found if isinstance(each, Unseen)}

    assert len(unseen) == len(found) == 5
    assert "providers.NAME.vpc" in unseen["private network"].detail
    assert "could not be read" in unseen["regions of the inference profile"].detail


def test_a_policy_is_limited_by_principal_action_resource_or_condition():
    everybody = OPEN["Statement"][0]

    assert not is_limited(None)
    assert not is_limited(json.dumps({"Statement": everybody}))
    for narrower in (
        {"Principal": {"AWS": "arn:aws:iam::123456789012:role/llm"}},
        {"Action": ["bedrock:InvokeModel"]},
        {"Resource": "arn:aws:bedrock:*::foundation-model/x"},
        {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}},
    ):
        assert is_limited(json.dumps({"Statement": [{**everybody, **narrower}]}))


def test_a_simulated_cloud_is_nobodys_and_is_not_looked_up_in_public():
    config = File.model_validate({
        "providers": {"sim": {"kind": "bedrock", "auth": CHAIN, "base_url": "http://127.0.0.1:1"}},
        "endpoints": {"e": {"provider": "sim", "model": "m", "region": REGION}},
        "pools": {"e": {"endpoints": ["e"]}},
        "features": {"f": {"hierarchy": [{"pool": "e"}]}},
    })  # fmt: skip

    assert all(isinstance(each, Unseen) for each in see_pool(config, "e"))
