"""What a sign-off binds to: everything about the candidate's endpoints that compliance looks at.

Traps this closes: a cross-region profile silently widens the region set; an alias (`latest`)
hides a change of version, so an aliased model cannot be signed for.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from crossfade.config.features import Config
from crossfade.config.regions import regions_of
from crossfade.domain.route import Target


def fingerprint_fields(config: Config, target: Target, features: tuple[str, ...]) -> dict[str, Any]:
    """By endpoint of the pool: provider, account, model, regions, capacity class, policy of the features.

    And the request parameters the candidate sets, if it sets any.
    """
    policies = {
        name: {
            "retention": config.features[name].policy.retention,
            "network": config.features[name].policy.network,
            "regions": sorted(config.features[name].policy.regions or ()),
        }
        for name in sorted(features)
    }
    endpoints = {}
    for name in sorted(config.pools[target.pool].endpoints):
        endpoint = config.endpoints[name]
        provider = config.providers[endpoint.provider]
        endpoints[name] = {
            "provider": provider.kind,
            "account": provider.account or provider.project,
            "address": provider.base_url,
            "auth": [provider.auth.method, provider.auth.role],
            "model": endpoint.model,
            "regions": list(regions_of(endpoint.model, endpoint.region or "global")),
            "capacity_class": endpoint.capacity.class_,
        }
    fields = {"pool": target.pool, "endpoints": endpoints, "policies": policies}
    return {**fields, "parameters": target.set} if target.set else fields


def fingerprint(config: Config, target: Target, features: tuple[str, ...]) -> str:
    """Hex SHA-256 of the fields."""
    text = json.dumps(fingerprint_fields(config, target, features), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
