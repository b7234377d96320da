"""A config as a snapshot: complete, explicit, nothing left to default in the engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from types import MappingProxyType

from crossfade.config.catalogue.capabilities import capabilities_of
from crossfade.config.catalogue.counting import counting_of
from crossfade.config.features import (
    Config,
    ExperimentSection,
    FeatureSection,
    RuleSection,
    SpanSection,
    TargetSection,
)
from crossfade.config.schema import (
    AWS_KINDS,
    DIALECTS_OF_KIND,
    KEYED_KINDS,
    AuthSection,
    CapacitySection,
    EndpointSection,
    KeySection,
    PerUnitSection,
    PoolSection,
    ProviderSection,
    cloud_of,
)
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.policy import Attempts, Deadlines
from crossfade.domain.route import Choose, Pool, Price, Rule, Shape, Signal, Span, Target
from crossfade.domain.snapshot import (
    FORMAT,
    Arm,
    Auth,
    AuthScheme,
    Capabilities,
    Capacity,
    CapacityClass,
    Dialect,
    Edge,
    Endpoint,
    Experiment,
    Feature,
    Hold,
    Key,
    Provider,
    ProviderKind,
    RequestClass,
    Rescue,
    Snapshot,
)

_NO_OVERLAY = FeatureOverlay(rollout=None, shadow=None, extra_eligible=())


@dataclass(frozen=True, slots=True)
class CredentialNeed:
    """A credential the gateways need: for which provider, where it comes from, and whose token it is."""

    name: str
    scheme: AuthScheme
    auth: AuthSection
    cloud: str | None = None


def compile_snapshot(
    config: Config,
    *,
    version: int,
    issued_unix_s: int,
    keys: tuple[Key, ...],
    overlays: Mapping[str, FeatureOverlay],
    prices: Mapping[str, Price] = MappingProxyType({}),
) -> Snapshot:
    """Compile a config that checks. `keys` are added to the configured ones (control's own).

    `prices`: of tokens by endpoint, for those who choose or limit by them.

    An endpoint is eligible for a feature if the feature's own hierarchy, rules or experiment name it, or
    an overlay (a migration whose compliance gate has passed) says so.
    """
    return Snapshot(
        format=FORMAT,
        version=version,
        issued_unix_s=issued_unix_s,
        edge=Edge(
            open_access=not config.keys,
            body_bytes=config.gateway.body_limit,
            header_bytes=config.gateway.header_limit,
            receive_ms=_ms(config.gateway.receive),
            send_ms=_ms(config.gateway.send),
            json_depth=config.gateway.json_depth,
            json_values=config.gateway.json_values,
            answer_bytes=config.gateway.answer_limit,
            bodies_bytes=config.gateway.bodies_held,
            answers_bytes=config.gateway.answers_held,
            drain_ms=_ms(config.gateway.drain),
        ),
        keys=(*(_key(section) for section in config.keys.values()), *keys),
        providers={name: _provider(name, provider) for name, provider in config.providers.items()},
        endpoints={
            name: _endpoint(config, endpoint, prices.get(name)) for name, endpoint in config.endpoints.items()
        },
        pools={name: _pool(pool) for name, pool in config.pools.items()},
        features={
            name: _feature(config, feature, overlays.get(name, _NO_OVERLAY))
            for name, feature in config.features.items()
        },
    )


def lay_signals(snapshot: Snapshot, signals: Mapping[str, tuple[Signal, ...]]) -> Snapshot:
    """The snapshot with these signals, by feature; those about endpoints that are gone are left out."""
    features = {
        name: replace(
            feature, signals=tuple(one for one in signals.get(name, ()) if one.endpoint in snapshot.endpoints)
        )
        for name, feature in snapshot.features.items()
    }
    return replace(snapshot, features=features)


def credential_plan(config: Config) -> tuple[CredentialNeed, ...]:
    """What the credentials broker must provide, one entry a provider that authenticates."""
    needs = ((name, provider, _scheme(provider)) for name, provider in config.providers.items())
    return tuple(
        CredentialNeed(name, scheme, provider.auth, cloud_of(provider))
        for name, provider, scheme in needs
        if scheme is not AuthScheme.NONE
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _key(section: KeySection) -> Key:
    _, key_id, digest = section.hash.split("_")
    return Key(
        id=key_id,
        hmac=digest,
        features=section.features,
        measure=False,
        rpm=section.rpm,
        tpm=section.tpm,
        usd_per_day=section.usd_per_day,
    )


def _scheme(provider: ProviderSection) -> AuthScheme:
    if provider.auth.method == "none":
        return AuthScheme.NONE
    kind = ProviderKind(provider.kind)
    if kind in AWS_KINDS:
        return AuthScheme.SIGV4
    keyed = kind in KEYED_KINDS and provider.auth.method == "api-key"
    return AuthScheme.API_KEY if keyed else AuthScheme.BEARER


def _provider(name: str, provider: ProviderSection) -> Provider:
    scheme = _scheme(provider)
    auth = Auth(scheme=scheme, credential=None if scheme is AuthScheme.NONE else name)
    return Provider(
        kind=ProviderKind(provider.kind), base_url=provider.base_url, project=provider.project, auth=auth
    )


def _dialect(kind: ProviderKind, model: str) -> Dialect:
    """A kind's usual dialect; partner models of Vertex keep their own."""
    if kind is ProviderKind.VERTEX and model.startswith("claude"):
        return Dialect.ANTHROPIC_MESSAGES
    if kind is ProviderKind.VERTEX and "/" in model:
        return Dialect.OPENAI_CHAT
    return DIALECTS_OF_KIND[kind][0]


# These count what was written; the others book `max_tokens` when a call begins and settle when it ends.
SETTLES_ONLY = frozenset({ProviderKind.ANTHROPIC, ProviderKind.SAGEMAKER, ProviderKind.OPENAI_COMPATIBLE})


def _capacity(kind: ProviderKind, section: CapacitySection) -> Capacity:
    units, unit = section.units or (None, None)
    each = section.per_unit or PerUnitSection()
    return Capacity(
        capacity_class=CapacityClass(section.class_),
        units=units,
        unit=unit,
        tokens_per_minute=section.tokens_per_minute(),
        input_tpm=section.of_all_units(each.input_tpm),
        output_tpm=section.of_all_units(each.output_tpm),
        rpm=section.rpm,
        concurrent=section.of_all_units(each.concurrent),
        books_max_output=kind not in SETTLES_ONLY,
        window_s=section.window,
        spill_at=section.spill_at,
        spill_back=section.spill_back,
        headroom=section.headroom,
        shadow_at_most=section.shadow_at_most,
        margin_z=round(NormalDist().inv_cdf(1 - section.overflow_risk), 4),
        ceiling_cut=section.ceiling_cut,
        burst_cut=section.burst_cut,
        cut_every_s=section.cut_every,
        ceiling_back_per_s=section.ceiling_back / 60,
    )


def _pool(pool: PoolSection) -> Pool:
    return Pool(
        endpoints=pool.endpoints,
        choose=Choose(pool.choose),
        explore=pool.explore,
        penalty_ms=pool.penalty * 1000,
        memory_s=pool.memory,
        load_bound=pool.load_bound,
        busy_at=pool.busy_at,
        compared=pool.compared,
    )


def _endpoint(config: Config, endpoint: EndpointSection, price: Price | None) -> Endpoint:
    kind = ProviderKind(config.providers[endpoint.provider].kind)
    dialect = Dialect(endpoint.dialect) if endpoint.dialect else _dialect(kind, endpoint.model)
    return Endpoint(
        provider=endpoint.provider,
        region=endpoint.region,
        model=endpoint.model,
        dialect=dialect,
        counting=counting_of(endpoint.model),
        takes=_takes(endpoint, dialect),
        capacity=_capacity(kind, endpoint.capacity),
        weight=endpoint.weight,
        price=price,
        breaker=endpoint.breaker.policy(),
    )


def _takes(endpoint: EndpointSection, dialect: Dialect) -> Capabilities:
    """The model's own profile in this dialect, with what the config says of this endpoint over it."""
    said = endpoint.capabilities.model_dump(exclude_none=True, by_alias=True)
    return replace(capabilities_of(endpoint.model, dialect), **said)


def _target(section: TargetSection) -> Target:
    return Target(pool=section.pool, set=dict(section.set))


def _rule(section: RuleSection) -> Rule:
    when = section.when
    shape = Shape(
        input_tokens=_span(when.input_tokens),
        output_tokens=_span(when.output_tokens),
        tools=when.tools,
        media=when.media,
        stream=when.stream,
    )
    return Rule(when=shape, hierarchy=tuple(_target(target) for target in section.hierarchy))


def _span(section: SpanSection | None) -> Span | None:
    return None if section is None else Span(at_least=section.at_least, at_most=section.at_most)


def _pushback_wait(feature: FeatureSection) -> float:
    """Seconds that a full endpoint is waited for: who is urgent goes to another model at once."""
    if feature.limits.pushback_wait is not None:
        return feature.limits.pushback_wait
    return {"interactive": 0.05, "standard": 2.5, "batch": feature.deadline / 2}[feature.class_]


def _feature(config: Config, feature: FeatureSection, overlay: FeatureOverlay) -> Feature:
    limits = feature.limits
    rules = tuple(_rule(section) for section in feature.rules)
    own = [target.pool for target in feature.hierarchy]
    own += [target.pool for rule in rules for target in rule.hierarchy]
    if feature.experiment is not None:
        own += [arm.pool for arm in feature.experiment.arms.values() if arm.pool]
    eligible = dict.fromkeys(endpoint for pool in own for endpoint in config.pools[pool].endpoints)
    return Feature(
        request_class=RequestClass(feature.class_),
        weight=feature.weight,
        hierarchy=tuple(_target(target) for target in feature.hierarchy),
        rules=rules,
        eligible=tuple(dict.fromkeys((*eligible, *overlay.extra_eligible))),
        deadlines=Deadlines(
            connect_ms=_ms(limits.connect),
            header_ms=_ms(limits.header),
            first_content_ms=_ms(limits.ttft),
            first_content_floor_ms=min(_ms(limits.ttft_floor), _ms(limits.ttft)),
            first_content_factor=limits.ttft_factor,
            baseline_answers=limits.baseline,
            liveness_ms=_ms(limits.liveness),
            progress_ms=_ms(limits.progress),
            ping_progress_ms=_ms(limits.ping_progress),
            total_ms=_ms(feature.deadline),
        ),
        attempts=Attempts(
            max_attempts=limits.attempts,
            same_endpoint_retries=limits.same_endpoint_retries,
            retry_within_ms=_ms(limits.retry_within),
            retry_ratio=limits.retry_ratio,
            retry_reserve_per_s=limits.retry_reserve,
            retry_ttl_s=limits.retry_ttl,
            pushback_wait_ms=_ms(_pushback_wait(feature)),
            trickle_per_s=limits.trickle,
            trickle_share=limits.trickle_share,
        ),
        hold=Hold(feature.streams.hold),
        rescue=tuple(Rescue(way) for way in feature.streams.rescue),
        capture_share=feature.content.capture,
        signals=(),
        experiment=_experiment(feature.experiment),
        rollout=overlay.rollout,
        shadow=overlay.shadow,
    )


def _experiment(section: ExperimentSection | None) -> Experiment | None:
    if section is None:
        return None
    until = None
    if section.until is not None:
        midnight = dt.datetime.combine(section.until + dt.timedelta(days=1), dt.time(), dt.UTC)
        until = int(midnight.timestamp())
    arms = tuple(
        Arm(name=name, share=arm.share, target=Target(pool=arm.pool, set=dict(arm.set)) if arm.pool else None)
        for name, arm in section.arms.items()
    )
    return Experiment(name=section.name, salt=f"experiment/{section.name}", arms=arms, until_unix_s=until)
