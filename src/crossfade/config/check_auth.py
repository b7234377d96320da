"""What an auth section means: methods that fit the cloud, fields that fit the method."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from crossfade.config.schema import AuthSection, ProviderSection, cloud_of

Place = tuple[str, ...]
Finding = tuple[Place, str, str]  # where, what, hint

AWS_METHODS = ("default-chain", "assume-role", "web-identity")
METHODS: dict[str | None, tuple[str, ...]] = {
    "aws": AWS_METHODS,
    "gcp": ("default-chain", "workload-identity", "api-key"),
    "azure": ("default-chain", "workload-identity", "managed-identity", "api-key"),
    None: ("api-key", "none"),
}
CHAIN_LIMIT = 3


def find_auth_problems(path: Place, provider: ProviderSection, *, secrets: bool) -> Iterator[Finding]:
    """Everything wrong with a provider's auth; `secrets` = they must be set here and now."""
    auth, cloud = provider.auth, cloud_of(provider)
    if auth.method not in METHODS[cloud]:
        hint = f"use one of {', '.join(METHODS[cloud])}"
        if cloud is None and auth.method in {*METHODS["gcp"], *METHODS["azure"]}:
            hint += "; for access tokens say cloud: gcp or cloud: azure"
        yield (*path, "method"), f"{auth.method} is not for kind {provider.kind}", hint
    yield from _fields(path, auth, cloud, secrets=secrets)


def _fields(path: Place, auth: AuthSection, cloud: str | None, *, secrets: bool) -> Iterator[Finding]:
    if auth.method == "api-key":
        yield from _key(path, auth, secrets=secrets)
    if auth.method in {"assume-role", "web-identity"} and not auth.role:
        yield path, f"{auth.method} needs a role", "role: arn:aws:iam::ACCOUNT:role/NAME"
    if auth.method == "web-identity" and not auth.token_file:
        yield path, "web-identity needs token_file", ""
    if auth.method == "workload-identity":
        yield from _workload(path, auth, cloud)
    if auth.via is not None:
        yield from _via(path, auth, secrets=secrets)


def _key(path: Place, auth: AuthSection, *, secrets: bool) -> Iterator[Finding]:
    if sum(place is not None for place in (auth.env, auth.file, auth.secret)) != 1:
        yield path, "api-key needs either env, file or secret", "env: NAME_OF_THE_VARIABLE"
    elif secrets and auth.env and not os.environ.get(auth.env):
        yield (*path, "env"), f"the variable {auth.env} is not set", f"export {auth.env}=…"
    elif secrets and auth.file and not Path(auth.file).is_file():
        yield (*path, "file"), f"there is no file {auth.file}", ""


def _workload(path: Place, auth: AuthSection, cloud: str | None) -> Iterator[Finding]:
    if (auth.token_file is None) == (auth.via is None):
        hint = "token_file: /var/run/secrets/…/token, or via: {method: default-chain} for an AWS identity"
        yield path, "workload-identity needs either token_file or via", hint
    if cloud == "gcp" and not (auth.audience or "").startswith("//iam.googleapis.com/"):
        hint = (
            "audience: //iam.googleapis.com/projects/N/locations/global/workloadIdentityPools/P/providers/P"
        )
        yield path, "workload-identity needs the audience of the pool's provider", hint
    if cloud == "azure" and not (auth.tenant and auth.client_id):
        yield path, "workload-identity needs tenant and client_id", "the application that trusts the workload"


def _via(path: Place, auth: AuthSection, *, secrets: bool) -> Iterator[Finding]:
    takes_via = auth.method in {"assume-role", "workload-identity"} or auth.secret is not None
    depth, inner = 1, auth.via
    while inner is not None and inner.via is not None:
        depth, inner = depth + 1, inner.via
    if not takes_via or depth > CHAIN_LIMIT:
        what = "only a role, a federated identity or a secret is reached via another, three deep at most"
        yield (*path, "via"), what, ""
        return
    if auth.via is not None:
        if auth.via.method not in AWS_METHODS:
            hint = f"use one of {', '.join(AWS_METHODS)}"
            yield (*path, "via", "method"), "an identity on the way is one of AWS", hint
        yield from _fields((*path, "via"), auth.via, "aws", secrets=secrets)
