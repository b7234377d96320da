"""One entry of LiteLLM's `model_list`: provider, credentials, limits, overrides."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crossfade.config.expand import CATALOGUE
from crossfade.config.schema import CONVENTIONAL_KEYS

Leave = Callable[[str, str], None]

KINDS = {
    "openai": "openai",
    "azure": "azure-openai",
    "azure_ai": "azure-openai",
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "sagemaker": "sagemaker",
    "sagemaker_chat": "sagemaker",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "gemini": "gemini",
    "cohere": "cohere",
    "cohere_chat": "cohere",
}
CATALOGUE_NAMES = {"together_ai": "together", "fireworks_ai": "fireworks"}  # theirs that differ from ours
SELF_HOSTED = ("hosted_vllm", "vllm", "openai_like", "custom_openai", "lm_studio", "ollama", "ollama_chat")
OVERRIDES = ("temperature", "top_p", "max_tokens", "seed", "presence_penalty", "frequency_penalty")
AWS_FIELDS = (
    "aws_region_name", "aws_role_name", "aws_session_name", "aws_web_identity_token", "aws_external_id",
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile_name",
)  # fmt: skip
ADDRESSES = ("api_base", "base_url", "aws_bedrock_runtime_endpoint", "sagemaker_base_url")
USED = (
    "model", *ADDRESSES, "api_key", "api_version", "rpm", "tpm", "weight", "order", "timeout",
    "vertex_project", "vertex_location", "vertex_credentials", "custom_llm_provider", *OVERRIDES, *AWS_FIELDS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """One deployment, in our words."""

    name: str
    provider_name: str
    provider: dict[str, Any]
    endpoint: dict[str, Any]
    overrides: dict[str, Any]
    order: int
    timeout_s: float | None


def read_model(entry: Any, where: str, leave: Leave) -> Model | None:
    """Translate an entry; None (and told) when there is nothing to call."""
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    if not isinstance(params, dict) or not params.get("model") or not entry.get("model_name"):
        leave(where, "has no model_name or no litellm_params.model")
        return None
    name, full = str(entry["model_name"]), str(params["model"])
    if "*" in name or "*" in full:
        leave(where, f"{name}: a wildcard; name each model")
        return None
    prefix, _, rest = full.partition("/")
    service = params.get("custom_llm_provider") or (prefix if rest else "openai")
    model = rest or full
    kind = KINDS.get(service, "openai-compatible")
    address, _ = CATALOGUE.get(CATALOGUE_NAMES.get(service, service), (None, None))
    if address is None and service not in {*KINDS, *SELF_HOSTED}:
        leave(
            f"{where}.litellm_params.model", f"{service} is not known; taken for an OpenAI-compatible server"
        )
    provider: dict[str, Any] = {"kind": kind}
    given = next((params[name] for name in ADDRESSES if params.get(name)), None)
    base = _text(given) or address
    if isinstance(given, str) and given.startswith("os.environ/"):
        leave(
            f"{where}.litellm_params.api_base", f"it came from {given[11:]}: {base} is written into the file"
        )
    if base and kind == "openai" and not base.startswith("https://api.openai.com"):
        provider["kind"] = kind = "openai-compatible"
    if base:
        provider["base_url"] = base
    provider["auth"] = _auth(params, service, kind, where, leave)
    if params.get("vertex_project"):
        provider["project"] = _text(params["vertex_project"])
    _tell_unused(params, where, leave)
    return Model(
        name=name,
        provider_name=service.replace("_", "-"),
        provider=provider,
        endpoint=_endpoint(params, kind, model, where, leave),
        overrides={key: params[key] for key in OVERRIDES if params.get(key) is not None},
        order=params["order"] if isinstance(params.get("order"), int) else 0,
        timeout_s=params["timeout"] if isinstance(params.get("timeout"), int | float) else None,
    )


def _endpoint(params: dict[str, Any], kind: str, model: str, where: str, leave: Leave) -> dict[str, Any]:
    made: dict[str, Any] = {"model": model.removeprefix("converse/").removeprefix("invoke/")}
    region = params.get("aws_region_name") or params.get("vertex_location")
    if kind in {"bedrock", "sagemaker"} and region is None:
        region = "os.environ/AWS_REGION"
    if isinstance(region, str) and region.startswith("os.environ/"):
        variable = region.removeprefix("os.environ/")
        region = os.environ.get(variable, "us-east-1")
        leave(
            f"{where}.litellm_params", f"the region came from {variable}: {region} is written into the file"
        )
    if region:
        made["region"] = region
    limits = {key: params[key] for key in ("tpm", "rpm") if isinstance(params.get(key), int)}
    if limits:
        made["capacity"] = {"class": "on-demand", **{key: _count(value) for key, value in limits.items()}}
    if isinstance(params.get("weight"), int | float) and params["weight"] > 0:
        made["weight"] = params["weight"]
    return made


def _auth(params: dict[str, Any], service: str, kind: str, where: str, leave: Leave) -> dict[str, Any]:
    if kind in {"bedrock", "sagemaker"}:
        return _aws_auth(params, where, leave)
    if kind == "vertex":
        if params.get("vertex_credentials"):
            advice = "a key file; the machine's own identity is used (or auth.method workload-identity)"
            leave(f"{where}.litellm_params.vertex_credentials", advice)
        return {"method": "default-chain"}
    given = params.get("api_key")
    if given is None and service in SELF_HOSTED:
        return {"method": "none"}
    variable = CONVENTIONAL_KEYS.get(kind) or f"{service.upper()}_API_KEY"
    if isinstance(given, str) and given.startswith("os.environ/"):
        variable = given.removeprefix("os.environ/")
    elif given in {"none", "None", "", "EMPTY"}:
        return {"method": "none"}
    elif given is not None:
        leave(f"{where}.litellm_params.api_key", f"a secret stands in the file: put it into {variable}")
    return {"method": "api-key", "env": variable}


def _aws_auth(params: dict[str, Any], where: str, leave: Leave) -> dict[str, Any]:
    for key in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile_name"):
        if params.get(key):
            leave(
                f"{where}.litellm_params.{key}", "the default chain is used: put it into its AWS_… variable"
            )
    role = _text(params.get("aws_role_name"))
    if not role:
        return {"method": "default-chain"}
    named = {"session_name": params["aws_session_name"]} if params.get("aws_session_name") else {}
    token = _text(params.get("aws_web_identity_token"))
    if token:
        path = token.removeprefix("file/")
        if not path.startswith("/"):
            leave(f"{where}.litellm_params.aws_web_identity_token", "no file: check auth.token_file")
        return {"method": "web-identity", "role": role, "token_file": path, **named}
    external = {"external_id": params["aws_external_id"]} if params.get("aws_external_id") else {}
    return {"method": "assume-role", "role": role, "via": {"method": "default-chain"}, **named, **external}


def _text(value: Any) -> str | None:
    """A value, read from the environment where LiteLLM would; an address is no secret."""
    if not isinstance(value, str):
        return None
    if value.startswith("os.environ/"):
        variable = value.removeprefix("os.environ/")
        return os.environ.get(variable, f"https://{variable.lower().replace('_', '-')}.invalid")
    return value


def _tell_unused(params: dict[str, Any], where: str, leave: Leave) -> None:
    for key in params:
        if key not in USED:
            advice = (
                "budgets belong to keys: keys.NAME.usd_per_day" if "budget" in key else "has no counterpart"
            )
            leave(f"{where}.litellm_params.{key}", advice)


def _count(number: int) -> str:
    """A count as people write it here."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= size and number % size == 0:
            return f"{number // size}{letter}"
    return str(number)
