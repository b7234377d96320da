"""A LiteLLM proxy config as ours.

What a name in `model_list` serves becomes a feature of that name, so that callers change nothing but the
address. Whatever has no counterpart, or one that does not exist yet, is listed and never silently lost:
our own schema is asked, so the list is right in every version.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from crossfade.config.importers.litellm_models import Model, read_model
from crossfade.config.load import ConfigError, load_text

# settings that need no counterpart, because this is how the gateway always works
ALWAYS_SO = ("drop_params", "set_verbose", "json_logs", "telemetry", "enable_pre_call_checks")
_NO_LIST = "there is no model_list (hint: the file that `litellm --config` takes)"
_ROUTING = {
    "simple-shuffle": "weighted",
    "latency-based-routing": "fastest",
    "cost-based-routing": "cheapest",
}


@dataclass(frozen=True, slots=True)
class Left:
    """Something that was not carried over: where it stood, and what to do about it."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The config that was made, and what is not in it. An empty document: nothing could be used."""

    document: dict[str, Any]
    left: tuple[Left, ...]

    @property
    def text(self) -> str:
        """The config as YAML."""
        return yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True)


@dataclass(slots=True)
class _Import:
    source: dict[str, Any]
    left: list[Left] = field(default_factory=list)
    providers: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, Any] = field(default_factory=dict)
    pools: dict[str, Any] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)

    def leave(self, where: str, what: str) -> None:
        self.left.append(Left(where, what))

    def section(self, name: str) -> dict[str, Any]:
        found = self.source.get(name) or {}
        return found if isinstance(found, dict) else {}


def import_litellm(text: str) -> Imported:
    """Translate a LiteLLM proxy config.

    Raises:
        ValueError: it is not YAML, or holds no `model_list`.
    """
    try:
        source = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from None
    if not isinstance(source, dict) or not isinstance(source.get("model_list"), list):
        raise ValueError(_NO_LIST)  # noqa: TRY004 - what is wrong is the content of a file
    work = _Import(source)
    groups: dict[str, list[Model]] = {}
    for place, entry in enumerate(source["model_list"]):
        model = read_model(entry, f"model_list[{place}]", work.leave)
        if model is not None:
            groups.setdefault(model.name, []).append(model)
    for name, models in groups.items():
        _add_group(work, name, models)
    _add_hierarchies(work, groups)
    _tell_the_rest(work)
    document = {
        key: value
        for key, value in {
            "providers": work.providers,
            "endpoints": work.endpoints,
            "pools": work.pools,
            "features": work.features,
        }.items()
        if value
    }
    return Imported(_ask_the_schema(document, work), tuple(dict.fromkeys(work.left)))


def _add_group(work: _Import, name: str, models: list[Model]) -> None:
    names = [name] if len(models) == 1 else [f"{name}-{n}" for n in range(1, len(models) + 1)]
    for endpoint, model in zip(names, models, strict=True):
        work.endpoints[endpoint] = {"provider": _provider(work, model), **model.endpoint}
    if len(models) > 1:
        ordered = sorted(zip(models, names, strict=True), key=lambda pair: pair[0].order)
        pool: dict[str, Any] = {"endpoints": [endpoint for _, endpoint in ordered]}
        if len({model.order for model in models}) == 1:
            pool["choose"] = _choose(work)
        work.pools[name] = pool


def _choose(work: _Import) -> str:
    strategy = work.section("router_settings").get("routing_strategy", "simple-shuffle")
    if strategy not in _ROUTING:
        work.leave("router_settings.routing_strategy", f"{strategy} has no counterpart; weighted is used")
    return _ROUTING.get(strategy, "weighted")


def _provider(work: _Import, model: Model) -> str:
    for name, known in work.providers.items():
        if known == model.provider:
            return name
    taken = sum(1 for name in work.providers if name.partition("#")[0].startswith(model.provider_name))
    name = model.provider_name if not taken else f"{model.provider_name}-{taken + 1}"
    work.providers[name] = model.provider
    return name


def _add_hierarchies(work: _Import, groups: dict[str, list[Model]]) -> None:
    fallbacks = dict(_pairs(work, "fallbacks"))
    defaults = work.section("litellm_settings").get("default_fallbacks") or []
    aliases = work.section("router_settings").get("model_group_alias") or {}
    for name, models in groups.items():
        backups = [*fallbacks.get(name, []), *defaults]
        hierarchy = [name]
        for backup in backups:
            known = aliases.get(backup, backup)
            if known not in groups:
                work.leave("fallbacks", f"{name} falls back to {backup}, which is in no model_list")
            elif known not in hierarchy:
                hierarchy.append(known)
        feature: dict[str, Any] = {"hierarchy": [_target(target, groups) for target in hierarchy]}
        work.features[name] = {**feature, **_limits(work, models)}
    for alias, target in aliases.items():
        wanted = target.get("model") if isinstance(target, dict) else target
        if wanted in work.features:
            work.features[alias] = copy.deepcopy(work.features[wanted])
        else:
            work.leave(f"router_settings.model_group_alias.{alias}", f"there is no model {wanted}")


def _target(pool: str, groups: dict[str, list[Model]]) -> Any:
    overrides = [model.overrides for model in groups[pool]]
    return (
        {"pool": pool, "set": overrides[0]}
        if overrides[0] and all(o == overrides[0] for o in overrides)
        else pool
    )


