"""Every way to a credential, through the official SDKs, against the simulated token endpoints."""

from __future__ import annotations

import httpx2
import openai
import pytest

from crossfade.config.compile import CredentialNeed
from crossfade.config.schema import AuthSection
from crossfade.control.credentials.sources import fetch
from crossfade.domain.credential import AwsCredential, BearerCredential
from crossfade.domain.snapshot import AuthScheme
from crossfade.sim.config import CloudsConfig, IdentityConfig, RoleConfig

ROLE = "arn:aws:iam::123456789012:role/llm"
OTHER = "arn:aws:iam::210987654321:role/serve"
ASK = {"messages": [{"role": "user", "content": [{"text": "Ana paid 7 coins for bread."}]}]}
CHAIN = {"method": "default-chain"}


@pytest.fixture(autouse=True)
def _no_identity_of_our_own(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


@pytest.fixture
def own_keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def aws(**auth: object) -> AwsCredential:
    fetched = fetch(CredentialNeed("aws", AuthScheme.SIGV4, AuthSection(**auth), "aws"))
    assert isinstance(fetched, AwsCredential)
    return fetched


def bearer(cloud: str | None, **auth: object) -> BearerCredential:
    fetched = fetch(CredentialNeed("token", AuthScheme.BEARER, AuthSection(**auth), cloud))
    assert isinstance(fetched, BearerCredential)
    return fetched


def opens_bedrock(running, held: AwsCredential) -> bool:
    client = running.aws(
        "bedrock-runtime",
        aws_access_key_id=held.access_key_id,
        aws_secret_access_key=held.secret_access_key,
        aws_session_token=held.session_token,
    )
    return client.converse(modelId="us.anthropic.claude-haiku-4-5", **ASK)["stopReason"] == "end_turn"


def opens_vertex(running, held: BearerCredential) -> bool:
    return bool(
        running.vertex(held.token).models.generate_content(model="gemini-sim", contents="Hi Ana.").text
    )


def opens_azure(running, held: BearerCredential) -> bool:
    client = openai.OpenAI(
        base_url=running.clouds.urls["azure"] + "/openai/v1", api_key=held.token, max_retries=0
    )
    running._keep(client)
    answer = client.chat.completions.create(
        model="gpt-standard", messages=[{"role": "user", "content": "Hi."}]
    )
    return bool(answer.choices[0].message.content)


def file_of(tmp_path, token: str) -> str:
    path = tmp_path / "token"
    path.write_text(token + "\n")
    return str(path)


def test_aws_by_web_identity(running, tmp_path):
    held = aws(
        method="web-identity", role=ROLE, token_file=file_of(tmp_path, running.token("sts.amazonaws.com")),
        sts_url=running.clouds.urls["sts"],
    )  # fmt: skip

    assert opens_bedrock(running, held)
    assert held.expires_unix_s > 0


def test_aws_by_eks_pod_identity(running, tmp_path, monkeypatch):
    token = running.token("pods.eks.amazonaws.com", sub="system:serviceaccount:llm:gateway")
    monkeypatch.setenv(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", running.clouds.urls["tokens"] + "/v1/credentials"
    )
    projected = tmp_path / "projected"
    projected.write_text(token)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(projected))

    held = aws(**CHAIN)

    assert opens_bedrock(running, held)
    assert held.expires_unix_s is not None


def test_aws_by_the_metadata_service_of_a_machine(running, monkeypatch):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", running.clouds.urls["tokens"])

    assert opens_bedrock(running, aws(**CHAIN))


def test_aws_by_a_chain_of_roles_across_accounts_with_tags_and_an_external_id(run_clouds, tmp_path):
    identity = IdentityConfig(roles=(RoleConfig(arn=OTHER, external_id="shared-id"),))
    running = run_clouds(CloudsConfig(time_scale=0, identity=identity))
    sts = running.clouds.urls["sts"]
    first = {
        "method": "web-identity",
        "role": ROLE,
        "token_file": file_of(tmp_path, running.token("sts.amazonaws.com")),
        "sts_url": sts,
    }
    chain = {"method": "assume-role", "role": OTHER, "via": first, "sts_url": sts, "session_name": "recap-gw"}

    held = aws(**chain, external_id="shared-id", session_tags={"feature": "recap", "env": "prod"})

    assert opens_bedrock(running, held)
    last = running.admin("GET", "/sessions")["sessions"][-1]
    assert (last["role"], last["name"]) == (OTHER, "recap-gw")
    assert last["tags"] == {"feature": "recap", "env": "prod"}
    with pytest.raises(Exception, match="AccessDenied"):
        aws(**chain, external_id="guessed")


