"""The official identity SDKs against the simulated token endpoints."""

from __future__ import annotations

import httpx2
import openai
import pytest
from anthropic import AuthenticationError
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientAssertionCredential
from botocore.exceptions import ClientError
from google.auth import aws, identity_pool, impersonated_credentials
from google.auth.exceptions import OAuthError, RefreshError
from google.auth.transport.requests import Request

from crossfade.sim.config import CloudsConfig, IdentityConfig, RoleConfig

ROLE = "arn:aws:iam::123456789012:role/llm"
OTHER = "arn:aws:iam::210987654321:role/serve"
MESSAGES = [{"role": "user", "content": "Ana paid 7 coins for bread."}]
JWT = "urn:ietf:params:oauth:token-type:jwt"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


class Supplier(identity_pool.SubjectTokenSupplier):
    def __init__(self, token: str) -> None:
        self.token = token

    def get_subject_token(self, context, request) -> str:
        return self.token


class AwsSupplier(aws.AwsSecurityCredentialsSupplier):
    def get_aws_security_credentials(self, context, request):
        return aws.AwsSecurityCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")

    def get_aws_region(self, context, request) -> str:
        return "us-east-1"


def pool(running, token: str, audience: str | None = None):
    return identity_pool.Credentials(
        audience=audience or running.clouds.config.identity.pool_audience,
        subject_token_type=JWT,
        token_url=running.clouds.urls["tokens"] + "/v1/token",
        subject_token_supplier=Supplier(token),
        scopes=SCOPES,
    )


def ask_vertex(running, token: str) -> str:
    return (
        running.vertex(token).models.generate_content(model="gemini-sim", contents="Ana paid 7 coins.").text
    )


def test_a_workloads_token_becomes_a_google_token(running):
    audience = running.clouds.config.identity.pool_audience
    credentials = pool(running, running.token(audience))

    credentials.refresh(Request())

    assert ask_vertex(running, credentials.token)
    for bad in (running.token("someone-else"), running.token(audience, lifetime_s=-1), "not-a-token"):
        with pytest.raises(OAuthError, match="invalid_grant"):
            pool(running, bad).refresh(Request())
    with pytest.raises(OAuthError, match="invalid_target"):
        pool(running, running.token(audience), "//iam.googleapis.com/other").refresh(Request())


def test_an_aws_identity_becomes_a_google_token(running):
    credentials = aws.Credentials(
        audience=running.clouds.config.identity.pool_audience,
        subject_token_type="urn:ietf:params:aws:token-type:aws4_request",
        token_url=running.clouds.urls["tokens"] + "/v1/token",
        aws_security_credentials_supplier=AwsSupplier(),
        scopes=SCOPES,
    )

    credentials.refresh(Request())

    assert ask_vertex(running, credentials.token)


@pytest.mark.parametrize(
    ("account", "works"), [("llm@acme-llm.iam.gserviceaccount.com", True), ("x@y.z", False)]
)
def test_a_service_account_is_impersonated_if_it_lets_us(running, account, works):
    source = pool(running, running.token(running.clouds.config.identity.pool_audience))
    override = running.clouds.urls["tokens"] + f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    credentials = impersonated_credentials.Credentials(
        source_credentials=source, target_principal=account, target_scopes=SCOPES,
        iam_endpoint_override=override,
    )  # fmt: skip
    if works:
        credentials.refresh(Request())
        assert ask_vertex(running, credentials.token)
    else:
        with pytest.raises(RefreshError, match="denied"):
            credentials.refresh(Request())


def entra(running, tmp_path, assertion: str, **given: str) -> ClientAssertionCredential:
    identity = running.clouds.config.identity
    ca = tmp_path / "ca.pem"
    ca.write_bytes(httpx2.get(running.clouds.admin_url + "/ca.pem").content)
    credential = ClientAssertionCredential(
        given.get("tenant", identity.tenant), given.get("client_id", identity.client_id), lambda: assertion,
        authority=running.clouds.urls["entra"], disable_instance_discovery=True, connection_verify=str(ca),
        retry_total=0,
    )  # fmt: skip
    return running._keep(credential)


