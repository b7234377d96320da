"""The composition root of control: every part is made here, once, and handed to those who need it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crossfade.app.arms import EngineArms
from crossfade.app.loops import Loop, keep_going
from crossfade.app.migrations import MigrationParts, build_migrations, price_of
from crossfade.config.compile import credential_plan
from crossfade.config.features import Config, FeedbackSection
from crossfade.config.load import ConfigError, load_config
from crossfade.config.schema import PersonSection
from crossfade.config.shape.control import OidcSection
from crossfade.control.api.access import Person, person_in, person_of
from crossfade.control.api.login import LoginParts
from crossfade.control.api.parts import ControlParts
from crossfade.control.credentials.broker import CredentialBroker
from crossfade.control.evidence.gateway_address import gateway_address
from crossfade.control.evidence.gateway_admin import AdminPorts, HttpGatewayAdmin
from crossfade.control.evidence.gateway_client import GatewayClient
from crossfade.control.flags import FlagBook, reader_of
from crossfade.control.ledger.prices import snapshot_prices
from crossfade.control.ledger.units import UnitsBook
from crossfade.control.login.oidc import Oidc
from crossfade.control.login.sessions import PREFIX, Sessions
from crossfade.control.migration.guard.samples import SampleBoard
from crossfade.control.migration.metrics.book import MetricBook
from crossfade.control.migration.metrics.judging import LiveJudge, grader
from crossfade.control.migration.metrics.pushed import Pushed
from crossfade.control.migration.people.feedback import Feedback
from crossfade.control.migration.people.liked import Liked
from crossfade.control.migration.people.trends import Consequence, Trends
from crossfade.control.migration.unread import Unread
from crossfade.control.notify import Notifier
from crossfade.control.publish import Extra, Publisher
from crossfade.control.records.by_hand import ByHand
from crossfade.control.records.counters import CounterBoard
from crossfade.control.records.own_turns import OwnTurns
from crossfade.control.records.store import RecordStore
from crossfade.control.store.aside import Aside
from crossfade.control.store.checkpoints import Checkpoints
from crossfade.control.store.eventlog import EventLog, StoreError
from crossfade.control.store.keys import is_caller, measure_key
from crossfade.control.store.signing import SigningKeys
from crossfade.control.store.state_dir import StateDir
from crossfade.domain.migration import FlagBound

CONFIG_LOOK_S = 1.0

log = logging.getLogger(__name__)


def flags_of(config: Config, events: EventLog) -> FlagBook:
    """The external flag system, if one is configured; its changes are lines of the log."""
    wanted = config.control.flags

    async def note(migration: str, bound: FlagBound) -> None:
        said = {"at_most": bound.at_most, "lost": bound.lost}
        reason = bound.lost or f"the flag allows {bound.at_most:.0%}"
        await events.append(f"flags/{migration}", "flag.changed", said, actor="flags", reason=reason)

    return FlagBook(reader_of(wanted), wanted.back_after if wanted is not None else None, note=note)


def metrics_of(
    publisher: Publisher, samples: SampleBoard, folder: StateDir, records: RecordStore
) -> MetricBook:
    """Business metrics and judged answers of the migrations under way."""
    client = GatewayClient(gateway_address(publisher.config), folder.measure_key())
    live = LiveJudge(samples, grader(client))
    records.listen(live.observe)
    return MetricBook(
        judge=live,
        sources=lambda: publisher.config.control.metrics,
        overlays=publisher.overlays,
        board=samples,
        steady=time.monotonic,
        unix=time.time,
    )


def consequence_of(publisher: Publisher, feature: str) -> Consequence:
    """What falling feedback does to the feature's requests, as the config has it now."""
    section = publisher.config.features.get(feature)
    wanted = section.feedback if section is not None else FeedbackSection()
    return Consequence(wanted.keep, wanted.for_)


def liked_of(trends: Trends, publisher: Publisher, folder: StateDir) -> Liked:
    """What becomes of falling feedback, going on from what was learnt before."""
    liked = Liked(trends, publisher, folder.root / "trends.json")
    liked.restore()
    return liked


def sessions_of(folder: StateDir) -> Sessions:
    """Sessions of the console, signed with this folder's key."""
    return Sessions(folder.session_key(), time.time)


def who(
    bearer: str, folder: StateDir, people: Callable[[], Mapping[str, PersonSection]], sessions: Sessions
) -> Person | None:
    """Whose token or session it is; null if nobody's."""
    if bearer.startswith(PREFIX):
        return person_in(bearer.removeprefix(PREFIX), sessions, people())
    return person_of(bearer, folder.api_token(), people(), folder.pepper())


@asynccontextmanager
async def log_of(config: Config, folder: StateDir) -> AsyncIterator[EventLog]:
    """The event log. Raises `StoreError` while it cannot be reached."""
    events = await EventLog.open(config.control.state or f"sqlite:///{folder.database}")
    try:
        yield events
    finally:
        await events.close()


@dataclass(slots=True)
class EarlyParts:
    """What works before the log can be read, and goes on afterwards. `config`: as it was last read."""

    config: Config
    sessions: Sessions
    broker: CredentialBroker
    admin: HttpGatewayAdmin
    unread: Unread


