"""Errors of providers and their SDKs in our words, each with the fix."""

from __future__ import annotations

import re

# the first pattern that an SDK's error matches: what it means, what to do
_CREDENTIALS: tuple[tuple[str, str, str], ...] = (
    (r"FileNotFoundError|No such file", "the token or key file is not there",
     "mount it, or mend token_file / file"),
    (r"variable .* is empty", "the key's variable is not set", "export it before starting control"),
    (r"is empty$", "the place that should hold the key is empty", "put the key there"),
    (r"found no AWS cred|Unable to locate cred|NoCredentials", "this machine has no AWS identity",
     "run where a role is attached, or export AWS_… variables"),
    (r"DefaultCredentialsError|default credentials were not found", "this machine has no Google identity",
     "run on Google Cloud, or use auth.method workload-identity"),
    (r"Incorrect token audience|AADSTS700212", "the workload's token is for another audience",
     "project it with the audience that the target expects"),
    (r"ExpiredToken|AADSTS700024|token is expired|Token expired", "the workload's own token is expired",
     "check that the token file is still rotated, and this machine's clock"),
    (r"AADSTS90002|AADSTS900021", "there is no such Entra tenant", "check auth.tenant"),
    (r"AADSTS700016|unauthorized_client", "the tenant knows no such application", "check auth.client_id"),
    (r"AADSTS70021", "no federated credential of the application matches the token",
     "make issuer, subject and audience of the federated credential equal to the token's"),
    (r"AADSTS500011|invalid_resource", "the tenant does not know what the token is for", "check auth.scope"),
    (r"invalid_target", "the workload identity pool or provider does not exist", "check auth.audience"),
    (r"InvalidIdentityToken|InvalidClientTokenId|UnrecognizedClient", "AWS does not accept the identity",
     "register the token's issuer as an identity provider, or check the access key"),
    (r"invalid_grant", "the pool's provider does not accept the workload's token",
     "compare its issuer and audience with the provider's"),
    (r"getAccessToken|PERMISSION_DENIED", "the service account may not be impersonated",
     "grant roles/iam.workloadIdentityUser and roles/iam.serviceAccountTokenCreator to the pool's principal"),
    (r"AccessDenied", "the role does not let this identity in",
     "check the role's trust policy: principal, external id, audience, session tags"),
    (r"SignatureDoesNotMatch|InvalidSignature", "the signature is wrong",
     "check the secret key and this machine's clock"),
    (r"no answer within|[Cc]onnect|Max retries|resolve|timed out", "the token service cannot be reached",
     "check DNS, routes and auth.sts_url"),
)  # fmt: skip

# our error kinds of a call: which check they decide, what they mean, what to do
_CALLS: dict[str, tuple[str, str, str]] = {
    "auth": ("permission", "the provider does not let this credential call the model",
             "grant the invoke permission and model access to it; check its audience"),
    "config": ("permission", "the provider does not serve this model in this way",
               "check model, region and whether it needs an inference profile or deployment"),
    "not_found": ("permission", "the provider knows no such model or endpoint",
                  "check model and region; it may be retired or not enabled for the account"),
    "rate_limited": ("quota", "the account's rate limit is used up", "ask for more, or spread the traffic"),
    "provisioned_full": ("quota", "the bought capacity is full",
                         "add units, or an on-demand endpoint to the pool"),
    "quota_exhausted": ("quota", "money or a daily quota is used up",
                        "raise the limit at the provider"),
    "ramp_limited": ("quota", "traffic grew faster than the provider allows", "grow more slowly"),
    "capacity": ("quota", "the provider is short of capacity", "wait, or add an endpoint in another region"),
    "capacity_warming": ("quota", "the model is still loading", "wait; keep at least one copy running"),
    "timeout": ("call", "the provider did not answer in time", "look at the provider's status page"),
    "connection": ("call", "the gateway could not connect",
                   "check DNS, routes and TLS from the gateway's machine"),
    "server_error": ("call", "the provider failed", "look at the provider's status page"),
    "invalid_request": ("call", "the provider refuses the smallest request", "check model and overrides"),
}  # fmt: skip


def advise_credential(error: str) -> tuple[str, str]:
    """What an SDK's error means, and the fix; an unknown one is shown as it is."""
    for pattern, meaning, fix in _CREDENTIALS:
        if re.search(pattern, error):
            return f"{meaning} [{error[:160]}]", fix
    return error[:300], "see the provider's documentation of this error"


def advise_call(kind: str, message: str) -> tuple[str, str, str]:
    """Which check a failed call decides, what the failure means, and the fix."""
    check, meaning, fix = _CALLS.get(
        kind, ("call", f"it ended as {kind}", "`crossfade explain` shows its attempts")
    )
    return check, f"{meaning} [{message[:160]}]", fix