def test_a_federated_assertion_becomes_an_entra_token(running, tmp_path):
    good = running.token("api://AzureADTokenExchange")
    credential = entra(running, tmp_path, good)

    token = credential.get_token("https://ai.azure.com/.default").token
    answer = running.azure(azure_ad_token=token).chat.completions.create(
        model="gpt-standard", messages=MESSAGES
    )

    assert answer.choices[0].message.content
    with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
        credential.get_token("https://elsewhere/.default")
    for wrong, number in (
        ({"assertion": running.token("sts.amazonaws.com")}, "AADSTS700212"),
        ({"assertion": running.token("api://AzureADTokenExchange", -1)}, "AADSTS700024"),
        ({"assertion": good, "client_id": "no-such-app"}, "AADSTS700016"),
    ):
        with pytest.raises(ClientAuthenticationError, match=number):
            entra(running, tmp_path, **wrong).get_token("https://ai.azure.com/.default")
    running.shift_s[0] = 86_400
    with pytest.raises(openai.AuthenticationError, match="expired"):
        running.azure(azure_ad_token=token).chat.completions.create(model="gpt-standard", messages=MESSAGES)


def credentials_of(answer: dict) -> dict[str, str]:
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def test_roles_chain_across_accounts_with_tags_and_an_external_id(run_clouds):
    identity = IdentityConfig(roles=(RoleConfig(arn=OTHER, external_id="shared-id"),))
    running = run_clouds(CloudsConfig(time_scale=0, identity=identity))
    first = running.aws("sts").assume_role(
        RoleArn=ROLE,
        RoleSessionName="gateway",
        Tags=[{"Key": "env", "Value": "prod"}],
        TransitiveTagKeys=["env"],
    )
    sts = running.aws("sts", **credentials_of(first))
    call = {"RoleArn": OTHER, "RoleSessionName": "gateway", "Tags": [{"Key": "feature", "Value": "recap"}]}

    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(**call, ExternalId="guessed")
    with pytest.raises(ClientError, match="from 900 to 3600"):
        sts.assume_role(**call, ExternalId="shared-id", DurationSeconds=7200)
    second = sts.assume_role(**call, ExternalId="shared-id")
    who = running.aws("sts", **credentials_of(second)).get_caller_identity()

    assert who["Arn"] == "arn:aws:sts::210987654321:assumed-role/serve/gateway"
    last = running.admin("GET", "/sessions")["sessions"][-1]
    assert last["tags"] == {"env": "prod", "feature": "recap"}


def test_an_aws_session_gets_an_outbound_identity_token(running):
    audience = running.clouds.config.identity.pool_audience
    issued = running.aws("sts").get_web_identity_token(Audience=[audience], SigningAlgorithm="RS256")
    credentials = pool(running, issued["WebIdentityToken"])

    credentials.refresh(Request())

    assert ask_vertex(running, credentials.token)


def test_anthropic_exchanges_a_federated_token(running):
    url = running.clouds.urls["anthropic"] + "/v1/oauth/token"
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "federation_rule_id": "fdrl_1"}
    good = httpx2.post(url, json={**form, "assertion": running.token("https://api.anthropic.com")}).json()
    bad = httpx2.post(url, json={**form, "assertion": running.token("https://api.openai.com/v1")})
    beta = {"anthropic-beta": "oauth-2025-04-20"}
    client = running.anthropic(api_key=None, auth_token=good["access_token"], default_headers=beta)
    ask = {"model": "claude-sim", "max_tokens": 90, "messages": MESSAGES}

    assert client.messages.create(**ask).content[0].text
    running.shift_s[0] = good["expires_in"] + 1
    with pytest.raises(AuthenticationError):
        client.messages.create(**ask)
    assert (bad.status_code, bad.json()["error"]) == (400, "invalid_grant")
