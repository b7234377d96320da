"""AWS credentials through botocore: the default chain, assumed roles, web identities.

The default chain is botocore's own: variables, web identity of EKS service accounts, the container endpoint
of EKS pod identity and ECS, the metadata service of a machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossfade.config.schema import AuthSection
from crossfade.domain.credential import AwsCredential

OUTBOUND_TOKEN_S = 300


def fetch_aws(auth: AuthSection) -> AwsCredential:
    """Credentials for one auth section, `via` included. Raises botocore's own errors."""
    if auth.method == "web-identity":
        token = Path(auth.token_file or "").read_text(encoding="utf-8").strip()
        answer = _client("sts", auth, None).assume_role_with_web_identity(
            RoleArn=auth.role, RoleSessionName=auth.session_name, WebIdentityToken=token
        )
        return _of_sts(answer)
    if auth.method == "assume-role":
        source = fetch_aws(auth.via) if auth.via else _default_chain()
        return _of_sts(_client("sts", auth, source).assume_role(**_role_request(auth)))
    return _default_chain()


def fetch_web_identity_token(auth: AuthSection, audience: str) -> str:
    """A JWT that other clouds trust, issued by AWS for the identity of `auth`. Raises botocore's errors."""
    answer = _client("sts", auth, fetch_aws(auth)).get_web_identity_token(
        Audience=[audience], SigningAlgorithm="RS256", DurationSeconds=OUTBOUND_TOKEN_S
    )
    return str(answer["WebIdentityToken"])


def fetch_aws_secret(place: str, via: AuthSection | None) -> str:
    """The secret `aws:NAME` or, out of a JSON document, `aws:NAME#KEY`. Raises botocore's errors.

    Raises:
        LookupError: the document has no such key.
    """
    name, _, key = place.removeprefix("aws:").partition("#")
    auth = via or AuthSection(method="default-chain")
    secrets = _client("secretsmanager", auth, fetch_aws(auth), url=None)
    text = str(secrets.get_secret_value(SecretId=name)["SecretString"])
    if not key:
        return text
    document = json.loads(text)
    if key not in document:
        raise LookupError(f"the secret {name} has no key {key}")
    return str(document[key])


def aws_region(auth: AuthSection) -> str:
    """The region whose token service vouches for an identity."""
    return auth.sts_region


def aws_client(service: str, auth: AuthSection, region: str) -> Any:
    """A client of any AWS API with the identity of `auth`. Raises botocore's errors."""
    return _client(service, auth, fetch_aws(auth), url=None, region=region)


def _role_request(auth: AuthSection) -> dict[str, Any]:
    request: dict[str, Any] = {"RoleArn": auth.role, "RoleSessionName": auth.session_name}
    if auth.external_id:
        request["ExternalId"] = auth.external_id
    if auth.session_tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in auth.session_tags.items()]
        request["TransitiveTagKeys"] = list(auth.session_tags)
    return request


def _default_chain() -> AwsCredential:
    from botocore.session import Session  # noqa: PLC0415 - 0.4 s, and only AWS users need it

    found = Session().get_credentials()
    if found is None:
        raise LookupError("the default chain found no AWS credentials")
    frozen = found.get_frozen_credentials()
    expiry = getattr(found, "_expiry_time", None)
    return AwsCredential(
        access_key_id=frozen.access_key,
        secret_access_key=frozen.secret_key,
        session_token=frozen.token,
        expires_unix_s=int(expiry.timestamp()) if expiry else None,
    )


def _client(
    service: str, auth: AuthSection, source: AwsCredential | None, *, url: str | None = "", region: str = ""
) -> Any:
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    bounded = {"connect_timeout": 3, "read_timeout": 5, "retries": {"total_max_attempts": 2}}
    settings = Config(**bounded) if source else Config(signature_version=UNSIGNED, **bounded)
    return Session().create_client(
        service,
        region_name=region or auth.sts_region,
        endpoint_url=auth.sts_url if url == "" else url,
        config=settings,
        aws_access_key_id=source.access_key_id if source else None,
        aws_secret_access_key=source.secret_access_key if source else None,
        aws_session_token=source.session_token if source else None,
    )


def _of_sts(answer: dict[str, Any]) -> AwsCredential:
    given = answer["Credentials"]
    return AwsCredential(
        access_key_id=given["AccessKeyId"],
        secret_access_key=given["SecretAccessKey"],
        session_token=given["SessionToken"],
        expires_unix_s=int(given["Expiration"].timestamp()),
    )
