"""Short forms to long ones, on plain data, before the schema looks at it."""

from __future__ import annotations

from typing import Any, get_args

from crossfade.config.schema import CONVENTIONAL_KEYS, Kind

# Public OpenAI-compatible providers, so that `groq/MODEL` is a whole endpoint. A new one is a line
# here: its name, its address (as its own SDK takes it), the variable its key is by convention in.
# Addresses as of 2026-11.
CATALOGUE: dict[str, tuple[str, str]] = {
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepseek": ("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "huggingface": ("https://router.huggingface.co/v1", "HF_TOKEN"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "z.ai": ("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
}


# What may stand before the slash without an entry under `providers`.
SHORT_NAMES = (*get_args(Kind), *CATALOGUE)


def expand(document: dict[str, Any]) -> dict[str, Any]:
    """The long form: `openai/gpt-5-mini`, a feature as a list, endpoints as pools of one.

    Only changes what it understands; everything else is left for the schema to judge.
    """
    expanded = dict(document)
    providers = dict(_mapping(document.get("providers")))
    endpoints = dict(_mapping(document.get("endpoints")))
    for name, endpoint in endpoints.items():
        if isinstance(endpoint, str) and "/" in endpoint:
            provider, model = endpoint.split("/", 1)
            if provider not in providers and provider in SHORT_NAMES:
                providers[provider] = _provider(provider)
            endpoints[name] = {"provider": provider, "model": model}
    pools = dict(_mapping(document.get("pools")))
    pools = {k: {"endpoints": v} if isinstance(v, list) else v for k, v in pools.items()}
    for name in endpoints:
        pools.setdefault(name, {"endpoints": [name]})
    for key, value in (("providers", providers), ("endpoints", endpoints), ("pools", pools)):
        if value or key in document:
            expanded[key] = value if isinstance(document.get(key, {}), dict) else document[key]
    if isinstance(document.get("features"), dict):
        expanded["features"] = {name: _feature(value) for name, value in document["features"].items()}
    return expanded


def _provider(name: str) -> dict[str, Any]:
    """The provider a short form means: a kind, or a line of the catalogue."""
    if name in CATALOGUE:
        address, variable = CATALOGUE[name]
        auth = {"method": "api-key", "env": variable}
        return {"kind": "openai-compatible", "base_url": address, "auth": auth}
    known = CONVENTIONAL_KEYS.get(name)
    return {"kind": name, "auth": {"method": "api-key", "env": known} if known else {"method": "none"}}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _feature(value: Any) -> Any:
    if isinstance(value, list):
        value = {"hierarchy": value}
    if isinstance(value, dict) and isinstance(value.get("rules"), list):
        value = {**value, "rules": [_targets(rule) for rule in value["rules"]]}
    return _targets(value)


def _targets(value: Any) -> Any:
    """With each target of the hierarchy in its long form."""
    if isinstance(value, dict) and isinstance(value.get("hierarchy"), list):
        targets = [{"pool": item} if isinstance(item, str) else item for item in value["hierarchy"]]
        return {**value, "hierarchy": targets}
    return value