def test_google_by_a_workloads_own_token_and_impersonation(running, tmp_path):
    audience = running.clouds.config.identity.pool_audience
    auth = {
        "method": "workload-identity",
        "audience": audience,
        "token_file": file_of(tmp_path, running.token(audience)),
        "sts_url": running.clouds.urls["tokens"],
    }

    direct = bearer("gcp", **auth)
    as_account = bearer("gcp", **auth, service_account="llm@acme-llm.iam.gserviceaccount.com")

    assert opens_vertex(running, direct)
    assert opens_vertex(running, as_account)
    assert direct.expires_unix_s is not None
    with pytest.raises(Exception, match="invalid_grant"):
        bearer("gcp", **{**auth, "token_file": file_of(tmp_path, running.token("sts.amazonaws.com"))})


def test_google_by_an_aws_identity(running, own_keys):
    held = bearer(
        "gcp", method="workload-identity", audience=running.clouds.config.identity.pool_audience,
        via={"method": "assume-role", "role": ROLE, "sts_url": running.clouds.urls["sts"]},
        sts_url=running.clouds.urls["tokens"],
    )  # fmt: skip

    assert opens_vertex(running, held)


@pytest.fixture
def _trusted(running, tmp_path, monkeypatch):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(httpx2.get(running.clouds.admin_url + "/ca.pem").content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))


@pytest.mark.usefixtures("_trusted")
def test_azure_by_a_federated_token_or_an_aws_identity(running, tmp_path, own_keys):
    identity = running.clouds.config.identity
    auth = {
        "method": "workload-identity",
        "tenant": identity.tenant,
        "client_id": identity.client_id,
        "sts_url": running.clouds.urls["entra"],
    }
    federated = file_of(tmp_path, running.token("api://AzureADTokenExchange"))

    by_file = bearer("azure", **auth, token_file=federated)
    by_aws = bearer("azure", **auth, via={**CHAIN, "sts_url": running.clouds.urls["sts"]})

    assert opens_azure(running, by_file)
    assert opens_azure(running, by_aws)
    with pytest.raises(Exception, match="AADSTS700212"):
        bearer("azure", **auth, token_file=file_of(tmp_path, running.token("sts.amazonaws.com")))


def test_azure_by_managed_identity(running, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", running.clouds.urls["tokens"] + "/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header-of-the-machine")

    assert opens_azure(running, bearer("azure", method="managed-identity"))


def test_keys_come_from_a_variable_or_a_file_and_are_never_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "sk-sim")
    monkeypatch.setenv("EMPTY_KEY", "")

    assert bearer(None, method="api-key", env="LAB_KEY").token == "sk-sim"
    assert bearer(None, method="api-key", file=file_of(tmp_path, "sk-file")).token == "sk-file"
    with pytest.raises(LookupError, match="EMPTY_KEY is empty"):
        bearer(None, method="api-key", env="EMPTY_KEY")


def test_keys_come_from_a_secret_manager(monkeypatch, own_keys):
    moto = pytest.importorskip("moto")
    import boto3  # noqa: PLC0415

    with moto.mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        client.create_secret(Name="llm/lab", SecretString='{"key": "sk-secret"}')
        client.create_secret(Name="plain", SecretString="sk-plain")
        client.close()

        assert bearer(None, method="api-key", secret="aws:llm/lab#key").token == "sk-secret"
        assert bearer(None, method="api-key", secret="aws:plain").token == "sk-plain"
        with pytest.raises(LookupError, match="no key other"):
            bearer(None, method="api-key", secret="aws:llm/lab#other")
