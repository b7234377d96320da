"""Posture of a pool's endpoints as the clouds themselves tell it."""

from __future__ import annotations

from crossfade.config.features import Config
from crossfade.config.schema import cloud_of
from crossfade.control.evidence.posture.aws import see_aws, view_of
from crossfade.control.evidence.posture.azure import see_azure
from crossfade.control.evidence.posture.checks import Check, Unseen
from crossfade.control.evidence.posture.gcp import see_gcp


def see_pool(config: Config, pool: str) -> tuple[Check | Unseen, ...]:
    """Checks where an API shows something, and by name everything that none shows.

    A provider at an address of the config's own (a simulated cloud, a proxy) is nobody's cloud: the public
    APIs would tell of something else.
    """
    found: list[Check | Unseen] = []
    for name in config.pools[pool].endpoints:
        endpoint = config.endpoints[name]
        provider = config.providers[endpoint.provider]
        if cloud_of(provider) == "aws" and provider.base_url is None:
            found += see_aws(view_of(name, provider, endpoint))
            continue
        if cloud_of(provider) == "azure" and provider.kind == "azure-openai":
            found += see_azure(name, provider, endpoint)
            continue
        if provider.kind == "vertex" and provider.base_url is None:
            found += see_gcp(name, provider, endpoint)
            continue
        for what in ("private network", "retention", "customer-managed key"):
            found.append(Unseen(f"{what} of {name}", f"no API of {provider.kind} is read for it"))
    return tuple(found)