def _limits(work: _Import, models: list[Model]) -> dict[str, Any]:
    router, settings = work.section("router_settings"), work.section("litellm_settings")
    retries = router.get("num_retries", settings.get("num_retries"))
    timeout = models[0].timeout_s or router.get("timeout") or settings.get("request_timeout")
    made: dict[str, Any] = {}
    if isinstance(timeout, int | float) and timeout > 0:
        made["deadline"] = f"{timeout:g}s"
    if isinstance(retries, int) and retries >= 0:
        made["limits"] = {"attempts": min(10, retries + 1)}
    return made


def _pairs(work: _Import, key: str) -> Iterator[tuple[str, list[str]]]:
    for section in ("litellm_settings", "router_settings"):
        for entry in work.section(section).get(key) or []:
            if isinstance(entry, dict):
                yield from ((name, list(backups)) for name, backups in entry.items())


def _tell_the_rest(work: _Import) -> None:
    """Every setting that was not used above, with what stands in for it here."""
    used = {
        "litellm_settings": {"fallbacks", "default_fallbacks", "num_retries", "request_timeout", *ALWAYS_SO},
        "router_settings": {
            "fallbacks",
            "num_retries",
            "timeout",
            "routing_strategy",
            "model_group_alias",
            *ALWAYS_SO,
        },
        "general_settings": set(ALWAYS_SO),
    }
    for section, known in used.items():
        for key in work.section(section):
            if key not in known:
                work.leave(f"{section}.{key}", _ADVICE.get(key, "has no counterpart"))
    for section in work.source:
        if section not in {"model_list", *used}:
            work.leave(section, _ADVICE.get(section, "has no counterpart"))


_ADVICE = {
    "master_key": "keys are made with `crossfade key create`; only their hashes are in the config",
    "database_url": "control keeps its own state: control.state takes a database URL",
    "context_window_fallbacks": "not needed: what is too long for a model goes to a larger one",
    "content_policy_fallbacks": "left out on purpose: a refusal is not shopped around",
    "allowed_fails": "breakers open on evidence, not on a count: endpoints.NAME.breaker",
    "cooldown_time": "breakers come back on evidence, not after a time: endpoints.NAME.breaker",
    "redis_host": "state shared by gateways: shared.valkey",
    "redis_port": "state shared by gateways: shared.valkey",
    "redis_password": "state shared by gateways: shared.valkey",
    "redis_url": "state shared by gateways: shared.valkey",
    "cache": "answers are never cached",
    "cache_params": "answers are never cached",
    "max_budget": "budgets belong to keys: keys.NAME.usd_per_day",
    "budget_duration": "budgets belong to keys: keys.NAME.usd_per_day",
    "provider_budget_config": "budgets belong to keys: keys.NAME.usd_per_day",
    "success_callback": "attempt records are always kept: `crossfade records export`",
    "failure_callback": "attempt records are always kept: `crossfade records export`",
    "callbacks": "attempt records are always kept: `crossfade records export`",
    "environment_variables": "secrets stay in the environment; set the variables before `crossfade up`",
}


def _ask_the_schema(document: dict[str, Any], work: _Import) -> dict[str, Any]:
    """Take out what our own check refuses, one round of problems after another, and say so."""
    while document.get("endpoints"):
        try:
            load_text(yaml.safe_dump(document, sort_keys=False), "imported", secrets=False)
        except ConfigError as error:
            for problem in error.problems:
                hint = f" (hint: {problem.hint})" if problem.hint else ""
                work.leave(problem.path, problem.what + hint)
                _remove(document, problem.path, work)
        else:
            return document
    return {}


def _remove(document: dict[str, Any], path: str, work: _Import) -> None:
    """Take out the smallest thing that a problem's path names; names may hold dots."""
    section, _, rest = path.partition(".")
    holder = document.get(section, {})
    name = max(
        (known for known in holder if rest == known or rest.startswith(f"{known}.")), key=len, default=None
    )
    if name is None:
        document.clear()
        return
    inner = rest[len(name) + 1 :].split(".")
    optional = inner[0] in holder[name] and inner[0] not in {
        "kind",
        "auth",
        "provider",
        "model",
        "hierarchy",
        "endpoints",
    }
    if section in {"pools", "features"} and inner[0] == "choose":
        holder[name]["choose"] = "in-order"
    elif optional and inner[0] != "choose":
        del holder[name][inner[0]]
    else:
        del holder[name]
        _drop_loose_ends(document, work)


def _drop_loose_ends(document: dict[str, Any], work: _Import) -> None:
    """Endpoints without provider, pools without endpoints, hierarchies and features without targets."""
    providers, endpoints = document.get("providers", {}), document.get("endpoints", {})
    for name in [name for name, endpoint in endpoints.items() if endpoint["provider"] not in providers]:
        del endpoints[name]
    pools = document.get("pools", {})
    for name in list(pools):
        pools[name]["endpoints"] = [
            endpoint for endpoint in pools[name]["endpoints"] if endpoint in endpoints
        ]
        if not pools[name]["endpoints"]:
            del pools[name]
    features = document.get("features", {})
    for name in list(features):
        targets = features[name]["hierarchy"]
        kept = [t for t in targets if (t if isinstance(t, str) else t["pool"]) in {*pools, *endpoints}]
        features[name] = {**features[name], "hierarchy": kept}
        if not kept:
            del features[name]
            work.leave(f"features.{name}", "none of its models could be carried over")
    for section in [section for section, content in document.items() if not content]:
        del document[section]
