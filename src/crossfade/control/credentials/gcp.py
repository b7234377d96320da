"""Google access tokens through google-auth: workload identity federation, impersonation, metadata."""

from __future__ import annotations

import calendar
from pathlib import Path
from typing import Any

from crossfade.config.schema import AuthSection
from crossfade.control.credentials.aws import aws_region, fetch_aws
from crossfade.domain.credential import BearerCredential

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
STS, IAM = "https://sts.googleapis.com", "https://iamcredentials.googleapis.com"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
AWS_TYPE = "urn:ietf:params:aws:token-type:aws4_request"


def fetch_gcp(auth: AuthSection) -> BearerCredential:
    """A token for Google's APIs. Raises google-auth's own errors."""
    from google.auth.transport.requests import Request  # noqa: PLC0415 - slow, and only its users need it

    credentials = _impersonated(auth, _source(auth))
    credentials.refresh(Request())
    expiry = credentials.expiry
    until = None if expiry is None else calendar.timegm(expiry.timetuple())
    return BearerCredential(token=credentials.token, expires_unix_s=until)


def _source(auth: AuthSection) -> Any:
    if auth.method == "default-chain":
        import google.auth  # noqa: PLC0415

        return google.auth.default(scopes=[SCOPE])[0]
    if auth.via is not None:
        return _from_aws(auth, auth.via)
    from google.auth import identity_pool  # noqa: PLC0415

    class File(identity_pool.SubjectTokenSupplier):  # type: ignore[misc,unused-ignore]
        """The workload's own token, read anew each time: the cluster rotates the file."""

        def get_subject_token(self, context: Any, request: Any) -> str:  # noqa: ARG002 - the SDK's signature
            return Path(auth.token_file or "").read_text(encoding="utf-8").strip()

    return identity_pool.Credentials(  # type: ignore[no-untyped-call]
        audience=auth.audience,
        subject_token_type=JWT_TYPE,
        token_url=f"{auth.sts_url or STS}/v1/token",
        subject_token_supplier=File(),
        scopes=[SCOPE],
    )


def _from_aws(auth: AuthSection, via: AuthSection) -> Any:
    """An AWS identity signs a request that Google's token service replays to learn who it is."""
    from google.auth import aws  # noqa: PLC0415

    class Signer(aws.AwsSecurityCredentialsSupplier):  # type: ignore[misc,unused-ignore]
        """Whatever AWS identity `via` names."""

        def get_aws_security_credentials(self, context: Any, request: Any) -> Any:  # noqa: ARG002 - as above
            held = fetch_aws(via)
            return aws.AwsSecurityCredentials(held.access_key_id, held.secret_access_key, held.session_token)

        def get_aws_region(self, context: Any, request: Any) -> str:  # noqa: ARG002 - as above
            return aws_region(via)

    return aws.Credentials(  # type: ignore[no-untyped-call]
        audience=auth.audience,
        subject_token_type=AWS_TYPE,
        token_url=f"{auth.sts_url or STS}/v1/token",
        aws_security_credentials_supplier=Signer(),
        scopes=[SCOPE],
    )


def _impersonated(auth: AuthSection, source: Any) -> Any:
    if auth.service_account is None:
        return source
    from google.auth import impersonated_credentials  # noqa: PLC0415

    path = f"/v1/projects/-/serviceAccounts/{auth.service_account}:generateAccessToken"
    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=source,
        target_principal=auth.service_account,
        target_scopes=[SCOPE],
        iam_endpoint_override=f"{auth.sts_url or IAM}{path}",
    )
