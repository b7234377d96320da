"""What the routes need, built once in the composition root."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossfade.config.shape.control import OidcSection
    from crossfade.control.api.access import Person
    from crossfade.control.credentials.broker import CredentialBroker
    from crossfade.control.evidence.gateway_admin import HttpGatewayAdmin
    from crossfade.control.ledger.units import UnitsBook
    from crossfade.control.login.oidc import Oidc
    from crossfade.control.login.sessions import Sessions
    from crossfade.control.migration.metrics.pushed import Pushed
    from crossfade.control.migration.people.feedback import Feedback
    from crossfade.control.migration.people.trends import Trends
    from crossfade.control.migration.service import Migrations
    from crossfade.control.migration.unread import Unread
    from crossfade.control.publish import Publisher
    from crossfade.control.records.counters import CounterBoard
    from crossfade.control.records.store import RecordStore
    from crossfade.control.store.checkpoints import Checkpoints
    from crossfade.control.store.eventlog import EventLog


@dataclass(slots=True)
class ControlParts:
    """The parts of one control process. `config_error`: why a changed file was not applied."""

    log: EventLog
    publisher: Publisher
    board: CounterBoard
    records: RecordStore
    broker: CredentialBroker
    units: UnitsBook
    migrations: Migrations | None
    checkpoints: Checkpoints
    feedback: Feedback
    pushed: Pushed
    trends: Trends
    arm_of: Callable[[str, str], dict[str, Any]]  # (feature, unit) -> {kind, name, share}
    person_of: Callable[[str], Person | None]  # whose token a bearer is
    sessions: Sessions
    oidc_of: Callable[[OidcSection], Oidc]
    is_caller: Callable[[str], bool]  # whether a bearer may call the gateways
    admin: HttpGatewayAdmin
    unread: Unread
    gateway_token: str = field(repr=False)
    api_token: str = field(repr=False)
    config_error: str | None = None
