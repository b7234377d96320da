"""What Azure itself says of an endpoint's posture: network, key, stored content, where a deployment runs.

One account and one deployment, as the resource manager shows them; what may not be read cannot be seen,
and needs a person's attestation like everything no API shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from crossfade.config.schema import AuthSection, EndpointSection, ProviderSection
from crossfade.control.credentials.azure import fetch_azure
from crossfade.control.evidence.posture.checks import Check, Unseen

MANAGER = "https://management.azure.com"
VERSION = "2024-10-01"
TIMEOUT_S = 10


def see_azure(
    name: str, provider: ProviderSection, endpoint: EndpointSection, manager: str = MANAGER
) -> tuple[Check | Unseen, ...]:
    """Everything that can be seen, and by name what cannot. `manager`: address of the resource manager."""
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - slow

    found: list[Check | Unseen] = []
    if provider.resource is None:
        why = "the config names no resource (hint: providers.NAME.resource)"
        found += [Unseen(f"{what} of {name}", why) for what in ("private network", "customer-managed key")]
    else:
        try:
            read = reader(provider.auth, manager)
            found += account_checks(name, read(provider.resource))
            deployment = read(f"{provider.resource}/deployments/{endpoint.model}")
            found.append(_regions(name, endpoint, deployment))
        except (AzureError, LookupError, OSError, ValueError) as error:
            found.append(Unseen(f"account of {name}", f"could not be read: {error}"))
    found.append(Unseen(f"retention of {name}", "no API tells what else the provider keeps; its terms do"))
    return tuple(found)


def reader(auth: AuthSection, manager: str) -> Callable[[str], dict[str, Any]]:
    """Reads a resource by its id, with the provider's own identity; raises azure-core's errors."""
    from azure.core import PipelineClient  # noqa: PLC0415 - slow
    from azure.core.rest import HttpRequest  # noqa: PLC0415

    token = fetch_azure(auth.model_copy(update={"scope": f"{MANAGER}/.default"})).token

    def read(resource: str) -> dict[str, Any]:
        client: Any = PipelineClient(manager)
        with client:
            url = f"{manager}{resource}?api-version={VERSION}"
            request = HttpRequest("GET", url, headers={"authorization": f"Bearer {token}"})
            answer = client.send_request(request, connection_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S)
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
            return document

    return read


def account_checks(name: str, account: dict[str, Any]) -> Iterator[Check]:
    """What the account's own document shows."""
    said = account["properties"]
    public = said.get("publicNetworkAccess", "Enabled")
    default = (said.get("networkAcls") or {}).get("defaultAction", "Allow")
    closed = public == "Disabled" or default == "Deny"
    seen = f"public network access {public}, others by default: {default}"
    yield Check(f"closed to the internet: {name}", closed, seen)
    links = [
        each.get("name", "?")
        for each in said.get("privateEndpointConnections") or []
        if each["properties"]["privateLinkServiceConnectionState"]["status"] == "Approved"
    ]
    yield Check(f"private endpoint of {name}", bool(links), ", ".join(links) or "none approved")
    source = (said.get("encryption") or {}).get("keySource", "Microsoft.CognitiveServices")
    yield Check(f"customer-managed key of {name}", source == "Microsoft.KeyVault", source)
    kept = next((c["value"] for c in said.get("capabilities") or [] if c["name"] == "ContentLogging"), "true")
    what = f"content logging for abuse monitoring: {kept}"
    yield Check(f"no stored content of {name}", kept == "false", what)


def _regions(name: str, endpoint: EndpointSection, deployment: dict[str, Any]) -> Check:
    """A deployment's kind says where it may run: its own region, its zone, or anywhere."""
    kind = deployment["sku"]["name"]
    stays = not kind.startswith(("Global", "DataZone"))
    return Check(f"regions of the deployment of {name}", stays or endpoint.region is None, kind)
