"""The real parts in the shapes of `ports`: gateways' counters, the running config, the state folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crossfade.config.features import Config
from crossfade.control.evidence.store import EvidenceStore
from crossfade.control.migration.guard.incident import ordinary_of
from crossfade.control.migration.guard.samples import Sample, SampleBoard
from crossfade.control.migration.metrics.judging import JUDGE
from crossfade.control.migration.ports import Candidate, Clock
from crossfade.control.publish import Publisher
from crossfade.control.records.counters import CounterBoard
from crossfade.control.records.store import RecordStore
from crossfade.control.store.durable import replace_file
from crossfade.control.store.journal import Journal
from crossfade.domain.attempt import ArmCount
from crossfade.domain.evidence import Evidence, SignedEvidence
from crossfade.domain.migration import ArmHealth, Frozen, GatewayView
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.domain.route import Target

BURN_OVER_S = 300.0
BURN_LEAST = 200  # requests: of fewer, one error is already half a per cent
VERIFIED_EVERY_S = 60.0
FORGOTTEN_S = 120.0  # while others report, a gateway silent for longer was taken away, not lost


@dataclass(frozen=True, slots=True)
class BoardCounters:
    """`ports.CountersPort` over the counter board, the records and what they say to the guards."""

    board: CounterBoard
    clock: Clock
    records: RecordStore
    board_of_samples: SampleBoard

    def views(self, features: tuple[str, ...]) -> tuple[GatewayView, ...]:
        """See `CountersPort`."""
        views = [
            GatewayView(
                name=state.name,
                silent_s=self.board.silent_s(state),
                effects=tuple([state.effects[feature] for feature in features if feature in state.effects]),
            )
            for state in self.board.gateways()
        ]
        known = [view for view in views if view.silent_s <= FORGOTTEN_S]
        return tuple(known or views)

    def since(self, migration: str, cursor: int) -> tuple[int, list[ArmCount]]:
        """See `CountersPort`."""
        return self.board.since(migration, cursor)

    def samples(self, migration: str, cursor: int) -> tuple[int, list[Sample]]:
        """See `CountersPort`."""
        return self.board_of_samples.since(migration, cursor)

    def failures(self, features: tuple[str, ...]) -> int:
        """See `CountersPort`."""
        return sum(self.board.failures(name) + self.board_of_samples.failures(name) for name in features)

    def incident(self, features: tuple[str, ...], errors_at_most: float) -> str | None:
        """See `CountersPort`: an error budget that burns."""
        for feature in features:
            requests, errors = self.board.error_share(feature, BURN_OVER_S)
            if requests >= BURN_LEAST and errors > errors_at_most * requests:
                return f"{feature}: more than {errors_at_most:.1%} of its callers see errors"
        return None

    def health(self, features: tuple[str, ...], over_s: float) -> dict[str, tuple[ArmHealth, ArmHealth]]:
        """See `CountersPort`."""
        since = self.clock() - over_s
        return {feature: self.board_of_samples.health(feature, since) for feature in features}

    def is_well(self, features: tuple[str, ...], over_s: float) -> bool:
        """See `CountersPort`."""
        since = self.clock() - over_s
        return all(self.board_of_samples.is_well(feature, since) for feature in features)

    async def freeze(self, features: tuple[str, ...]) -> Frozen | None:
        """See `CountersPort`."""
        frozen = self.board_of_samples.freeze(features)
        if frozen is None:
            return None
        healths = self.health(features, BURN_OVER_S)
        peak = await asyncio.to_thread(self.records.busiest_quarter, features)
        ordinary = {feature: ordinary_of(healths[feature][1]) for feature in features}
        return replace(frozen, peak_per_s=peak, ordinary=ordinary)


@dataclass(frozen=True, slots=True)
class ConfigCandidate:
    """`ports.CandidatePort` over the config that serves now.

    `fingerprint_of(config, target, features)`: of every endpoint of its pool, as these features see it.
    """

    publisher: Publisher
    fingerprint_of: Callable[[Config, Target, tuple[str, ...]], str]
    found: dict[str, tuple[Config, MigrationSpec, Candidate]] = field(default_factory=dict)

    async def look(self, spec: MigrationSpec) -> Candidate:
        """See `CandidatePort`. A config never changes, it is replaced: what it said once it says still."""
        config = self.publisher.config
        known = self.found.get(spec.name)
        if known is not None and known[0] is config and known[1] is spec:
            return known[2]
        candidate = self._look(config, spec)
        self.found[spec.name] = (config, spec, candidate)
        return candidate

    def _look(self, config: Config, spec: MigrationSpec) -> Candidate:
        for pool in (spec.incumbent, spec.candidate):
            if pool not in config.pools:
                raise LookupError(f"pool {pool!r} is not in the config (hint: define it under pools)")
        for feature in spec.features:
            if feature not in config.features:
                raise LookupError(
                    f"feature {feature!r} is not in the config (hint: define it under features)"
                )
            if spec.incumbent not in [target.pool for target in config.features[feature].hierarchy]:
                raise LookupError(
                    f"{feature!r} is not served by {spec.incumbent!r} "
                    "(hint: the incumbent is a pool of the feature's hierarchy)"
                )
        return Candidate(
            endpoints=config.pools[spec.candidate].endpoints,
            fingerprint=self.fingerprint_of(config, spec.target, spec.features),
            required_roles=_roles(config, spec.features),
            purchased_units=_units(config, spec.candidate),
            serves_already=_served_already(config, spec),
            lacks=_lacks(config, spec),
            attesting_roles=_attesting(config, spec.features),
        )


def _lacks(config: Config, spec: MigrationSpec) -> tuple[str, ...]:
    """What shall measure and could not: a metric without a source, a judge that is nobody or sees nothing."""
    found = [
        f"the config has no metric {metric.name} (hint: define it under control.metrics)"
        for metric in spec.rollout.metrics
        if metric.name not in config.control.metrics
    ]
    found += [
        f"the judge {name} is no feature in the config (hint: define it under features)"
        for name in spec.quality.judges
        if name not in config.features
    ]
    found += [
        f"the judge {name} is one of the features that move, so it would judge itself (hint: name another)"
        for name in spec.quality.judges
        if name in spec.features
    ]
    if JUDGE in spec.rollout.guards:
        found += [
            f"no answer of {feature} is captured, so none can be judged (hint: content: {{capture: 5%}})"
            for feature in spec.features
            if not config.features[feature].content.capture
        ]
    return tuple(found)


def _served_already(config: Config, spec: MigrationSpec) -> tuple[str, ...]:
    """Features whose incumbent is the candidate by another name: the same endpoints and parameters."""
    old, new = (frozenset(config.pools[pool].endpoints) for pool in (spec.incumbent, spec.candidate))
    return tuple(
        feature
        for feature in spec.features
        for target in config.features[feature].hierarchy
        if target.pool == spec.incumbent and old == new and target.set == spec.parameters
    )


def _roles(config: Config, features: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(role for feature in features for role in config.features[feature].policy.signoffs)
    )


def _attesting(config: Config, features: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(role for name in features for role in config.features[name].policy.attest))


def _units(config: Config, pool: str) -> float | None:
    """Units bought over the pool's provisioned endpoints; null if it has none."""
    units = [config.endpoints[name].capacity.units for name in config.pools[pool].endpoints]
    bought = [unit[0] for unit in units if unit is not None]
    return float(sum(bought)) if bought else None


