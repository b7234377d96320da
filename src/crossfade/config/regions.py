"""Where a call can really be processed: cross-region profiles silently widen the region set."""

from __future__ import annotations

# Prefix of an inference profile -> regions it can process in. The lists change at the provider; a
# wider set than the truth only asks for a wider sign-off. Source: provider documentation, November 2026.
_US = ("us-east-1", "us-east-2", "us-west-2")
_EU = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
_APAC = (
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
)
PROFILE_REGIONS = {"us.": _US, "eu.": _EU, "apac.": _APAC, "global.": ("global",)}


def regions_of(model: str, region: str) -> tuple[str, ...]:
    """The regions a call for `model` sent to `region` can be processed in, sorted."""
    for prefix, regions in PROFILE_REGIONS.items():
        if model.startswith(prefix):
            return tuple(sorted({*regions, region}))
    return (region,)
