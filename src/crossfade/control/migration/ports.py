"""What the controller needs of the rest of control, and no more.

The real parts fit these shapes (the adapters are in `adapters.py`), and so do in-memory ones, so
that a whole migration can be driven in a test without a gateway.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from crossfade.control.migration.guard.samples import Sample
from crossfade.control.migration.history import Line
from crossfade.domain.attempt import ArmCount
from crossfade.domain.evidence import EvidenceKind, SignedEvidence
from crossfade.domain.migration import (
    ArmHealth,
    FlagBound,
    Frozen,
    GatewayView,
)
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.snapshot import Rollout

Report = Callable[[str], None]  # one line of progress, for people
Clock = Callable[[], float]  # Unix seconds
Pause = Callable[[float], Awaitable[None]]  # seconds


class LoggedLine(Line, Protocol):
    """A line that knows its place in the whole log."""

    @property
    def seq(self) -> int:
        """Number within the log."""
        ...

    @property
    def stream(self) -> str:
        """`migration/NAME`."""
        ...


class EventLogPort(Protocol):
    """The append-only log."""

    async def append(
        self,
        stream: str,
        kind: str,
        payload: dict[str, Any],
        *,
        actor: str,
        reason: str,
        expected_seq: int | None = None,
    ) -> Line:
        """Add a line; refuses with a conflict if the stream is not at `expected_seq`."""
        ...

    async def read(self, stream: str | None = None, after: int = 0) -> Sequence[LoggedLine]:
        """Lines in order, of one stream or of all, with `seq` > `after`."""
        ...

    async def acquire_lease(self, name: str, holder: str, ttl_s: float) -> bool:
        """Whether `holder` holds the lease for the next `ttl_s`."""
        ...


class Published(Protocol):
    """What came of a publication."""

    @property
    def version(self) -> int:
        """Snapshot version."""
        ...

    @property
    def missing(self) -> tuple[str, ...]:
        """Live gateways that did not acknowledge."""
        ...

    @property
    def verified(self) -> bool:
        """Every live gateway shows the wanted shares."""
        ...


class PublisherPort(Protocol):
    """Sends overlays down and waits until they took effect."""

    def overlays(self) -> Mapping[str, FeatureOverlay]:
        """What is laid over each feature now."""
        ...

    async def publish(
        self, change: dict[str, FeatureOverlay | None], *, actor: str, reason: str
    ) -> Published:
        """Lay these over (null takes away) and wait, bounded, for every live gateway."""
        ...


class CountersPort(Protocol):
    """Live counters of the gateways."""

    def views(self, features: tuple[str, ...]) -> tuple[GatewayView, ...]:
        """The gateways that are or lately were there, with their effects on these features."""
        ...

    def since(self, migration: str, cursor: int) -> tuple[int, Sequence[ArmCount]]:
        """Counts of its arms that came after `cursor`, and the new cursor. -1 = from now on."""
        ...

    def samples(self, migration: str, cursor: int) -> tuple[int, Sequence[Sample]]:
        """Single requests' numbers that came after `cursor`, and the new cursor. -1 = from now on."""
        ...

    def failures(self, features: tuple[str, ...]) -> int:
        """Bad events of any kind so far; what has not moved wants no hurry."""
        ...

    def incident(self, features: tuple[str, ...], errors_at_most: float) -> str | None:
        """Why no share may be raised now although the candidate is not to blame."""
        ...

    def health(self, features: tuple[str, ...], over_s: float) -> dict[str, tuple[ArmHealth, ArmHealth]]:
        """How candidate and incumbent served each feature in the last seconds, five minutes at most."""
        ...

    def is_well(self, features: tuple[str, ...], over_s: float) -> bool:
        """Whether nothing of that was bad on the incumbent's side; asked for more often than all of it."""
        ...

    async def freeze(self, features: tuple[str, ...]) -> Frozen | None:
        """What the incumbent does now; null while too little is known."""
        ...


class EvidencePort(Protocol):
    """Stored evidence, signatures verified on reading."""

    async def of(self, migration: str, *, anew: bool = False) -> tuple[SignedEvidence, ...]:
        """All records of a migration. `anew`: verified now, whatever was found lately."""
        ...

    async def proofs(self, migration: str) -> dict[str, Any]:
        """What somebody else needs to verify them: {keys: by signer, artefacts: by hash}."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the config says of a migration's candidate now.

    `serves_already`: features whose incumbent is the same pool with the same parameters. `lacks`:
    what the config lacks for what the migration wants to be guarded by.
    """

    endpoints: tuple[str, ...]
    fingerprint: str
    required_roles: tuple[str, ...]
    purchased_units: float | None
    serves_already: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    attesting_roles: tuple[str, ...] = ()


