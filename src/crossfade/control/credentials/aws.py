"""AWS credentials through botocore: the default chain, assumed roles, web identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossfade.config.schema import AuthSection
from crossfade.domain.credential import AwsCredential

_SESSION_NAME = "crossfade"


def fetch_aws(auth: AuthSection) -> AwsCredential:
    """Credentials for one auth section, `via` included. Raises botocore's own errors."""
    if auth.method == "web-identity":
        token = Path(auth.token_file or "").read_text().strip()
        answer = _sts(auth, None).assume_role_with_web_identity(
            RoleArn=auth.role, RoleSessionName=_SESSION_NAME, WebIdentityToken=token
        )
        return _of_sts(answer)
    if auth.method == "assume-role":
        source = fetch_aws(auth.via) if auth.via else _default_chain()
        extra = {"ExternalId": auth.external_id} if auth.external_id else {}
        return _of_sts(
            _sts(auth, source).assume_role(RoleArn=auth.role, RoleSessionName=_SESSION_NAME, **extra)
        )
    return _default_chain()


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


def _sts(auth: AuthSection, source: AwsCredential | None) -> Any:
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    bounded = {"connect_timeout": 3, "read_timeout": 5, "retries": {"total_max_attempts": 2}}
    settings = Config(**bounded) if source else Config(signature_version=UNSIGNED, **bounded)
    return Session().create_client(
        "sts",
        region_name=auth.sts_region,
        endpoint_url=auth.sts_url,
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
