"""What AWS itself says of an endpoint's posture: private network, logging, keys, regions of a profile.

Each check reads one API and judges the answer; what may not be read cannot be seen, and needs a person's
attestation like everything no API shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from crossfade.config.regions import regions_of
from crossfade.config.schema import EndpointSection, ProviderSection
from crossfade.control.credentials.aws import aws_client
from crossfade.control.evidence.posture.checks import Check, Unseen

SERVICES = {"bedrock": "bedrock-runtime", "sagemaker": "sagemaker.runtime"}
EVERYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class AwsView:
    """One endpoint, and a way to its region's APIs: `client(service)`."""

    name: str
    provider: ProviderSection
    endpoint: EndpointSection
    client: Callable[[str], Any]


def view_of(name: str, provider: ProviderSection, endpoint: EndpointSection) -> AwsView:
    """A view with the provider's own identity; its clients raise botocore's errors when they are used."""
    region = endpoint.region or provider.auth.sts_region
    return AwsView(name, provider, endpoint, lambda service: aws_client(service, provider.auth, region))


def see_aws(view: AwsView) -> tuple[Check | Unseen, ...]:
    """Everything that can be seen, and by name what cannot."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow

    looks: list[tuple[str, Callable[[AwsView], Iterator[Check | Unseen]]]] = [
        ("private network", _network),
        ("model invocation logging", _logging),
        ("customer-managed key", _key),
        ("regions of the inference profile", _profile),
    ]
    found: list[Check | Unseen] = []
    for what, look in looks:
        try:
            found += look(view)
        except (BotoCoreError, ClientError, LookupError) as error:
            found.append(Unseen(f"{what} of {view.name}", f"could not be read: {error}"))
    why = "no API tells what the provider keeps; its terms do"
    found.append(Unseen(f"retention of {view.name}", why))
    return tuple(found)


def _network(view: AwsView) -> Iterator[Check | Unseen]:
    vpc = view.provider.vpc
    if vpc is None:
        why = "the config names no vpc (hint: providers.NAME.vpc)"
        yield Unseen(f"private network of {view.name}", why)
        return
    ec2 = view.client("ec2")
    within = [{"Name": "vpc-id", "Values": [vpc]}]
    service = f"com.amazonaws.{view.endpoint.region}.{SERVICES[view.provider.kind]}"
    endpoints = [
        each
        for each in ec2.describe_vpc_endpoints(Filters=within)["VpcEndpoints"]
        if each["ServiceName"] == service and each["State"].lower() == "available"
    ]
    seen = ", ".join(each["VpcEndpointId"] for each in endpoints) or f"none of {service} in {vpc}"
    yield Check(f"private endpoint of {view.name}", bool(endpoints), seen)
    if endpoints:
        dns = all(each.get("PrivateDnsEnabled") for each in endpoints)
        yield Check(f"private DNS of {view.name}", dns, "on" if dns else f"off at {seen}")
        limited = all(is_limited(each.get("PolicyDocument")) for each in endpoints)
        what = "limits who may call what" if limited else "lets anybody call anything"
        yield Check(f"endpoint policy of {view.name}", limited, what)
    routes = open_routes(ec2.describe_route_tables(Filters=within)["RouteTables"])
    shown = ", ".join(routes) or f"none in {vpc}"
    yield Check(f"no internet route of {view.name}", not routes, shown)


def is_limited(policy: str | None) -> bool:
    """Whether an endpoint policy is anything but the one that allows everybody everything."""
    if not policy:
        return False
    statements = json.loads(policy).get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return bool(statements) and not any(
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and "*" in _listed(statement.get("Action"))
        and "*" in _listed(statement.get("Resource"))
        and not statement.get("Condition")
        for statement in statements
    )


def open_routes(tables: list[dict[str, Any]]) -> list[str]:
    """Routes that lead everywhere, as table and gateway."""
    found = []
    for table in tables:
        for route in table.get("Routes", []):
            everywhere = {route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock")} & set(
                EVERYWHERE
            )
            gateway = next(
                (
                    route[key]
                    for key in ("GatewayId", "NatGatewayId", "EgressOnlyInternetGatewayId")
                    if route.get(key)
                ),
                None,
            )
            if everywhere and gateway and gateway != "local":
                found.append(f"{table['RouteTableId']} to {gateway}")
    return found


def _logging(view: AwsView) -> Iterator[Check | Unseen]:
    if view.provider.kind != "bedrock":
        return
    answer = view.client("bedrock").get_model_invocation_logging_configuration()
    config = answer.get("loggingConfig") or {}
    media = [
        kind
        for kind in ("text", "image", "embedding")
        if config.get(f"{kind}DataDeliveryEnabled", bool(config))
    ]
    off = not media
    what = "off" if off else f"keeps {', '.join(media)} of every call in this account and region"
    yield Check(f"model invocation logging off for {view.name}", off, what)


def _key(view: AwsView) -> Iterator[Check | Unseen]:
    what = f"customer-managed key of {view.name}"
    if view.provider.kind == "bedrock":
        yield Unseen(
            what, "a foundation model keeps nothing that a key could cover; see the provider's terms"
        )
        return
    sagemaker = view.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=view.endpoint.model)["EndpointConfigName"]
    key = sagemaker.describe_endpoint_config(EndpointConfigName=config).get("KmsKeyId")
    yield Check(what, key is not None, key or f"endpoint config {config} has none")


def _profile(view: AwsView) -> Iterator[Check | Unseen]:
    """The regions that a cross-region profile can really process in, as the API lists them today."""
    model = view.endpoint.model
    is_profile = "inference-profile/" in model or (not model.startswith("arn:") and model.count(".") >= 2)
    if view.provider.kind != "bedrock" or not is_profile:
        return
    answer = view.client("bedrock").get_inference_profile(inferenceProfileIdentifier=model)
    live = {each["modelArn"].split(":")[3] or "global" for each in answer["models"]}
    unknown = sorted(live - set(regions_of(model, view.endpoint.region or "")))
    what = f"processes in {', '.join(sorted(live))}" + (
        f"; not known here: {', '.join(unknown)}" * bool(unknown)
    )
    yield Check(f"regions of the profile of {view.name}", not unknown, what)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