@dataclass(slots=True)
class LookedUp:
    """`ports.EvidencePort` over the store: read and verified anew after a new line, and every minute.

    So often a row that was changed is noticed; twice a second for twenty migrations would cost more than
    all else the controller does.
    """

    store: EvidenceStore
    journal: Journal
    steady: Clock
    found: dict[str, tuple[int, float, tuple[SignedEvidence, ...]]] = field(default_factory=dict)

    async def add(self, evidence: Evidence, artefact: bytes | None = None) -> SignedEvidence:
        """See `EvidenceStore.add`; the next look sees it."""
        try:
            return await self.store.add(evidence, artefact)
        finally:
            self.journal.forget_freshness()

    async def of(self, migration: str, *, anew: bool = False) -> tuple[SignedEvidence, ...]:
        """See `EvidencePort`."""
        count, now = len(await self.journal.read(f"evidence/{migration}")), self.steady()
        known = self.found.get(migration)
        if anew or known is None or known[0] != count or now >= known[1] + VERIFIED_EVERY_S:
            known = (count, now, await self.store.of(migration))
            self.found[migration] = known
        return known[2]

    async def proofs(self, migration: str) -> dict[str, Any]:
        """See `EvidencePort`."""
        return await self.store.proofs(migration)


@dataclass(frozen=True, slots=True)
class FolderBundles:
    """`ports.BundlePort` below one folder."""

    root: Path

    async def write(self, migration: str, files: dict[str, str]) -> dict[str, str]:
        """See `BundlePort`. Each file appears whole or not at all."""
        return await asyncio.to_thread(self._write, migration, files)

    def _write(self, migration: str, files: dict[str, str]) -> dict[str, str]:
        folder = self.root / migration
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in files.items():
            replace_file(folder / name, text.encode())
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
