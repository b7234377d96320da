"""Where a provider lives when the config gives no other address."""

from __future__ import annotations

from urllib.parse import urlsplit

from crossfade.config.schema import EndpointSection, ProviderSection

_HOSTS = {
    "openai": "https://api.openai.com",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "cohere": "https://api.cohere.com",
    "bedrock": "https://bedrock-runtime.{region}.amazonaws.com",
    "sagemaker": "https://runtime.sagemaker.{region}.amazonaws.com",
    "vertex": "https://{region}-aiplatform.googleapis.com",
}
_MULTI_REGION = {
    "global": "https://aiplatform.googleapis.com",
    "us": "https://aiplatform.us.rep.googleapis.com",
    "eu": "https://aiplatform.eu.rep.googleapis.com",
}


def address_of(provider: ProviderSection, endpoint: EndpointSection) -> tuple[str, str, int] | None:
    """Scheme, host and port of an endpoint; None when the config does not say."""
    region = endpoint.region or "global"
    url = provider.base_url
    if url is None and provider.kind == "vertex" and region in _MULTI_REGION:
        url = _MULTI_REGION[region]
    if url is None:
        url = _HOSTS.get(provider.kind, "").format(region=region)
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
