"""Short forms to long ones, on plain data, before the schema looks at it."""

from __future__ import annotations

from typing import Any

from crossfade.config.schema import CONVENTIONAL_KEYS


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
            if provider not in providers:
                variable = CONVENTIONAL_KEYS.get(provider)
                auth = {"method": "api-key", "env": variable} if variable else {"method": "none"}
                providers[provider] = {"kind": provider, "auth": auth}
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


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _feature(value: Any) -> Any:
    if isinstance(value, list):
        value = {"hierarchy": value}
    if isinstance(value, dict) and isinstance(value.get("hierarchy"), list):
        targets = [{"pool": item} if isinstance(item, str) else item for item in value["hierarchy"]]
        return {**value, "hierarchy": targets}
    return value
