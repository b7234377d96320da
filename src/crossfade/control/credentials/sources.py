"""Where a credential comes from: one function a method, chosen by what the config says."""

from __future__ import annotations

import os
from pathlib import Path

from crossfade.config.compile import CredentialNeed
from crossfade.config.schema import AuthSection
from crossfade.control.credentials.aws import fetch_aws, fetch_aws_secret
from crossfade.control.credentials.azure import fetch_azure
from crossfade.control.credentials.gcp import fetch_gcp
from crossfade.domain.credential import AwsCredential, BearerCredential
from crossfade.domain.snapshot import AuthScheme

Fetched = AwsCredential | BearerCredential


def fetch(need: CredentialNeed) -> Fetched:
    """Fetch one credential now. Raises what the source raises."""
    if need.scheme is AuthScheme.SIGV4:
        return fetch_aws(need.auth)
    if need.auth.method == "api-key":
        return BearerCredential(token=read_key(need.auth), expires_unix_s=None)
    return fetch_gcp(need.auth) if need.cloud == "gcp" else fetch_azure(need.auth)


def read_key(auth: AuthSection) -> str:
    """A stored API key: from a variable, a file, or a secret manager.

    Raises:
        LookupError: the place is there and holds nothing.
    """
    if auth.secret:
        text = fetch_aws_secret(auth.secret, auth.via)
        place = f"the secret {auth.secret}"
    elif auth.env:
        text, place = os.environ.get(auth.env, ""), f"the variable {auth.env}"
    else:
        text, place = Path(auth.file or "").read_text(encoding="utf-8").strip(), f"the file {auth.file}"
    if not text:
        raise LookupError(f"{place} is empty")
    return text
