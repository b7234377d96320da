"""Machine checks of compliance: what software can see of the candidate's endpoints."""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.config.features import Config
from crossfade.config.regions import regions_of


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `detail` says what was seen."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something no API shows: it needs a person's attestation; `detail` says why."""

    name: str
    detail: str


def check_posture(config: Config, pool: str, features: tuple[str, ...]) -> tuple[Check, ...]:
    """Region set within every feature's policy, pinned model, no long-lived key, encrypted or local."""
    checks: list[Check] = []
    for name in config.pools[pool].endpoints:
        endpoint = config.endpoints[name]
        provider = config.providers[endpoint.provider]
        regions = set(regions_of(endpoint.model, endpoint.region or "global"))
        for feature in features:
            allowed = config.features[feature].policy.regions
            outside = sorted(regions - set(allowed)) if allowed is not None else []
            seen = f"{name} may process in {', '.join(sorted(regions))}"
            checks.append(Check(f"regions of {name} for {feature}", not outside, seen))
        pinned = "latest" not in endpoint.model
        checks.append(Check(f"pinned model of {name}", pinned, endpoint.model))
        stored = provider.auth.method == "api-key"
        method = f"authenticates by {provider.auth.method}"
        checks.append(Check(f"no long-lived key for {name}", not stored, method))
        address = provider.base_url or "https://"
        local = address.startswith(("http://127.", "http://localhost", "http://[::1]"))
        checks.append(Check(f"encrypted way to {name}", address.startswith("https://") or local, address))
    return tuple(checks)
