"""From files and options to a plan: every mistake in them is told here, before virtual time begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from crossfade.config.features import Config
from crossfade.control.ledger.prices import PriceBook
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.sim.config import FIT_OF, CloudsConfig
from crossfade.sim.load.latency import FITS, LatencyFit
from crossfade.sim.rehearsal.clouds.incident import Incident
from crossfade.sim.rehearsal.clouds.law import ERRORS, Clouds, EndpointLaw
from crossfade.sim.rehearsal.run import EPOCH_UNIX_S, People, Plan, Planned
from crossfade.sim.rehearsal.traffic.arrivals import demand_of
from crossfade.sim.rehearsal.traffic.trace import Trace
from crossfade.sim.rehearsal.world.rows import Reading


class RehearsalError(ValueError):
    """The files do not fit together; the message says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for."""

    trace: Trace
    days: float
    requests: int
    seed: int
    people: People
    faults: tuple[Planned, ...] = ()
    clouds: CloudsConfig | None = None
    ends_with_faults: bool = False


def plan_of(config: Config, spec: MigrationSpec, wanted: Wanted) -> Plan:
    """A plan that can run.

    Raises:
        RehearsalError: if config, migration and options do not fit together.
    """
    spec = replace(spec, rollout=replace(spec.rollout, metrics=()))  # nobody buys anything in a rehearsal
    for pool in (spec.incumbent, spec.candidate):
        if pool not in config.pools:
            raise RehearsalError(f"pool {pool!r} is not in the config (hint: define it under pools)")
    for feature in spec.features:
        if feature not in config.features:
            raise RehearsalError(f"feature {feature!r} is not in the config (hint: define it under features)")
        if spec.incumbent not in [target.pool for target in config.features[feature].hierarchy]:
            raise RehearsalError(
                f"{feature!r} is not served by {spec.incumbent!r} (hint: name a pool of its hierarchy)"
            )
    for planned in wanted.faults:
        if planned.share not in spec.rollout.stages:
            stages = ", ".join(f"{share:.0%}" for share in spec.rollout.stages)
            raise RehearsalError(f"--at {planned.share:.0%} is no stage of the migration (hint: {stages})")
    shared = set(config.pools[spec.incumbent].endpoints) & set(config.pools[spec.candidate].endpoints)
    if wanted.faults and shared:
        raise RehearsalError(
            f"{', '.join(sorted(shared))} serves both sides, so no fault can hit the candidate alone "
            "(hint: rehearse without --incident, or with a config in which the pools differ)"
        )
    clouds = Clouds(_laws(config, spec, wanted.clouds), wanted.seed)
    per_unit = spec.rollout.requests_per_unit
    prices = price_of(config)
    names = clouds.names
    reading = Reading(
        features=spec.features,
        migration=spec.name,
        guards=spec.rollout.guards,
        capture={feature: config.features[feature].content.capture for feature in spec.features},
        price=lambda place, given, answered: prices(names[place], given, answered),
        epoch_unix_s=EPOCH_UNIX_S,
        incumbents=tuple(names.index(name) for name in config.pools[spec.incumbent].endpoints),
        candidates=tuple(names.index(name) for name in config.pools[spec.candidate].endpoints),
    )
    demand = demand_of(wanted.trace, wanted.days, wanted.requests, per_unit, wanted.seed)
    if not demand.requests >= 1.0:
        hint = "more --days, or another --column" if wanted.trace.requests else "choose another --column"
        raise RehearsalError(f"{wanted.trace.source} has no requests in {wanted.days:g} days (hint: {hint})")
    return Plan(config, spec, clouds, demand, wanted.faults, wanted.people, reading, wanted.ends_with_faults)


def planned_of(incident: Incident, shares: tuple[float, ...], sides: tuple[str, ...]) -> tuple[Planned, ...]:
    """The incident at each share and side, lower shares first."""
    return tuple(Planned(incident, share, side == "both") for side in sides for share in sorted(shares))


def price_of(config: Config) -> Callable[[str, int, int], float | None]:
    """USD of tokens at an endpoint; null if unpriced, or bought by the hour."""
    book = PriceBook(Path(config.prices.contract) if config.prices.contract else None)
    known = {
        name: None
        if endpoint.capacity.class_ == "provisioned"
        else book.tokens(name, endpoint.model, config.providers[endpoint.provider].kind)
        for name, endpoint in config.endpoints.items()
    }

    def price(endpoint: str, given: int, answered: int) -> float | None:
        found = known[endpoint]
        usage = {"input_uncached": given, "output": answered, "cache_read": 0, "cache_write": 0}
        return None if found is None else found.charge(usage)

    return price


def _laws(config: Config, spec: MigrationSpec, clouds: CloudsConfig | None) -> Mapping[str, EndpointLaw]:
    """The incumbent's provider's law for every endpoint, or what the clouds file says of its model."""
    first = config.endpoints[config.pools[spec.incumbent].endpoints[0]]
    usual = FITS[FIT_OF.get(config.providers[first.provider].kind, "openai")]
    said: dict[str, LatencyFit] = {}
    for model in clouds.models if clouds is not None else ():
        fit = FITS[FIT_OF[model.cloud]]
        own = model.latency
        said[model.id] = fit if own is None else LatencyFit(own.first_ms, own.per_token_ms, own.sigma, 0)
    return {
        name: EndpointLaw(
            said.get(endpoint.model, usual),
            ERRORS,
            config.providers[endpoint.provider].kind,
            endpoint.capacity.class_,
        )
        for name, endpoint in config.endpoints.items()
    }
