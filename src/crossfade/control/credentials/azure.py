"""Entra access tokens through azure-identity: federated assertions and managed identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossfade.config.schema import AuthSection
from crossfade.control.credentials.aws import fetch_web_identity_token
from crossfade.domain.credential import BearerCredential

SCOPE = "https://ai.azure.com/.default"
ASSERTION_AUDIENCE = "api://AzureADTokenExchange"


def fetch_azure(auth: AuthSection) -> BearerCredential:
    """A token for Azure's model APIs. Raises azure-identity's own errors."""
    with _source(auth) as credential:
        token = credential.get_token(auth.scope or SCOPE)
    return BearerCredential(token=token.token, expires_unix_s=int(token.expires_on))


def _source(auth: AuthSection) -> Any:
    from azure.identity import (  # noqa: PLC0415 - slow, and only its users need it
        ClientAssertionCredential,
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    if auth.method == "default-chain":
        return DefaultAzureCredential(retry_total=1)
    if auth.method == "managed-identity":
        return ManagedIdentityCredential(client_id=auth.client_id, retry_total=1)

    def assertion() -> str:
        if auth.via is not None:
            return fetch_web_identity_token(auth.via, auth.audience or ASSERTION_AUDIENCE)
        return Path(auth.token_file or "").read_text(encoding="utf-8").strip()

    settings: dict[str, Any] = {"retry_total": 1, "connection_timeout": 3, "read_timeout": 10}
    if auth.sts_url:  # a private authority has no place in Microsoft's directory of them
        settings |= {"authority": auth.sts_url, "disable_instance_discovery": True}
    return ClientAssertionCredential(auth.tenant or "", auth.client_id or "", assertion, **settings)
