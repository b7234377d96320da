"""Puts the migrations service together from control's parts."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from crossfade.control.evidence.capacity.lever import Lever
from crossfade.control.evidence.fingerprint import fingerprint
from crossfade.control.evidence.gateway_address import gateway_address
from crossfade.control.evidence.gateway_client import GatewayClient
from crossfade.control.evidence.store import EvidenceStore
from crossfade.control.flags import FlagBook
from crossfade.control.ledger.prices import PriceBook, TokenPrice
from crossfade.control.ledger.units import UnitsBook
from crossfade.control.migration.adapters import BoardCounters, ConfigCandidate, FolderBundles, LookedUp
from crossfade.control.migration.collecting.collectors import CollectorParts, RealCollectors
from crossfade.control.migration.collecting.drill import DrillParts
from crossfade.control.migration.guard.samples import SampleBoard
from crossfade.control.migration.metrics.book import MetricBook
from crossfade.control.migration.people.approvals import RealPeople
from crossfade.control.migration.ports import Ports
from crossfade.control.migration.service import Migrations
from crossfade.control.migration.unread import Unread
from crossfade.control.publish import Publisher
from crossfade.control.records.counters import CounterBoard
from crossfade.control.records.store import RecordStore
from crossfade.control.store.eventlog import ConflictError, EventLog
from crossfade.control.store.journal import Journal
from crossfade.control.store.signing import SigningKeys
from crossfade.control.store.state_dir import StateDir
from crossfade.domain.attempt import AttemptRecord
from crossfade.domain.snapshot import CapacityClass


@dataclass(frozen=True, slots=True)
class MigrationParts:
    """What of control the migrations stand on."""

    log: EventLog
    publisher: Publisher
    board: CounterBoard
    records: RecordStore
    folder: StateDir
    samples: SampleBoard
    units: UnitsBook
    flags: FlagBook
    metrics: MetricBook
    keys: SigningKeys
    unread: Unread


def price_of(publisher: Publisher) -> Callable[[AttemptRecord], float | None]:
    """USD of an attempt by the contract and public prices; null if unpriced or bought by the hour."""
    contract = publisher.config.prices.contract
    book = PriceBook(Path(contract) if contract else None)
    known: dict[str, TokenPrice | None] = {}

    def price(record: AttemptRecord) -> float | None:
        if record.usage is None or record.capacity_class == CapacityClass.PROVISIONED.value:
            return None
        key = f"{record.endpoint} {record.model}"
        if key not in known:
            known[key] = book.tokens(record.endpoint, record.model, record.provider)
        found = known[key]
        return found.charge(asdict(record.usage)) if found is not None else None

    return price


def build_migrations(parts: MigrationParts) -> Migrations:
    """The service over the real parts. One process among several drives: the lease decides which."""
    journal = Journal(parts.log)
    store = LookedUp(EvidenceStore(parts.log, parts.folder, parts.keys), journal, time.monotonic)
    counters = BoardCounters(parts.board, time.time, parts.records, parts.samples)
    collector_parts = CollectorParts(
        config=lambda: parts.publisher.config,
        records=parts.records,
        store=store,
        log=parts.log,
        client=GatewayClient(gateway_address(parts.publisher.config), parts.folder.measure_key()),
        lever=Lever(),
        units=parts.units,
        drill=DrillParts(
            parts.publisher, counters, parts.unread.admin, parts.board, parts.flags, time.time, asyncio.sleep
        ),
        clock=time.time,
    )
    ports = Ports(
        log=journal,
        publisher=parts.publisher,
        counters=counters,
        evidence=store,
        candidate=ConfigCandidate(parts.publisher, fingerprint),
        collectors=RealCollectors(collector_parts),
        people=RealPeople(collector_parts),
        bundles=FolderBundles(parts.folder.root / "bundles"),
        clock=time.time,
        conflict=ConflictError,
        admin=parts.unread.admin,
        flags=parts.flags,
        metrics=parts.metrics,
        steady=time.monotonic,
        aside=parts.unread.aside,
    )
    return Migrations(ports, parts.unread, holder=f"{socket.gethostname()}-{os.getpid()}")
