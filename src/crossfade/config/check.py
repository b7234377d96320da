"""What a file means: names that lead somewhere, secrets that are set, regions that are allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from crossfade.config.check_auth import find_auth_problems
from crossfade.config.expand import SHORT_NAMES
from crossfade.config.features import Config, FeatureSection
from crossfade.config.load import Marks, Problem, place_of
from crossfade.config.regions import regions_of
from crossfade.config.schema import AWS_KINDS, DIALECTS_OF_KIND, ProviderSection
from crossfade.domain.snapshot import ProviderKind


@dataclass(slots=True)
class _Check:
    config: Config
    file: str
    marks: Marks
    secrets: bool = True
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def problem(self, path: tuple[str, ...], what: str, hint: str = "") -> None:
        self.problems.append(self._at(path, what, hint))

    def warn(self, path: tuple[str, ...], what: str, hint: str = "") -> None:
        self.warnings.append(self._at(path, what, hint))

    def _at(self, path: tuple[str, ...], what: str, hint: str) -> Problem:
        line, column = place_of(self.marks, path)
        return Problem(self.file, line, column, ".".join(path), what, hint)

    def known(
        self, path: tuple[str, ...], name: str, among: Iterable[str], what: str, also: Iterable[str] = ()
    ) -> bool:
        """Whether there is one. `also`: what else may have been meant."""
        names = list(among)
        if name in names:
            return True
        near = difflib.get_close_matches(name, [*names, *also], 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names) or 'none'}"
        self.problem(path, f"there is no {what} {name!r}", hint)
        return False


def check(
    config: Config, file: str, marks: Marks, *, secrets: bool = True
) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings, in the order of the file."""
    found = _Check(config, file, marks, secrets)
    for name, provider in config.providers.items():
        _check_provider(found, name, provider)
    _check_endpoints(found)
    for name, pool in config.pools.items():
        for i, endpoint in enumerate(pool.endpoints):
            found.known(("pools", name, "endpoints", str(i)), endpoint, config.endpoints, "endpoint")
    for name, feature in config.features.items():
        _check_feature(found, name, feature)
    for name, key in config.keys.items():
        for i, feature_name in enumerate(key.features):
            if feature_name != "*":
                found.known(("keys", name, "features", str(i)), feature_name, config.features, "feature")
    _check_listeners(found)
    order = {"key": lambda problem: (problem.line, problem.column)}
    return sorted(found.problems, **order), sorted(found.warnings, **order)  # type: ignore[call-overload]


def _check_provider(found: _Check, name: str, provider: ProviderSection) -> None:
    path = ("providers", name)
    kind = ProviderKind(provider.kind)
    for place, what, hint in find_auth_problems((*path, "auth"), provider, secrets=found.secrets):
        found.problem(place, what, hint)
    if kind is ProviderKind.OPENAI_COMPATIBLE and not provider.base_url:
        found.problem(path, "base_url is missing", "such as http://127.0.0.1:8000/v1")
    if kind is ProviderKind.AZURE_OPENAI and not provider.base_url:
        found.problem(path, "base_url is missing", "such as https://NAME.openai.azure.com")
    if kind is ProviderKind.VERTEX and not provider.project:
        found.problem(path, "project is missing", "project: my-project")
    if provider.base_url and not provider.base_url.startswith(("http://", "https://")):
        found.problem((*path, "base_url"), "must start with http:// or https://")


def _check_endpoints(found: _Check) -> None:
    providers = found.config.providers
    for name, endpoint in found.config.endpoints.items():
        path = ("endpoints", name)
        if not found.known((*path, "provider"), endpoint.provider, providers, "provider", SHORT_NAMES):
            continue
        kind = ProviderKind(providers[endpoint.provider].kind)
        if kind in AWS_KINDS and not endpoint.region:
            found.problem(path, f"an endpoint of kind {kind.value} needs a region", "region: us-east-1")
        if endpoint.dialect not in {None, *DIALECTS_OF_KIND[kind]}:
            hint = f"one of {', '.join(DIALECTS_OF_KIND[kind])}"
            found.problem((*path, "dialect"), f"kind {kind.value} does not speak {endpoint.dialect}", hint)
        if endpoint.capacity.class_ == "provisioned" and endpoint.capacity.units is None:
            found.warn((*path, "capacity"), "provisioned capacity without units", "units: 6 MU")


def _check_feature(found: _Check, name: str, feature: FeatureSection) -> None:
    path = ("features", name)
    pools = found.config.pools
    places: list[tuple[tuple[str, ...], str]]
    places = [((*path, "hierarchy", str(i)), target.pool) for i, target in enumerate(feature.hierarchy)]
    for number, rule in enumerate(feature.rules):
        of_rule = (*path, "rules", str(number), "hierarchy")
        places += [((*of_rule, str(i)), target.pool) for i, target in enumerate(rule.hierarchy)]
    if feature.experiment is not None:
        arms = feature.experiment.arms.items()
        places += [((*path, "experiment", "arms", arm, "pool"), side.pool) for arm, side in arms if side.pool]
    endpoints: list[str] = []
    for place, pool in places:
        if found.known(place, pool, pools, "pool or endpoint"):
            endpoints += [e for e in pools[pool].endpoints if e in found.config.endpoints]
            _check_regions(found, place, feature, pools[pool].endpoints)
    if len(set(endpoints)) == 1:
        found.warn(
            path, "has no backup: when its only endpoint fails, callers see it", "add a second endpoint"
        )


def _check_regions(
    found: _Check, place: tuple[str, ...], feature: FeatureSection, names: tuple[str, ...]
) -> None:
    allowed = feature.policy.regions
    for name in names:
        endpoint = found.config.endpoints.get(name)
        if allowed is None or endpoint is None or endpoint.region is None:
            continue
        outside = sorted(set(regions_of(endpoint.model, endpoint.region)) - set(allowed))
        if outside:
            hint = "a cross-region profile is processed in every region it covers"
            found.problem(
                place, f"endpoint {name} can process in {', '.join(outside)}, outside policy.regions", hint
            )


def _check_listeners(found: _Check) -> None:
    config = found.config
    listeners = {
        ("gateway", "listen"): config.gateway.listen,
        ("gateway", "admin"): config.gateway.admin,
        ("control", "listen"): config.control.listen,
    }
    for path, address in listeners.items():
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            found.problem(path, f"{address!r} is not an address", "such as 127.0.0.1:4000")
        elif list(listeners.values()).count(address) > 1 and port != "0":
            found.problem(path, f"{address} is used twice", "give each listener its own port")
    if config.gateway.tls is not None and found.secrets:
        for part, path in config.gateway.tls.model_dump().items():
            if not Path(path).is_file():
                found.problem(
                    ("gateway", "tls", part), f"there is no file {path}", "a PEM file, such as tls.crt"
                )
    loopback = config.gateway.listen.startswith(("127.", "localhost:", "[::1]"))
    if not config.keys and not loopback:
        hint = "crossfade key create, or listen on 127.0.0.1"
        found.problem(("gateway", "listen"), "without keys only loopback is served", hint)