class CandidatePort(Protocol):
    """Looks the candidate up in the running config."""

    async def look(self, spec: MigrationSpec) -> Candidate:
        """Raises `LookupError` if pools or features are not in the config any more."""
        ...


@dataclass(frozen=True, slots=True)
class SignRequest:
    """A person's approval, or refusal, of a candidate as it is now."""

    spec: MigrationSpec
    role: str
    person: str
    statement: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Task:
    """One collection: what about, for which fingerprint, and where to tell progress."""

    spec: MigrationSpec
    kind: EvidenceKind
    subject: str
    fingerprint: str
    endpoints: tuple[str, ...]
    since_unix_s: float  # when the migration was last started or resumed
    salt: str
    epoch: int
    report: Report


class CollectorsPort(Protocol):
    """Makes evidence. A collection may take hours; cancelling it leaves nothing behind."""

    async def collect(self, task: Task) -> SignedEvidence:
        """Measure, sign and store one record. Raises `CollectError` when it could not measure."""
        ...


class CollectError(Exception):
    """A collection could not be made; the message says why and how to mend it."""


class PeoplePort(Protocol):
    """What people give: sign-offs and labels."""

    async def sign(self, request: SignRequest) -> SignedEvidence:
        """Sign a statement for a role and store it. Raises `CollectError` if it may not be signed."""
        ...

    async def waive(self, request: SignRequest) -> SignedEvidence:
        """Sign a waiver of the gate `request.role`. Raises `CollectError` if it may not be waived."""
        ...

    async def attest(self, request: SignRequest, facts: tuple[str, ...]) -> tuple[SignedEvidence, ...]:
        """Sign each of the posture's `facts` for a role. Raises `CollectError` for what needs none."""
        ...

    async def label_queue(self, spec: MigrationSpec) -> list[dict[str, Any]]:
        """Blind pairs waiting for a label: {id, prompt, answer_x, answer_y}."""
        ...

    async def label(self, spec: MigrationSpec, labels: list[dict[str, Any]], rater: str) -> int:
        """Take labels in; returns how many were new. Raises `CollectError` for an unknown pair."""
        ...


class BundlePort(Protocol):
    """Keeps the evidence bundle of a closed migration."""

    async def write(self, migration: str, files: dict[str, str]) -> dict[str, str]:
        """Write files by name; returns the SHA-256 of each. Writing again replaces."""
        ...


class FlagsPort(Protocol):
    """An external flag system as last read."""

    def bound(self, migration: str) -> FlagBound | None:
        """The upper bound of a migration's share; null where there is no flag system."""
        ...


class MetricsPort(Protocol):
    """Business metrics' sources as last read."""

    def unread(self, spec: MigrationSpec) -> str | None:
        """Why one of the migration's metrics cannot be read; null if all can, or it has none."""
        ...


class GatewayAdmin(Protocol):
    """The gateways' own admin ports, as far as they are known. Each call raises `AdminError`."""

    def names(self) -> tuple[str, ...]:
        """Gateways whose admin address is known."""
        ...

    def uncallable(self) -> tuple[str, ...]:
        """Gateways that have asked control, and whose admin port cannot be called from here."""
        ...

    async def kill(self, gateway: str, feature: str, *, is_killed: bool) -> None:
        """Pull or release the local kill switch."""
        ...

    async def cut(self, gateway: str, feature: str) -> int:
        """Cut calls under way at the candidate; how many there were."""
        ...

    async def share(self, gateway: str, feature: str) -> float:
        """The candidate's share as the gateway's engine has it now."""
        ...

    async def rollouts(self, gateway: str) -> dict[str, Rollout]:
        """By feature, the split that the gateway carries, as it was published."""
        ...


class AsidePort(Protocol):
    """Keeps on this machine what the log could not be told. Writing takes as long as a disk does."""

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line, durably. Raises `OSError`."""
        ...

    def unsettled(self) -> list[tuple[int, dict[str, Any]]]:
        """Lines that the log does not have yet, by number."""
        ...

    def settle(self, number: int) -> None:
        """The log has it. Raises `OSError`."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the controller touches."""

    log: EventLogPort
    publisher: PublisherPort
    counters: CountersPort
    evidence: EvidencePort
    candidate: CandidatePort
    collectors: CollectorsPort
    people: PeoplePort
    bundles: BundlePort
    clock: Clock
    conflict: type[Exception]  # what `append` raises when `expected_seq` does not hold
    admin: GatewayAdmin
    flags: FlagsPort
    metrics: MetricsPort
    steady: Clock  # seconds that nobody sets
    aside: AsidePort