def early_parts(config: Config, folder: StateDir) -> EarlyParts:
    """Reads what this machine kept of the last run; the log is not touched."""
    admin = HttpGatewayAdmin(AdminPorts(), OwnTurns(folder.root / "turns.json", time.time))
    aside = Aside(folder.root / "aside.ndjson")
    unread = Unread(admin, aside, time.time, time.monotonic, asyncio.sleep)
    return EarlyParts(config, sessions_of(folder), CredentialBroker(credential_plan(config)), admin, unread)


def early_login(early: EarlyParts, folder: StateDir) -> LoginParts:
    """Logins before the log can be read: who is in the config is looked up in the file as it is now."""
    return LoginParts(
        person_of=lambda bearer: who(bearer, folder, lambda: early.config.people, early.sessions),
        sessions=early.sessions,
        config=lambda: early.config,
        oidc_of=partial(oidc_of, folder),
    )


def oidc_of(folder: StateDir, section: OidcSection) -> Oidc:
    """Logins at this identity provider."""
    return Oidc(section, folder.session_key(), time.time, time.monotonic)


@asynccontextmanager
async def control_parts(
    config_path: Path, folder: StateDir, early: EarlyParts
) -> AsyncIterator[ControlParts]:
    """Build control around what runs already, run its loops, and take them down again.

    Raises:
        StoreError: the log cannot be reached, or a changed row of it not be read; nothing is left behind.
    """
    config = early.config = load_config(config_path).config
    early.broker.expect(credential_plan(config))
    async with log_of(config, folder) as events:
        try:
            parts, looking = await _parts_on(events, config, folder, early)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if (broken := await events.verify()) is None:
                raise  # the log holds: it is not at fault
            hint = "see the on-call page log-broken"
            raise StoreError(f"the event log does not hold: {broken} (hint: {hint})") from error
        try:
            async with running([*looking, *_loops_of(parts, config_path)]):
                yield parts
        finally:
            await asyncio.to_thread(parts.records.close)
            await parts.checkpoints.close()


async def _parts_on(
    events: EventLog, config: Config, folder: StateDir, early: EarlyParts
) -> tuple[ControlParts, list[Loop]]:
    """The parts, and what else runs beside them."""
    board = CounterBoard()
    publisher = Publisher(
        config, Extra((measure_key(folder),), snapshot_prices), events, board, folder.gateway_token()
    )
    await publisher.restore()
    units = UnitsBook(events)
    await units.note_config(config, actor="control", reason="started")
    records = RecordStore(Path(config.control.records or folder.records))
    keys = SigningKeys(folder.signing, config.control.signing)
    checkpoints = Checkpoints(events, keys, folder.checkpoints())
    samples = SampleBoard(price_of(publisher))
    records.listen(samples.observe)
    flags = flags_of(config, events)
    metrics = metrics_of(publisher, samples, folder, records)
    migration_parts = MigrationParts(
        events, publisher, board, records, folder, samples, units, flags, metrics, keys, early.unread
    )
    trends = Trends(time.time, partial(consequence_of, publisher))
    sessions = early.sessions
    arms = EngineArms(publisher, board)
    parts = ControlParts(
        checkpoints=checkpoints,
        feedback=Feedback(samples, records, folder.records, time.time, trends),
        pushed=Pushed(samples, lambda: publisher.config.control.metrics, arms.arm_of, time.time),
        trends=trends,
        arm_of=arms.arm_of,
        person_of=lambda bearer: who(bearer, folder, lambda: publisher.config.people, sessions),
        sessions=sessions,
        oidc_of=partial(oidc_of, folder),
        is_caller=lambda bearer: is_caller(bearer, publisher.snapshot, folder),
        log=events,
        publisher=publisher,
        board=board,
        records=records,
        broker=early.broker,
        units=units,
        migrations=build_migrations(migration_parts),
        admin=early.admin,
        unread=early.unread,
        gateway_token=folder.gateway_token(),
        api_token=folder.api_token(),
    )
    notifier = Notifier(
        config.control.notify, events, folder.root / "notified.json", f"notify-{os.getpid()}", time.time
    )
    liked = liked_of(trends, publisher, folder)
    hands = ByHand(board, events, early.admin.own)
    looking = (checkpoints, flags, metrics, metrics.judge, notifier, liked, hands)
    return parts, [checkpoints.look_back, *(part.run for part in looking)]


def _loops_of(parts: ControlParts, config_path: Path) -> list[Loop]:
    loops: list[Loop] = [partial(_follow_config, config_path, parts)]
    if parts.migrations is not None:
        loops += [parts.migrations.run, parts.migrations.keep_watch]
    return loops


@asynccontextmanager
async def running(loops: Iterable[Loop]) -> AsyncIterator[None]:
    """The loops go on until the block ends."""
    tasks = [asyncio.create_task(keep_going(loop)) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow_config(path: Path, parts: ControlParts) -> None:
    """A changed file is applied if it checks; else the old one serves on and the overview says why."""
    seen = _stamp(path)
    while True:
        await asyncio.sleep(CONFIG_LOOK_S)
        if (now := _stamp(path)) == seen:
            continue
        seen = now
        try:
            config = (await asyncio.to_thread(load_config, path)).config
        except ConfigError as error:
            parts.config_error = str(error)
            log.warning("the changed config was not applied: %s", error)
            continue
        parts.config_error = None
        parts.broker.expect(credential_plan(config))
        await parts.broker.refresh()
        await parts.publisher.apply_config(config, actor="config", reason=f"{path.name} changed")
        await parts.units.note_config(config, actor="config", reason=f"{path.name} changed")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
